//! The picture of the heap: widths are bytes, all names are there, and a difference has the colour of its change.

use common::record::{CensusRecord, HeapNode, MemoryAccount, MemoryRow, Omitted, Record};

use super::{folder, memplot, svg, write};
use crate::support::samples;

const KIB: u64 = 1024;

/// Depth, kind, name, KiB.
pub type Row<'a> = (u32, &'a str, &'a str, u64);

/// A heap of 1,000 KiB.
pub const HEAP: [Row<'static>; 9] = [
    (0, "heap", "Python objects", 1000),
    (1, "module", "__main__", 600),
    (2, "holder", "__main__.bot.sessions", 500),
    (3, "type", "dict", 500),
    (4, "type", "Session <b>&名", 400),
    (2, "type", "function", 50),
    (1, "module", "(standard library)", 300),
    (2, "type", "code", 200),
    (1, "module", "aiohttp", 60),
];

/// The log of a census with such a tree.
pub fn log(rows: &[Row<'_>], change: impl FnOnce(&mut CensusRecord)) -> String {
    let nodes = rows.iter().map(|&(depth, kind, name, kib)| HeapNode {
        depth,
        kind: kind.into(),
        name: name.into(),
        count: kib * 2,
        size_bytes: kib * KIB,
        omitted: (depth == 0).then_some(Omitted { rows: 3, count: 80, size_bytes: 40 * KIB }),
    });
    let mut record = CensusRecord {
        pid: 7,
        name: Some("bot".into()),
        total_objects: 2000,
        total_size_bytes: 1000 * KIB,
        heap_tree: Some(nodes.collect()),
        ..CensusRecord::default()
    };
    change(&mut record);
    let record = record.with_header(samples::header());
    format!("{}\n", serde_json::to_string(&Record::Census(Box::new(record))).unwrap())
}

/// The class, left end, width and title of each block.
fn blocks(svg: &str) -> Vec<(String, f64, f64, String)> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let rects = document.descendants().filter(|node| node.has_tag_name("rect"));
    let titled = rects.filter_map(|rect| {
        let title = rect.children().find(|child| child.has_tag_name("title"))?.text()?.to_owned();
        let number = |name| rect.attribute(name).unwrap().parse::<f64>().unwrap();
        Some((rect.attribute("class").unwrap().to_owned(), number("x"), number("width"), title))
    });
    titled.collect()
}

fn block<'a>(all: &'a [(String, f64, f64, String)], title: &str) -> &'a (String, f64, f64, String) {
    let found = all.iter().find(|(_, _, _, text)| text.contains(title));
    found.unwrap_or_else(|| panic!("no {title} in {all:#?}"))
}

#[test]
fn heap_is_drawn_without_being_asked_for() {
    let one = svg(&log(&HEAP, |_| ()), &[]);
    let all = blocks(&one);
    assert_eq!(all.len(), HEAP.len() + 1, "and what the record left out");
    let root = block(&all, "Python objects: ");
    for (name, kib) in
        [("→ __main__: ", 600), ("bot.sessions: ", 500), ("→ code", 200), ("3 smaller ones", 40)]
    {
        let (_, left, wide, title) = block(&all, name);
        let expected = root.2 * f64::from(kib) / 1000.0;
        assert!((wide - expected).abs() < 1.5, "{title}: {wide} for {expected}");
        assert!(*left >= root.1 - 0.1 && left + wide <= root.1 + root.2 + 0.1, "{title} is below the whole");
    }
    let session = block(&all, "Python objects → __main__ → bot.sessions → dict → Session <b>&名: ");
    assert!(session.3.ends_with("400 KiB, 800 objects"), "{}", session.3);
    assert!(one.contains("Heap by holder: bot (pid 7)"));
    // Of two moments a plot over time is the default.
    let two = format!("{}{}", log(&HEAP, |_| ()), log(&HEAP, |_| ()));
    assert!(memplot(&[]).stdin(two).run().out().find("Heap by holder").is_none());
}

#[test]
fn width_is_rss_with_an_account() {
    let log = log(&HEAP, |record| {
        let row = |kind: &str, detail: Option<&str>, kib| MemoryRow {
            kind: kind.into(),
            detail: detail.map(Into::into),
            private_bytes: kib * KIB,
            shared_bytes: 0,
            swap_bytes: 0,
        };
        record.rss_bytes = Some(4000 * KIB);
        let rows = vec![
            row("python_objects", None, 1200),
            row("file", Some("/usr/lib/libc.so"), 1500),
            row("file", None, 500),
            row("native_used", None, 800),
        ];
        record.memory = Some(MemoryAccount { rss_bytes: 4000 * KIB, rows, ..MemoryAccount::default() });
    });
    let all = blocks(&svg(&log, &[]));
    let root = block(&all, "Resident memory: ");
    assert!(root.3.contains("3.91 MiB"), "{}", root.3);
    let parts = [
        ("→ Python objects: ", 1000),
        ("→ files and libraries: ", 2000),
        ("malloc", 800),
        ("around objects", 200),
    ];
    for (name, kib) in parts {
        let expected = root.2 * f64::from(kib) / 4000.0;
        assert!((block(&all, name).2 - expected).abs() < 1.5, "{name}");
    }
    assert!(
        block(&all, "/usr/lib/libc.so").3.starts_with("Resident memory → files and libraries → /usr/lib")
    );
}

#[test]
fn difference_shows_growth_and_loss() {
    let mut later = HEAP;
    for (depth, kib) in [(0, 1100), (1, 700), (2, 600), (3, 600), (4, 500)] {
        later[depth].3 = kib;
    }
    later[8] = (1, "module", "numpy", 60);
    let files = folder(&log(&HEAP, |_| ()));
    write(files.path(), "later.jsonl", &log(&later, |_| ()));
    let run = memplot(&["log.jsonl", "later.jsonl", "--what", "heap"]).dir(files.path()).run().expect_code(0);
    let all = blocks(&run.out());
    let class = |title: &str| block(&all, title).0.chars().next().unwrap();
    assert_eq!(
        (class("bot.sessions → dict → Session"), class("→ numpy"), class("→ aiohttp"), class("→ code")),
        ('r', 'r', 'b', 'n')
    );
    assert!(block(&all, "→ Session").3.ends_with("+100 KiB, now 500 KiB, 1,000 objects"), "{all:#?}");
    assert!(block(&all, "→ aiohttp").3.contains("−60.0 KiB, now 0 B"), "{all:#?}");
    assert!(run.out().contains("log → later"), "the sides");
    // First and last of one log say the same.
    let both = format!("{}{}", log(&HEAP, |_| ()), log(&later, |_| ()));
    assert_eq!(blocks(&svg(&both, &["--what", "heap"])), all);
}

/// Left end, top, width and height of each block of a treemap, by title.
fn areas(svg: &str) -> Vec<(String, [f64; 4])> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let rects = document.descendants().filter(|node| node.has_tag_name("rect"));
    let titled = rects.filter_map(|rect| {
        let title = rect.children().find(|child| child.has_tag_name("title"))?.text()?.to_owned();
        Some((
            title,
            ["x", "y", "width", "height"].map(|name| rect.attribute(name).unwrap().parse().unwrap()),
        ))
    });
    titled.collect()
}

#[test]
fn treemap_areas_are_bytes() {
    let svg = svg(&log(&HEAP, |_| ()), &["--what", "treemap"]);
    let all = areas(&svg);
    assert_eq!(all.len(), HEAP.len() + 1, "{all:#?}");
    let find = |title: &str| {
        all.iter()
            .find(|(text, _)| text.contains(title))
            .unwrap_or_else(|| panic!("no {title} in {all:#?}"))
            .1
    };
    let size = |title: &str| {
        let [_, _, width, height] = find(title);
        width * height
    };
    // Parts of one block share what its name leaves.
    for (a, b, ratio) in [
        ("→ __main__: ", "→ (standard library): ", 2.0),
        ("→ aiohttp: ", "smaller ones: ", 1.5),
        ("bot.sessions: ", "__main__ → function: ", 10.0),
    ] {
        let found = size(a) / size(b);
        assert!((found / ratio - 1.0).abs() < 0.03, "{a} {b}: {found}");
    }
    // The type takes two thirds of its module: the rest is the module's own.
    let [[x, y, width, height], [inner_x, inner_y, inner_width, inner_height]] =
        [find("→ (standard library): "), find("→ code: ")];
    assert!(inner_x >= x && inner_y >= y + 10.0, "below the name");
    assert!(inner_x + inner_width <= x + width && inner_y + inner_height <= y + height);
    let share = inner_width * inner_height / ((width - 6.0) * (height - 20.0));
    assert!((share - 2.0 / 3.0).abs() < 0.02, "{share}");
    for text in ["Session &lt;b&gt;&amp;名", "400 KiB", "bot.sessions  500 KiB"] {
        assert!(svg.contains(text), "no {text}");
    }
}

#[test]
fn treemap_is_no_text() {
    let run =
        memplot(&["--what", "treemap", "--format", "text"]).stdin(log(&HEAP, |_| ())).run().expect_code(2);
    assert_eq!(run.err().lines().count(), 1, "{run}");
    assert!(run.err().contains("--what heap") && run.err().contains("-o heap.svg"), "{run}");
}

/// The census of a worker, as part of an iteration.
fn worker(pid: u32, iteration: u64, sessions_kib: u64) -> String {
    let mut rows = HEAP;
    (rows[1].3, rows[2].3) = (100 + sessions_kib, sessions_kib);
    rows[0].3 = 500 + sessions_kib;
    let log = log(&rows, |record| record.pid = pid);
    let mut record: serde_json::Value = serde_json::from_str(&log).unwrap();
    record["iteration"] = iteration.into();
    format!("{record}\n")
}

#[test]
fn processes_are_side_by_side() {
    let one = format!("{}{}", worker(7, 1, 500), worker(8, 1, 1500));
    // Of one moment it is the picture of choice.
    let picture = svg(&one, &[]);
    assert!(picture.contains("Heap by holder: bot (pid 7) and 1 other process"), "{picture}");
    let all = blocks(&picture);
    let [whole, first, second] =
        ["All processes: ", "→ bot (pid 7): ", "→ bot (pid 8): "].map(|name| block(&all, name).2);
    assert!((first / whole - 1.0 / 3.0).abs() < 0.01 && (second / whole - 2.0 / 3.0).abs() < 0.01);
    assert!(block(&all, "All processes → bot (pid 8) → __main__ → bot.sessions: ").3.contains("1.46 MiB"));
    // One that came and one that went, each in its colour.
    let two = format!("{one}{}{}", worker(8, 2, 1600), worker(9, 2, 500));
    let all = blocks(&svg(&two, &["--what", "heap"]));
    let class = |title: &str| block(&all, title).0.chars().next().unwrap();
    assert_eq!(
        (class("→ bot (pid 7): "), class("→ bot (pid 8): "), class("→ bot (pid 9): ")),
        ('b', 'r', 'r')
    );
    assert!(block(&all, "(pid 8) → __main__ → bot.sessions: ").3.contains("+100 KiB"), "{all:#?}");
    // They can be chosen.
    let other = log(&HEAP, |record| (record.pid, record.name) = (5, Some("cron".into())));
    let picture = svg(&format!("{one}{other}"), &["--what", "heap", "--grep", "^cron$"]);
    assert!(picture.contains("Heap by holder: cron (pid 5)<") && !picture.contains("All processes"));
    let run = memplot(&["--what", "heap", "--grep", "nginx"]).stdin(one).run().expect_code(2);
    assert!(run.err().contains("'nginx'"), "{run}");
}

#[test]
fn processes_of_two_logs_are_matched() {
    let files = folder(&format!("{}{}", worker(7, 1, 500), worker(8, 1, 500)));
    write(files.path(), "later.jsonl", &format!("{}{}", worker(17, 1, 500), worker(18, 1, 900)));
    let run = memplot(&["log.jsonl", "later.jsonl", "--what", "heap"]).dir(files.path()).run().expect_code(0);
    let all = blocks(&run.out());
    assert!(block(&all, "All processes → bot: ").3.contains("±0 B"), "{all:#?}");
    assert!(block(&all, "All processes → bot #2: ").3.contains("+400 KiB"), "{all:#?}");
}

#[test]
fn text_fits_its_columns() {
    let text = svg(&log(&HEAP, |_| ()), &["--format", "text"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| common::columns::width(line) <= 100), "{text}");
    let line =
        |name: &str| *lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{text}"));
    let bar = |name: &str| line(name).chars().filter(|&letter| letter == '█').count();
    assert!(line("bot.sessions").contains("500 KiB  50 %"), "{text}");
    assert!((bar("sessions") * 2).abs_diff(bar("Python objects")) <= 2, "{text}");
    let start = |name: &str| line(name).chars().position(|letter| letter == '█').unwrap();
    assert!(start("(standard library)") > start("bot.sessions"), "bars stand at their place: {text}");
}

#[test]
fn log_without_tree_is_refused() {
    let log = log(&HEAP, |record| record.heap_tree = None);
    let run = memplot(&["--what", "heap"]).stdin(log).run().expect_code(2);
    assert!(
        run.err().contains("no tree of holders") && run.err().contains("memobj --retained"),
        "{}",
        run.err()
    );
}

#[test]
fn hostile_trees_are_drawn() {
    let deep: Vec<Row<'_>> = (0..100_000).map(|n| (n, "type", "x", 1)).collect();
    let jump: [Row<'_>; 3] =
        [(0, "heap", "a", 0), (u32::MAX, "new kind", "b", u64::MAX / KIB), (7, "type", "c", u64::MAX / KIB)];
    for rows in [&deep[..], &jump] {
        let log = log(rows, |_| ());
        for format in ["svg", "text", "html"] {
            memplot(&["--what", "heap", "--format", format]).stdin(log.clone()).run().expect_code(0);
        }
    }
}
