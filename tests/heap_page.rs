//! The page of the heap in a browser: going in and back, search, units, keyboard, hostile names.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::memplot::heap::{HEAP, Row, log};
use crate::support::Tool;
use crate::support::browser::{Browser, Mouse};

/// WebDriver's characters of keys.
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const BACKSPACE: &str = "\u{e003}";
const DOWN: &str = "\u{e015}";
const RIGHT: &str = "\u{e014}";

/// A browser that shows the page of logs.
fn show(logs: &[String]) -> Option<(Browser, TempDir)> {
    show_as("heap", logs)
}

/// A browser that shows the page of logs, which begins as an icicle or a treemap.
fn show_as(what: &str, logs: &[String]) -> Option<(Browser, TempDir)> {
    let browser = Browser::start((1300, 900))?;
    let folder = tempfile::tempdir().unwrap();
    let names = logs.iter().enumerate().map(|(number, log)| {
        let name = format!("{number}.jsonl");
        std::fs::write(folder.path().join(&name), log).unwrap();
        name
    });
    let names: Vec<String> = names.collect();
    let tool = Tool::ours("memplot").args(names).args(["--what", what, "--html", "-o", "page.html"]);
    tool.dir(folder.path()).run().expect_code(0);
    browser.open(&folder.path().join("page.html"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    Some((browser, folder))
}

/// Left end, top, width and height of the block with a name.
fn place(browser: &Browser, label: &str) -> Option<[f64; 4]> {
    let find = "const box = [...document.querySelectorAll('.block')].find((one) => one.textContent.startsWith(arguments[0] + '  '));
        if (!box) return null;
        const r = box.getBoundingClientRect();
        return [r.left, r.top, r.width, r.height]";
    serde_json::from_value(browser.run(find, label)).unwrap()
}

fn click(browser: &Browser, label: &str) {
    let [left, top, width, height] = place(browser, label).unwrap_or_else(|| panic!("no block {label}"));
    // On the name: parts of a treemap are below it.
    let (x, y) = ((left + width / 2.0) as i64, (top + height.min(20.0) / 2.0) as i64);
    browser.mouse(&[Mouse::To(x, y), Mouse::Down, Mouse::Up]);
}

fn width(browser: &Browser, label: &str) -> f64 {
    place(browser, label).map_or(0.0, |[_, _, width, _]| width)
}

/// Bytes are in proportion to widths.
fn assert_share(browser: &Browser, label: &str, of: &str, share: f64) {
    let [part, whole] = [label, of].map(|label| width(browser, label));
    assert!(whole > 0.0 && (part / whole - share).abs() < 0.01, "{label} of {of}: {part} of {whole}");
}

#[test]
fn click_goes_in_and_back() {
    let Some((browser, _folder)) = show(&[log(&HEAP, |_| ())]) else { crate::skip!("no Chromium") };
    assert_share(&browser, "bot.sessions", "Python objects", 0.5);
    assert_eq!(browser.text("#reset"), "");
    click(&browser, "__main__");
    assert_share(&browser, "__main__", "Python objects", 1.0);
    assert_share(&browser, "bot.sessions", "__main__", 500.0 / 600.0);
    assert_eq!(place(&browser, "aiohttp"), None, "another branch");
    assert_eq!(browser.text("#path"), "Python objects__main__");
    click(&browser, "bot.sessions");
    assert_share(&browser, "dict", "Python objects", 1.0);
    browser.run("document.getElementById('reset').click()", Value::Null);
    assert_share(&browser, "bot.sessions", "__main__", 500.0 / 600.0);
    click(&browser, "Python objects");
    assert_share(&browser, "aiohttp", "Python objects", 0.06);
}

#[test]
fn pointing_shows_the_whole_path() {
    let Some((browser, _folder)) = show(&[log(&HEAP, |_| ())]) else { crate::skip!("no Chromium") };
    let [left, top, ..] = place(&browser, "Session <b>&名").unwrap();
    browser.mouse(&[Mouse::To(left as i64 + 5, top as i64 + 5)]);
    let expected =
        "Python objects → __main__ → bot.sessions → dict → Session <b>&名: 400 KiB (40.0 %), 800 objects";
    assert_eq!(browser.text("#detail"), expected);
}

#[test]
fn search_sums_up_matches() {
    let Some((browser, _folder)) = show(&[log(&HEAP, |_| ())]) else { crate::skip!("no Chromium") };
    let search = |text: &str| {
        browser.run(
            "const search = document.getElementById('search');
             search.value = arguments[0];
             search.dispatchEvent(new Event('input'));",
            text,
        );
        (
            browser.text("#found"),
            browser.run("return document.querySelectorAll('.found').length", Value::Null),
        )
    };
    // The module and its holder: bytes inside both count once.
    assert_eq!(search("MAIN"), ("2 found, 600 KiB".to_owned(), json!(2)));
    assert_eq!(search("o"), ("7 found, 0.98 MiB".to_owned(), json!(7)), "the whole has it too");
    assert_eq!(search("nothing like it"), ("0 found, 0 B".to_owned(), json!(0)));
    assert_eq!(search(""), (String::new(), json!(0)));
}

#[test]
fn objects_can_be_the_unit() {
    // A third of the objects is in no part.
    let log = log(&HEAP, |record| record.heap_tree.as_mut().unwrap()[0].count = 3000);
    let Some((browser, _folder)) = show(&[log]) else { crate::skip!("no Chromium") };
    assert_share(&browser, "(standard library)", "Python objects", 0.3);
    browser.run("document.querySelector('#unit [value=objects]').click()", Value::Null);
    assert_eq!(
        browser.run("return document.querySelector('#unit [aria-pressed=true]').value", Value::Null),
        "objects"
    );
    assert_share(&browser, "(standard library)", "Python objects", 0.2);
    let shown = browser.run("return document.querySelector('.block').textContent", Value::Null);
    assert_eq!(shown, "Python objects  3,000");
}

#[test]
fn keyboard_does_everything() {
    let Some((browser, _folder)) = show(&[log(&HEAP, |_| ())]) else { crate::skip!("no Chromium") };
    browser.keys(DOWN);
    assert!(
        browser.text("#detail").starts_with("Python objects → __main__: 600 KiB"),
        "{}",
        browser.text("#detail")
    );
    browser.keys(RIGHT);
    assert!(browser.text("#detail").contains("(standard library): 300 KiB"), "{}", browser.text("#detail"));
    browser.keys(ENTER);
    assert_share(&browser, "(standard library)", "Python objects", 1.0);
    browser.keys(DOWN);
    browser.keys(ENTER);
    assert_share(&browser, "code", "Python objects", 1.0);
    browser.keys(BACKSPACE);
    assert_share(&browser, "code", "(standard library)", 200.0 / 300.0);
    browser.keys(ESCAPE);
    assert_share(&browser, "(standard library)", "Python objects", 0.3);
    browser.keys("/");
    browser.keys("code");
    assert_eq!(browser.text("#found"), "1 found, 200 KiB");
}

/// Whether a block is inside another one.
fn is_inside(browser: &Browser, label: &str, of: &str) -> bool {
    let [Some([left, top, width, height]), Some([x, y, wide, high])] =
        [label, of].map(|label| place(browser, label))
    else {
        return false;
    };
    left >= x && top > y && left + width <= x + wide + 0.1 && top + height <= y + high + 0.1
}

/// Bytes are in proportion to areas, for parts of one block.
fn assert_areas(browser: &Browser, label: &str, other: &str, ratio: f64) {
    let [area, than] =
        [label, other].map(|label| place(browser, label).map_or(0.0, |[_, _, width, height]| width * height));
    assert!((area / than / ratio - 1.0).abs() < 0.03, "{label}: {area}, {other}: {than}");
}

#[test]
fn treemap_is_gone_into_and_back() {
    let Some((browser, _folder)) = show_as("treemap", &[log(&HEAP, |_| ())]) else {
        crate::skip!("no Chromium")
    };
    assert_areas(&browser, "__main__", "(standard library)", 2.0);
    assert_areas(&browser, "bot.sessions", "function", 10.0);
    for (part, of) in
        [("aiohttp", "Python objects"), ("bot.sessions", "__main__"), ("Session <b>&名", "dict")]
    {
        assert!(is_inside(&browser, part, of), "{part} in {of}");
    }
    click(&browser, "__main__");
    assert_eq!(browser.text("#path"), "Python objects__main__");
    assert_eq!(place(&browser, "aiohttp"), None, "another branch");
    assert_areas(&browser, "bot.sessions", "function", 10.0);
    browser.keys(BACKSPACE);
    assert!(is_inside(&browser, "aiohttp", "Python objects"));
    let [left, top, ..] = place(&browser, "code").unwrap();
    browser.mouse(&[Mouse::To(left as i64 + 5, top as i64 + 5)]);
    assert_eq!(
        browser.text("#detail"),
        "Python objects → (standard library) → code: 200 KiB (20.0 %), 400 objects"
    );
}

#[test]
fn forms_share_keys_search_and_units() {
    let log = log(&HEAP, |record| record.heap_tree.as_mut().unwrap()[6].count = 2400);
    let Some((browser, _folder)) = show(&[log]) else { crate::skip!("no Chromium") };
    assert!(!is_inside(&browser, "__main__", "Python objects"), "below it");
    browser.keys("/");
    browser.keys("code");
    browser.run("document.querySelector('#shape [value=treemap]').click()", Value::Null);
    assert!(is_inside(&browser, "__main__", "Python objects"));
    assert_eq!(browser.text("#found"), "1 found, 200 KiB");
    assert_eq!(browser.run("return document.querySelectorAll('.block.found').length", Value::Null), json!(1));
    browser.run("document.querySelector('#unit [value=objects]').click()", Value::Null);
    assert_areas(&browser, "(standard library)", "__main__", 2.0);
    browser.run("document.activeElement.blur()", Value::Null);
    browser.keys(DOWN);
    assert!(browser.text("#detail").contains("→ __main__: 1,200"), "{}", browser.text("#detail"));
    browser.keys(RIGHT);
    browser.keys(ENTER);
    assert_eq!(browser.text("#path"), "Python objects(standard library)");
    browser.keys(ESCAPE);
    browser.run("document.querySelector('#shape [value=icicle]').click()", Value::Null);
    assert!(!is_inside(&browser, "__main__", "Python objects"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn difference_is_red_and_blue() {
    let later = HEAP.map(|(depth, kind, name, kib)| match name {
        "aiohttp" => (depth, kind, name, 20),
        "code" => (depth, kind, name, 290),
        _ => (depth, kind, name, kib),
    });
    let Some((browser, _folder)) = show(&[log(&HEAP, |_| ()), log(&later, |_| ())]) else {
        crate::skip!("no Chromium")
    };
    // Red, green and blue of a block's colour.
    let colour = |label: &str| -> [f64; 3] {
        let find = "const box = [...document.querySelectorAll('.block')].find((one) => one.textContent.startsWith(arguments[0] + '  '));
            const canvas = new OffscreenCanvas(1, 1).getContext('2d');
            canvas.fillStyle = getComputedStyle(box).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)";
        serde_json::from_value(browser.run(find, label)).unwrap()
    };
    let ([red, _, blue], [less_red, _, more_blue]) = (colour("code"), colour("aiohttp"));
    assert!(red > blue + 20.0, "grew: {red} {blue}");
    assert!(more_blue > less_red + 20.0, "shrank: {less_red} {more_blue}");
    browser.keys(DOWN);
    assert!(browser.text("#detail").contains("__main__: ±0 B, now 600 KiB"), "{}", browser.text("#detail"));
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</script><script>window.owned=1</script><img src=x onerror='window.owned=2'>";
    let rows: [Row<'_>; 3] =
        [(0, "heap", hostile, 100), (1, "module", "__proto__", 60), (1, "module", "a\u{2028}b\u{202e}c", 30)];
    let Some((browser, _folder)) = show(&[log(&rows, |_| ())]) else { crate::skip!("no Chromium") };
    click(&browser, "__proto__");
    let found = browser.run(
        "return [window.owned ?? null, document.scripts.length, document.images.length, performance.getEntriesByType('resource').length]",
        Value::Null,
    );
    assert_eq!(found, json!([null, 2, 0, 0]));
    assert_eq!(browser.text("#path"), format!("{hostile}__proto__"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
