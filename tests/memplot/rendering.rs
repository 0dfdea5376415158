//! Reads an SVG back.

use roxmltree::{Document, Node};

/// The elements of our SVGs. Others come from a name that was not escaped.
const ELEMENTS: [&str; 10] =
    ["svg", "title", "desc", "style", "rect", "g", "path", "circle", "text", "tspan"];

/// The document, if nothing in it can run or load anything.
#[track_caller]
pub fn parse(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(ELEMENTS.contains(&name), "an element of the name {name}");
        for attribute in node.attributes() {
            let name = attribute.name().to_ascii_lowercase();
            assert!(
                !name.starts_with("on") && !name.contains("href") && name != "style",
                "an attribute {name}"
            );
            assert!(
                !attribute.value().contains("javascript:")
                    || name.starts_with("data-")
                    || name == "aria-label"
            );
        }
    }
    document
}

/// The groups of one class: `line`, `area`, `total`, `mark`, `peak`.
pub fn groups<'a>(document: &'a Document<'_>, class: &str) -> Vec<Node<'a, 'a>> {
    let is_class = |node: &Node<'_, '_>| {
        node.has_tag_name(("http://www.w3.org/2000/svg", "g")) && node.attribute("class") == Some(class)
    };
    document.descendants().filter(is_class).collect()
}

/// The names of the series drawn as `class`.
pub fn series(document: &Document<'_>, class: &str) -> Vec<String> {
    groups(document, class).iter().map(|node| node.attribute("data-series").unwrap().to_owned()).collect()
}

/// The number of pieces of a series, separated by gaps.
pub fn pieces(document: &Document<'_>, class: &str, name: &str) -> usize {
    let group = groups(document, class).into_iter().find(|node| node.attribute("data-series") == Some(name));
    let group = group.unwrap_or_else(|| panic!("no series {name}"));
    group.children().filter(|node| ["path", "circle"].contains(&node.tag_name().name())).count()
}

/// All visible texts.
pub fn texts(document: &Document<'_>) -> Vec<String> {
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
    texts
        .map(|node| node.descendants().filter_map(|inner| inner.text().filter(|_| inner.is_text())).collect())
        .collect()
}

/// The tooltips of the groups of one class.
pub fn tooltips(document: &Document<'_>, class: &str) -> Vec<String> {
    let title = |node: &Node<'_, '_>| {
        let title = node.children().find(|child| child.tag_name().name() == "title");
        title.and_then(|title| title.text()).unwrap_or_default().to_owned()
    };
    groups(document, class).iter().map(title).collect()
}

/// The position and text of each label.
pub fn labels(document: &Document<'_>) -> Vec<(f64, f64, String)> {
    let number = |node: &Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse().unwrap();
    groups(document, "label")
        .iter()
        .map(|group| {
            let text = group.children().find(|child| child.tag_name().name() == "text").unwrap();
            let words = text.descendants().filter(Node::is_text).filter_map(|inner| inner.text()).collect();
            (number(&text, "x"), number(&text, "y"), words)
        })
        .collect()
}
