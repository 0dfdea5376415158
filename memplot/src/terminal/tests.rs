use proptest::prelude::*;

use super::*;
use crate::figure::{Mark, MarkKind, Point, Series, Unit};

const START: i64 = 1_780_000_000_000;

fn series(name: &str, colour: usize, runs: &[&[(i64, f64)]]) -> Series {
    let runs: Vec<Vec<Point>> = runs
        .iter()
        .map(|run| {
            run.iter().map(|&(second, value)| Point { unix_ms: START + second * 1000, value }).collect()
        })
        .collect();
    let points = || runs.iter().flatten().copied();
    Series {
        name: name.to_owned(),
        colour: Some(colour),
        first: points().next(),
        peak: points().max_by(|a, b| a.value.total_cmp(&b.value)),
        last: points().last(),
        ended: false,
        trend: None,
        runs,
    }
}

fn figure(series: Vec<Series>, stacked: bool) -> Figure {
    Figure {
        title: "Memory of bot.py".into(),
        subtitle: vec!["100 samples".into()],
        unit: Unit::Bytes,
        stacked,
        log_scale: false,
        delta: false,
        time: (START, START + 100_000),
        series,
        total: None,
        marks: Vec::new(),
    }
}

fn drawn(figure: &Figure, size: (u16, u16), depth: ColourDepth) -> String {
    render(figure, TerminalOptions { size, depth, is_light: false })
}

/// The cells of a stretch of columns that are no hairline and no blank, from above.
fn rows_with_ink(text: &str, from: usize, to: usize) -> Vec<usize> {
    let is_ink = |c: &char| !matches!(c, ' ' | '┈' | '\u{2800}');
    let rows = text.lines().enumerate();
    rows.filter(|(_, line)| line.chars().take(to).skip(from).any(|c| is_ink(&c)))
        .map(|(row, _)| row)
        .collect()
}

#[test]
fn one_sample_spike_has_full_height() {
    let spike: Vec<(i64, f64)> = (0..=100).map(|s| (s, if s == 37 { 9e6 } else { 1e6 })).collect();
    for (stacked, depth) in [(false, ColourDepth::None), (true, ColourDepth::True), (true, ColourDepth::None)]
    {
        let figure = figure(vec![series("a", 0, &[&spike])], stacked);
        let text = plain(&drawn(&figure, (60, 20), depth));
        // Two rows below the upper end, right of the axis labels.
        let high = text.lines().nth(4).unwrap();
        let top = high.chars().skip(6).filter(|c| !matches!(c, ' ' | '┈')).count();
        assert!((1..=2).contains(&top), "{stacked} {depth:?}:\n{text}");
    }
}

#[test]
fn gap_columns_are_empty() {
    let [first, second] =
        [0..30, 60..101].map(|seconds| seconds.map(|s| (s, 5e6)).collect::<Vec<(i64, f64)>>());
    for (stacked, depth) in [(false, ColourDepth::None), (true, ColourDepth::True), (true, ColourDepth::None)]
    {
        let figure = figure(vec![series("a", 0, &[&first, &second])], stacked);
        let text = plain(&drawn(&figure, (104, 20), depth));
        let plot: String = text.lines().skip(2).take(14).map(|line| format!("{line}\n")).collect();
        // The plot begins at the ninth column at the latest and has some 70 columns: 40 to 50 % are in the gap.
        assert!(rows_with_ink(&plot, 38, 46).is_empty(), "{stacked} {depth:?}:\n{text}");
        assert!(
            !rows_with_ink(&plot, 12, 25).is_empty() && !rows_with_ink(&plot, 60, 68).is_empty(),
            "{text}"
        );
    }
}

#[test]
fn axes_and_labels_are_shown() {
    let run: Vec<(i64, f64)> =
        (0..=100).map(|s| (s, (512.0 + f64::from(i32::try_from(s).unwrap())) * 1_048_576.0)).collect();
    let mut figure =
        figure(vec![series("python3 bot.py", 0, &[&run]), series("worker", 1, &[&run[..50]])], true);
    figure.series[1].ended = true;
    figure.marks = vec![
        Mark { unix_ms: START + 50_000, kind: MarkKind::Exited, count: 3, text: "worker exited".into() },
        Mark { unix_ms: START + 70_000, kind: MarkKind::Limit, count: 1, text: "total above 500 MiB".into() },
    ];
    for size in [(40, 24), (100, 24), (250, 60)] {
        let text = drawn(&figure, size, ColourDepth::None);
        for word in [
            "Memory of bot.py",
            "100 samples",
            "GiB",
            "612 MiB",
            "python3 bot.py",
            "ended",
            "total above 500 MiB",
            "▾ 3 ended",
        ] {
            assert!(text.contains(word), "{word} {size:?}:\n{text}");
        }
        assert!(
            text.contains("+100 MiB") && text.lines().any(|line| line.contains('!') && line.contains('▾')),
            "{text}"
        );
    }
}

#[test]
fn legend_shows_all_in_order_of_growth() {
    let names: Vec<String> = (0..12).map(|n| format!("pkg.Type{n:02}")).collect();
    let all = names.iter().zip(0_i32..).map(|(name, n)| {
        // The last ones grow most.
        series(name, 0, &[&[(0, 100.0), (100, 100.0 + f64::from(n * n))]])
    });
    let text = drawn(&figure(all.collect(), false), (80, 24), ColourDepth::None);
    assert!(!text.contains(" more"), "{text}");
    let place = |name: &String| {
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains(name.as_str())).unwrap();
        (line.find(name.as_str()).unwrap() > 30, row)
    };
    let places: Vec<(bool, usize)> = names.iter().rev().map(place).collect();
    assert!(places.is_sorted(), "{places:?} {text}");
}

#[test]
fn tiny_terminals_do_not_fail() {
    let run: Vec<(i64, f64)> = (0..=100).map(|s| (s, 1e6)).collect();
    let many: Vec<Series> = (0..300).map(|n| series(&format!("series {n}"), n, &[&run])).collect();
    let figure = figure(many, true);
    assert_eq!(drawn(&figure, (0, 0), ColourDepth::None), "");
    assert_eq!(drawn(&figure, (10, 2), ColourDepth::None), "Memor…t.py\n");
    let text = drawn(&figure, (80, 24), ColourDepth::None);
    assert!(text.contains("… and 281 more"), "{text}");
    let nothing = Figure { series: Vec::new(), ..figure };
    assert!(drawn(&nothing, (80, 24), ColourDepth::None).contains("Nothing was measured"));
}

/// Text without its escape sequences for colours.
fn plain(text: &str) -> String {
    let mut left = text;
    let mut plain = String::new();
    while let Some((before, rest)) = left.split_once("\x1b[") {
        plain.push_str(before);
        left = rest.split_once('m').unwrap().1;
    }
    plain + left
}

#[test]
fn escapes_only_with_colour_depth() {
    let run: Vec<(i64, f64)> = (0..=100).map(|s| (s, 1e6)).collect();
    for stacked in [false, true] {
        let figure = figure(vec![series("a", 0, &[&run])], stacked);
        assert!(!drawn(&figure, (80, 24), ColourDepth::None).contains('\x1b'));
        let indexed = drawn(&figure, (80, 24), ColourDepth::Indexed);
        assert!(indexed.contains("38;5;") && !indexed.contains("38;2;"), "{indexed:?}");
        assert!(drawn(&figure, (80, 24), ColourDepth::True).contains("38;2;140;124;232"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn output_fits_the_terminal(
        name in "(\\PC|[\\x00-\\x20]|\x1b\\[2J|\u{202e}|名|🐍|❤\u{fe0f}|e\u{301}){0,30}",
        runs in prop::collection::vec(prop::collection::vec((0_i64..100, prop_oneof![Just(0.0), -1e6..1e12_f64, 0.0..1e300_f64]), 0..20), 0..4),
        size in (0_u16..260, 0_u16..70),
        stacked: bool,
        log_scale: bool,
        depth in prop_oneof![Just(ColourDepth::None), Just(ColourDepth::Indexed), Just(ColourDepth::True)],
    ) {
        let runs: Vec<&[(i64, f64)]> = runs.iter().map(Vec::as_slice).collect();
        let mut figure = figure(vec![series(&name, 0, &runs), series("other", 1, &runs)], stacked);
        figure.log_scale = log_scale;
        figure.title = name.clone();
        figure.marks = vec![Mark { unix_ms: START, kind: MarkKind::Oom, count: 1, text: name.clone() }];
        let text = drawn(&figure, size, depth);
        prop_assert!(text.lines().count() <= usize::from(size.1), "{}", text);
        let text = plain(&text);
        let has_escapes = text.contains('\x1b') || text.contains('\u{202e}');
        prop_assert!(!has_escapes, "{:?}", text);
        for line in text.lines() {
            prop_assert!(text::width(line) <= size.0, "{}: {}", size.0, line);
        }
    }
}
