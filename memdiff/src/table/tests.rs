use std::sync::Arc;

use common::record::{DiffRecord, Header, Run, TrendKind, Verdict};
use proptest::prelude::*;

use super::*;
use crate::cli::Threshold;
use crate::delta::{self, Comparison, GrowthThreshold};
use crate::measurement::testing::{census, census_with_holders, measurement, process, tree};
use crate::measurement::{MeasuredData, Measurement, local_stamp};

const PLAIN: RenderOptions = RenderOptions { colour: false, width: None, limit: Some(20) };

fn compared(before: &[Measurement], after: &[Measurement]) -> Comparison {
    let bounds = GrowthThreshold::new(&[Threshold::Bytes(100)], 0);
    delta::compare(Header::now(&Run::start(), 1), before, after, &["log".to_owned()], &bounds)
}

fn report(comparison: &Comparison) -> Report<'_> {
    Report::Changes { comparison, threshold: "100 B" }
}

fn counted(types: &[(&str, u64, u64)], is_cut: bool) -> Vec<Measurement> {
    vec![measurement("r", 1, MeasuredData::Census(Arc::new(census(types, is_cut))))]
}

fn verdict(name: &str, rate: Option<f64>) -> Verdict {
    Verdict {
        kind: "rss".into(),
        name: name.into(),
        role: name.into(),
        pid: Some(7),
        trend: if rate.is_some() { TrendKind::Growing } else { TrendKind::Steady },
        confidence_ratio: 0.995,
        bytes_per_hour: rate,
        bytes_per_hour_low: rate,
        bytes_per_hour_high: rate,
        count_per_hour: None,
        count_per_hour_low: None,
        count_per_hour_high: None,
        from: Some(local_stamp(0)),
        to: Some(local_stamp(1_800_000)),
        first_bytes: Some(0),
        last_bytes: Some(1000),
        first_count: None,
        last_count: None,
        moments: 1800,
        limit_reached_at: None,
        limit_kind: None,
        limit_bytes: None,
        new_objects: None,
        new_objects_survived: None,
    }
}

fn judged(verdicts: Vec<Verdict>) -> DiffRecord {
    DiffRecord { verdicts, ..compared(&counted(&[], false), &counted(&[], false)).record }
}

#[test]
fn omitted_rows_are_summed() {
    let before = counted(&[("a", 1, 10), ("b", 1, 10), ("c", 1, 10), ("same", 1, 10)], false);
    let after = counted(&[("a", 2, 3000), ("b", 2, 40), ("c", 1, 5), ("same", 1, 10)], false);
    let comparison = compared(&before, &after);
    let shown = render_text(&report(&comparison), RenderOptions { limit: Some(1), ..PLAIN });
    let types = &shown[shown.find("Types").unwrap()..shown.find("Modules").unwrap()];
    let lines: Vec<&str> = types.trim_end().lines().collect();
    assert_eq!(
        lines,
        [
            "Types",
            "     CHANGE  BEFORE     AFTER  COUNT CHANGE  COUNT AFTER  TYPE",
            "  +2.92 KiB    10 B  2.93 KiB            +1            2  a",
            "  … and 2 more (+25 B together), 1 unchanged",
        ]
    );
    assert!(
        shown.ends_with(
            "\ngrew by more than 100 B: Python objects (+2.94 KiB), a (+2.92 KiB), a (+2.92 KiB)\n"
        ),
        "{shown}"
    );
    let all = render_text(&report(&comparison), RenderOptions { limit: None, ..PLAIN });
    assert!(all.contains("same") && !all.contains("more ("), "{all}");
}

#[test]
fn unknown_change_is_question_mark() {
    let comparison = compared(&counted(&[("a", 1, 10)], true), &counted(&[("b", 2, 40)], true));
    let shown = render_text(&report(&comparison), PLAIN);
    let row = shown.lines().find(|line| line.contains("b (listed on one side only)")).unwrap();
    assert_eq!(row.split_whitespace().take(6).collect::<Vec<_>>(), ["?", "40", "B", "?", "2", "b"]);
    let mut csv = CsvWriter::default();
    let rows = String::from_utf8(csv.rows(&report(&comparison)).unwrap()).unwrap();
    assert!(rows.lines().any(|row| row.contains("type,b,root,unknown,,,,40,,,2,")), "{rows}");
}

#[test]
fn csv_has_sizes_and_counts_in_one_table() {
    let size = verdict("bot", Some(1024.0));
    let count = Verdict {
        kind: "fds".into(),
        bytes_per_hour: None,
        last_bytes: None,
        count_per_hour: Some(360.0),
        last_count: Some(137),
        ..size.clone()
    };
    let record = judged(vec![size, count]);
    let rows = CsvWriter::default().rows(&Report::Verdicts { record: &record, measured: 9 }).unwrap();
    let mut reader = ::csv::Reader::from_reader(rows.as_slice());
    let titles = reader.headers().unwrap().clone();
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, title| &rows[row][titles.iter().position(|other| other == title).unwrap()];
    assert_eq!([cell(0, "kind"), cell(0, "bytes_per_hour"), cell(0, "last_count")], ["rss", "1024.0", ""]);
    assert_eq!([cell(1, "kind"), cell(1, "count_per_hour"), cell(1, "last_count")], ["fds", "360.0", "137"]);
    assert_eq!([cell(1, "last_bytes"), cell(1, "from")], ["", &*local_stamp(0).to_string()]);
    // No field is left out.
    let fields = serde_json::to_value(&record.verdicts[1]).unwrap();
    assert!(fields.as_object().unwrap().keys().all(|field| titles.iter().any(|title| title == field)));
}

#[test]
fn holders_and_caches_have_tables() {
    let side = |sessions, caches: &[(&str, u64, Option<u64>)]| {
        let census = census_with_holders(
            &[("dict", 1, 1)],
            &[("a._sessions", sessions, sessions * 100)],
            caches,
            false,
        );
        vec![measurement("r", 1, MeasuredData::Census(Arc::new(census)))]
    };
    let comparison = compared(&side(3, &[("lru of a.f", 4, None)]), &side(5, &[("lru of a.f", 9, None)]));
    let shown = render_text(&report(&comparison), PLAIN);
    let tables = &shown[shown.find("Holders").unwrap()..shown.find("grew by").unwrap()];
    assert_eq!(
        tables.trim_end().lines().collect::<Vec<_>>(),
        [
            "Holders",
            "  CHANGE  BEFORE  AFTER  COUNT CHANGE  COUNT AFTER  HOLDER",
            "  +200 B   300 B  500 B            +2            5  a._sessions",
            "",
            "Caches",
            "  CHANGE  COUNT CHANGE  COUNT AFTER  CACHE",
            "       ?            +5            9  lru of a.f",
        ]
    );
    let table = render_markdown(&report(&comparison), PLAIN);
    assert!(table.contains("### Holders\n") && table.contains("| ? | +5 | 9 | `lru of a.f` |"), "{table}");
    let rows = String::from_utf8(CsvWriter::default().rows(&report(&comparison)).unwrap()).unwrap();
    assert!(rows.contains(",holder,a._sessions,root,both,,,300,500,200,3,5,2\n"), "{rows}");
    assert!(rows.contains(",cache,lru of a.f,root,both,,,,,,4,9,5\n"), "{rows}");
    let without = compared(&counted(&[("a", 1, 10)], false), &counted(&[("a", 2, 30)], false));
    let shown = render_text(&report(&without), PLAIN);
    assert!(!shown.contains("Holders") && !shown.contains("Caches"), "{shown}");
}

#[test]
fn each_process_has_its_tables() {
    let side = |size| {
        let census = |pid, cmdline: &str| {
            let census_with_holders = census_with_holders(
                &[("dict", 1, 1)],
                &[("a._b", 1, size)],
                &[("lru of a.f", 1, Some(size))],
                false,
            );
            let census_with_holders =
                common::log::Census { pid, cmdline: Some(cmdline.into()), ..census_with_holders };
            measurement("r", 1, MeasuredData::Census(Arc::new(census_with_holders)))
        };
        vec![census(1, "python3 bot.py"), census(2, "python3 <b>.py")]
    };
    let comparison = compared(&side(300), &side(500));
    let (shown, table) =
        (render_text(&report(&comparison), PLAIN), render_markdown(&report(&comparison), PLAIN));
    for title in ["Holders of", "Caches of"] {
        assert_eq!(shown.matches(&format!("\n{title} root")).count(), 2, "{shown}");
        assert_eq!(table.matches(&format!("\n### {title} `root")).count(), 2, "{table}");
    }
}

#[test]
fn growth_is_red_only_in_colour() {
    let comparison = compared(&counted(&[("a", 1, 10)], false), &counted(&[("a", 2, 3000)], false));
    assert!(!render_text(&report(&comparison), PLAIN).contains('\u{1b}'));
    assert!(
        render_text(&report(&comparison), RenderOptions { colour: true, ..PLAIN })
            .contains("\u{1b}[31m+2.92 KiB\u{1b}[0m")
    );
}

#[test]
fn verdicts_list_growth_count_rest() {
    let rate = Some(3.1 * f64::from(1 << 20));
    let record = judged(vec![verdict("leak.py", rate), verdict("x", None), verdict("y", None)]);
    let shown = render_text(&Report::Verdicts { record: &record, measured: 60 }, PLAIN);
    assert!(
        shown.contains(
            "leak.py (pid 7) grows by 3.1 MiB/h (3.1 to 3.1), 99 % sure, 30 min 0 s, 1,800 moments\n"
        ),
        "{shown}"
    );
    assert!(shown.ends_with("others: 2 steady (all with --all)\n"), "{shown}");
    let all = render_text(
        &Report::Verdicts { record: &record, measured: 60 },
        RenderOptions { limit: None, ..PLAIN },
    );
    assert!(all.contains("y (pid 7) is steady, 99 % sure"), "{all}");
    let none =
        render_text(&Report::Verdicts { record: &judged(vec![verdict("x", None)]), measured: 1 }, PLAIN);
    assert!(none.contains("nothing is growing\n"), "{none}");
    let table = render_markdown(&Report::Verdicts { record: &record, measured: 60 }, PLAIN);
    assert!(table.contains("| +3.1 MiB/h | `leak.py (pid 7)` | grows by "), "{table}");
}

#[test]
fn short_log_states_no_certainty() {
    let mut brief = verdict("leak.py", Some(776.2 * f64::from(1 << 20)));
    brief.to = Some(local_stamp(65_000));
    let record = judged(vec![brief]);
    let shown = render_text(&Report::Verdicts { record: &record, measured: 60 }, PLAIN);
    assert!(shown.contains("leak.py (pid 7) grows by 12.9 MiB/min, 1 min 5 s, 1,800 moments\n"), "{shown}");
    assert!(shown.contains("the log is short: ") && !shown.contains("% sure"), "{shown}");
    let table = render_markdown(&Report::Verdicts { record: &record, measured: 60 }, PLAIN);
    assert!(table.contains("| +12.9 MiB/min | `leak.py (pid 7)` | grows by "), "{table}");
}

#[test]
fn growth_is_folded_below_its_cause() {
    let of = |kind: &str, name: &str, rate| Verdict {
        kind: kind.into(),
        role: "root".into(),
        ..verdict(name, Some(rate))
    };
    let mut all =
        vec![of("module", "builtins", 9e8), of("rss", "bot.py", 9e8), of("holder", "app.cache", 8e8)];
    all.extend((0..40).map(|number| of("type", &format!("app.T{number}"), 7e8 - f64::from(number))));
    all.extend((0..9).map(|number| Verdict { pid: Some(100 + number), ..of("rss", "worker.py", 1e6) }));
    let record = judged(all);
    let report = Report::Verdicts { record: &record, measured: 60 };
    let shown = render_text(&report, PLAIN);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[2].starts_with("holder app.cache in root (pid 7) grows by "), "{shown}");
    let followers = "  with it: RSS of the process by 858.3 MiB/h, type app.T0 by 667.6 MiB/h, \
                     type app.T1 by 667.6 MiB/h, type app.T2 by 667.6 MiB/h, 37 more types, 1 module";
    assert_eq!(lines[3], followers, "{shown}");
    assert!(lines.len() <= 12 && shown.contains("… and 5 more are growing (all with --all)\n"), "{shown}");
    assert!(!shown.contains("builtins"), "{shown}");
    let narrow = render_text(&report, RenderOptions { width: Some(80), ..PLAIN });
    assert!(narrow.lines().skip(1).all(|line| line.chars().count() <= 80), "{narrow}");
    let everything = render_text(&report, RenderOptions { limit: None, ..PLAIN });
    assert!(everything.contains("module builtins in root"), "{everything}");
}

#[test]
fn pss_growth_is_not_repeated() {
    let mut again = verdict("leak.py", Some(2e6));
    again.kind = "pss".into();
    let record = judged(vec![verdict("leak.py", Some(3e6)), again]);
    let count = |options| {
        render_text(&Report::Verdicts { record: &record, measured: 60 }, options).matches("grows by").count()
    };
    assert_eq!((count(PLAIN), count(RenderOptions { limit: None, ..PLAIN })), (1, 2));
}

proptest! {
    #[test]
    fn any_name_keeps_tables_intact(name: String, other in "[|`\\\\<>\\n\\x1b*_~名👍]{0,12}") {
        let side = |size, rss| vec![
            measurement("r", 1, tree(&[process(1, 10, "bot", 1), process(2, 2, &name, rss), process(3, 3, &other, rss)])),
            measurement("m", 1, MeasuredData::Census(Arc::new(census_with_holders(
                &[(&name, 1, size), (&other, 1, size + 1)],
                &[(&name, 1, size)],
                &[(&other, 1, Some(size)), (&name, size, None)],
                false,
            )))),
        ];
        let comparison = compared(&side(10, 1), &side(5000, 9));
        let record = judged(vec![verdict(&name, Some(3e6)), verdict(&other, None)]);
        for report in [report(&comparison), Report::Verdicts { record: &record, measured: 2 }] {
            let options = RenderOptions { limit: None, width: Some(100), ..PLAIN };
            let shown = render_text(&report, options);
            prop_assert!(shown.lines().all(|line| !line.contains(char::is_control)), "{}", shown);
            let table = render_markdown(&report, options);
            prop_assert!(table.lines().all(|line| !line.contains(char::is_control)), "{}", table);
            // Every row of a table has as many cells as its title: pipes of names are none.
            let mut cells = 0;
            for line in table.lines() {
                let count = line.matches('|').count();
                let same = !line.starts_with('|') || cells == 0 || count == cells;
                prop_assert!(same, "{}", table);
                cells = if line.starts_with('|') { count } else { 0 };
            }
            let rows = CsvWriter::default().rows(&report).unwrap();
            let mut reader = ::csv::Reader::from_reader(rows.as_slice());
            let width = reader.headers().unwrap().len();
            let all: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            prop_assert!(all.iter().all(|row| row.len() == width && !row.iter().any(|cell| cell.contains(char::is_control))));
            let is_formula = |cell: &str| cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
            prop_assert!(!all.iter().flatten().any(is_formula), "{:?}", all);
        }
    }
}
