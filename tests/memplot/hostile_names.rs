//! Names cannot break a plot or add markup to it.

use super::logs::{START, census, event, tree};
use super::{rendering, svg};

const NAMES: [&str; 9] = [
    "</title><script>alert(1)</script>",
    "\" onload=\"alert(1)",
    "'><img src=x onerror=alert(1)>",
    "]]><!--",
    "a\u{0}b\u{1b}[31m\u{7}\r\nc",
    "\u{202e}gpj.exe",
    "名前のとても長い型の名前です.モジュール.クラス",
    "🎉🧨 emoji",
    "&lt;&amp;&#x41;",
];

#[test]
fn hostile_type_names_stay_text() {
    let types: Vec<(&str, u64)> =
        (1..).map(|n| n << 20).zip(NAMES).map(|(size, name)| (name, size)).collect();
    let log: String =
        (0..5).map(|n| census(n + 1, START + i64::try_from(n).unwrap() * 1000, &types, None)).collect();
    let figure = svg(&log, &["--title", "<script>x</script> & \" '"]);
    let document = rendering::parse(&figure);
    let drawn = rendering::series(&document, "line");
    assert_eq!(drawn.len(), NAMES.len(), "{drawn:?}");
    for name in NAMES {
        let shown = common::stdio::escape_controls(name);
        assert!(drawn.iter().any(|drawn| **drawn == *shown), "{shown}: {drawn:?}");
    }
    assert!(rendering::texts(&document).iter().any(|words| words == "<script>x</script> & \" '"));
    assert!(!figure.contains("<script"));
}

#[test]
fn hostile_process_names_stay_text() {
    let mut log = String::new();
    for n in 0..6_u64 {
        let at = START + i64::try_from(n).unwrap() * 1000;
        let processes: Vec<(u32, &str, u64)> =
            (1..).zip(NAMES).map(|(pid, name)| (pid, name, 5 << 20)).collect();
        log += &tree(n + 1, at, &processes);
        log += &event(n + 1, at, "exited", 5, serde_json::json!({"name": NAMES[0]}));
        log += &event(n + 1, at, "limit_crossed", 5, serde_json::json!({"name": NAMES[1], "limit_bytes": 1}));
    }
    let figure = svg(&log, &[]);
    let document = rendering::parse(&figure);
    assert_eq!(rendering::series(&document, "area").len(), NAMES.len());
    assert!(rendering::tooltips(&document, "mark").iter().any(|text| text.contains("<script>")));
}

#[test]
fn wide_characters_fit() {
    let types =
        [("名前のとても長い型の名前です名前のとても長い型の名前です", 5 << 20), ("🎉🧨🎉🧨", 2 << 20)];
    let log: String =
        (0..3).map(|n| census(n + 1, START + i64::try_from(n).unwrap() * 1000, &types, None)).collect();
    let figure = svg(&log, &[]);
    let document = rendering::parse(&figure);
    for (x, _, words) in rendering::labels(&document) {
        let width: f64 = words.chars().map(|c| if c.is_ascii() { 6.0 } else { 12.0 }).sum();
        assert!(x + width <= 1344.0, "{words} ends at {}", x + width);
    }
}
