use proptest::prelude::*;
use serde_json::Value;

use common::stdio::escape_controls;

use super::*;
use crate::figure::{Mark, MarkKind, Point, Series, Unit};

fn figure(names: &[&str]) -> Figure {
    let series = names.iter().enumerate().map(|(n, name)| {
        let run: Vec<Point> = [(0, 1.0), (1000, 2.5), (2000, 4_294_967_296.0)]
            .map(|(ms, value)| Point { unix_ms: 1_780_000_000_000 + ms, value })
            .into();
        Series {
            name: (*name).to_owned(),
            colour: (n > 0).then_some(n),
            first: run.first().copied(),
            peak: run.last().copied(),
            last: run.last().copied(),
            runs: vec![run, Vec::new()],
            ended: n == 1,
            trend: None,
        }
    });
    Figure {
        title: names.concat(),
        subtitle: vec![names.concat()],
        unit: Unit::Bytes,
        stacked: false,
        log_scale: false,
        delta: false,
        time: (1_780_000_000_000, 1_780_000_002_000),
        series: series.collect(),
        total: None,
        marks: vec![Mark {
            unix_ms: 1_780_000_001_000,
            kind: MarkKind::Exited,
            count: 1,
            text: names.concat(),
        }],
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).unwrap() + start.len();
    text[from..].split(end).next().unwrap()
}

fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "id=\"data\">", "</script>")).unwrap()
}

#[test]
fn page_data_matches_figure() {
    let data = data(&render(&figure(&["other", "dict"]), Theme::Auto));
    let [other, dict] = [&data["series"][0], &data["series"][1]];
    assert_eq!((&other["name"], &other["colour"]), (&"other".into(), &Value::Null));
    assert_eq!((&dict["colour"], &dict["ended"]), (&1.into(), &true.into()));
    assert_eq!(dict["runs"].to_string(), "[[0,1,1000,2.5,2000,4294967296]]", "integers are integers");
    assert_eq!(dict["first"].to_string(), "[0,1]");
    assert_eq!(dict["peak"].to_string(), "[2000,4294967296]");
    assert_eq!(data["marks"].to_string(), "[[1000,\"exited\",\"otherdict\"]]");
    assert_eq!(data["time"][0], 1_780_000_000_000_i64);
}

#[test]
fn policy_allows_only_own_script() {
    let page = render(&figure(&["a"]), Theme::Dark);
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    for (start, end, rule) in [("<script>", "</script>", "script-src"), ("<style>", "</style>", "style-src")]
    {
        let text = between(&page, start, end);
        assert!(policy.contains(&format!("{rule} '{}'", csp_hash(text))), "{rule}: {policy}");
    }
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(csp_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert!(page.contains("<html lang=\"en\" data-theme=\"dark\">"));
    // Nothing in it could go to a network.
    for word in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn page_is_deterministic() {
    let names = ["dict", "list", "names 名前"];
    assert_eq!(render(&figure(&names), Theme::Auto), render(&figure(&names), Theme::Auto));
}

proptest! {
    #[test]
    fn names_cannot_add_markup(name in r#"(\PC|[<>&"'!/\\\x00-\x20\u{2028}\u{2029}]|</script>|<!--|\]\]>|<script>){0,12}"#) {
        let page = render(&figure(&[&name]), Theme::Auto);
        // Whatever the name, the page has its own elements and no other.
        let empty = render(&figure(&[""]), Theme::Auto);
        for sign in ["<", ">"] {
            prop_assert_eq!(page.matches(sign).count(), empty.matches(sign).count());
        }
        let has_controls = page.contains(['\u{2028}', '\0']);
        prop_assert!(!has_controls);
        let data = data(&page);
        prop_assert_eq!(data["series"][0]["name"].as_str(), Some(&*escape_controls(&name)));
    }
}
