//! memplot's HTML page in a browser: tooltips, zoom, switches, search, and hostile names.
//!
//! Chromium and chromedriver run it; `.ci/run` installs them. Without them these tests are skipped, and say so.

use std::path::PathBuf;
use std::time::Duration;

use common::units::Bytes;
use memplot::cli::Theme;
use memplot::figure::{Figure, Mark, MarkKind, Point, Series, Unit};
use memplot::html::render;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::browser::{Browser, Mouse};
use crate::support::{PATIENCE, wait_until};

const START: i64 = 1_780_000_000_000;
const MIB: u64 = 1 << 20;
/// WebDriver's character of the Escape key, and of the arrow to the right.
const ESCAPE: &str = "\u{e00c}";
const RIGHT: &str = "\u{e014}";

/// A browser of this size that shows the page of a figure.
fn show(figure: &Figure, size: (u32, u32)) -> Option<(Browser, TempDir)> {
    let browser = Browser::start(size)?;
    let folder = tempfile::tempdir().unwrap();
    open(&browser, &folder, figure);
    Some((browser, folder))
}

fn open(browser: &Browser, folder: &TempDir, figure: &Figure) -> PathBuf {
    let file = folder.path().join("page.html");
    std::fs::write(&file, render(figure, Theme::Auto)).unwrap();
    browser.open(&file);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    file
}

fn series(name: &str, colour: usize, runs: Vec<Vec<Point>>) -> Series {
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

fn point(second: u64, bytes: u64) -> Point {
    Point { unix_ms: START + i64::try_from(second).unwrap() * 1000, value: bytes as f64 }
}

/// The value of a series at a second, different for each.
fn size(series: u64, second: u64) -> u64 {
    (100 * (series + 1) + second) * MIB + series * 4096
}

const NAMES: [&str; 3] = ["python3 bot.py", "worker 图像 🐍", "worker mail"];

/// Ten minutes of three processes, without samples from 200 to 299 s.
fn tree() -> Figure {
    let runs = |of: &dyn Fn(u64) -> u64| {
        [0..200, 300..600].map(|seconds| seconds.map(|second| point(second, of(second))).collect()).into()
    };
    let parts = (0..3_u64).map(|n| {
        series(NAMES[usize::try_from(n).unwrap()], usize::try_from(n).unwrap(), runs(&|s| size(n, s)))
    });
    let mark = |second, kind, text: &str| Mark {
        unix_ms: point(second, 0).unix_ms,
        kind,
        count: 1,
        text: text.into(),
    };
    Figure {
        title: "Memory of python3 bot.py".into(),
        subtitle: vec!["500 samples".into()],
        unit: Unit::Bytes,
        stacked: true,
        log_scale: false,
        delta: false,
        time: (START, START + 599_000),
        series: parts.collect(),
        total: Some(Series {
            colour: None,
            ..series("total", 0, runs(&|s| (0..3).map(|n| size(n, s)).sum()))
        }),
        marks: vec![
            mark(100, MarkKind::Started, "worker mail started"),
            mark(450, MarkKind::Oom, "killed <b>for want of memory</b>"),
        ],
    }
}

fn lines(names: &[&str]) -> Figure {
    let run = |n: u64| (0..50).map(|second| point(second, (1 + n) * MIB + second)).collect();
    let all =
        names.iter().enumerate().map(|(n, name)| series(name, n % 9, vec![run(u64::try_from(n).unwrap())]));
    Figure { series: all.collect(), total: None, marks: Vec::new(), stacked: false, ..tree() }
}

/// The position of the drawing in the window: left, top, width, height.
fn place(browser: &Browser) -> [i64; 4] {
    let place = browser.run(
        "const r = document.getElementById('overlay').getBoundingClientRect(); return [r.left, r.top, r.width, r.height]",
        Value::Null,
    );
    std::array::from_fn(|n| place[n].as_f64().unwrap() as i64)
}

/// A position in the drawing, in percent of its width and height.
fn at(browser: &Browser, across: i64, down: i64) -> (i64, i64) {
    let [left, top, width, height] = place(browser);
    (left + width * across / 100, top + height * down / 100)
}

/// The visible range of time.
fn range(browser: &Browser) -> (f64, f64) {
    let read =
        |end| browser.run("return Number(document.getElementById('range').dataset[arguments[0]])", end);
    (read("from").as_f64().unwrap(), read("to").as_f64().unwrap())
}

/// The number of column ranges with a series' colour on the canvas, at least 20 columns apart, and of its pixels. Pixels
/// at the edges of a line have mixed colours and do not count.
fn painted(browser: &Browser, colour: &str) -> (u64, u64) {
    let found = browser.run(
        "const canvas = document.getElementById('chart');
         const hex = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim();
         const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
         const { width, height } = canvas;
         const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
         let stretches = 0, count = 0, last = -Infinity;
         for (let x = 0; x < width; x++) {
           let here = 0;
           for (let y = 0; y < height; y++) {
             const i = 4 * (y * width + x);
             if (pixels[i] === r && pixels[i + 1] === g && pixels[i + 2] === b) here++;
           }
           if (here && x - last > 20) stretches++;
           if (here) last = x;
           count += here;
         }
         return [stretches, count]",
        colour,
    );
    (found[0].as_u64().unwrap(), found[1].as_u64().unwrap())
}

/// The table row of a series.
fn cells(browser: &Browser, name: &str) -> Vec<String> {
    let find = "return [...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))
        .find((cells) => cells[0] === arguments[0])";
    serde_json::from_value(browser.run(find, name)).unwrap()
}

#[test]
fn tooltip_shows_all_values() {
    let figure = tree();
    let Some((browser, _folder)) = show(&figure, (1300, 900)) else { crate::skip!("no Chromium") };
    let (x, y) = at(&browser, 20, 80);
    browser.mouse(&[Mouse::To(x, y)]);
    let shown = browser.text("#tip");
    let clock = shown.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let shows_clock = |second: &u64| {
        let moment = common::time::Stamp::from_unix_seconds((START / 1000) as f64 + *second as f64).unwrap();
        moment.format("%H:%M:%S") == clock
    };
    let second = (0..600_u64).find(shows_clock).unwrap_or_else(|| panic!("no moment of the figure: {shown}"));
    for (n, name) in (0..).zip(NAMES) {
        let value = Bytes(size(n, second)).to_string();
        assert!(shown.contains(name) && shown.contains(&value), "{name} {value}: {shown}");
        // And the table below has the same.
        assert_eq!(cells(&browser, name).last(), Some(&value));
    }
    let total = Bytes((0..3).map(|n| size(n, second)).sum()).to_string();
    assert!(shown.contains(&total), "{total}: {shown}");
    // The keyboard goes on from there, and where nothing was measured it steps over the gap.
    browser.keys(RIGHT);
    let value = Bytes(size(0, second + 1)).to_string();
    assert!(browser.text("#tip").contains(&value), "{value}: {}", browser.text("#tip"));
    let [left, top, width, _] = place(&browser);
    browser.mouse(&[Mouse::To(left + width, top + 5)]);
    assert_eq!(browser.text("#tip"), "", "beside the drawing there is no moment");
}

#[test]
fn drag_and_wheel_zoom() {
    let Some((browser, _folder)) = show(&tree(), (1300, 900)) else { crate::skip!("no Chromium") };
    let whole = range(&browser);
    assert_eq!(whole, (START as f64, START as f64 + 599_000.0));
    let drag = |from: (i64, i64), to: (i64, i64)| {
        browser.mouse(&[Mouse::To(from.0, from.1), Mouse::Down, Mouse::To(to.0, to.1), Mouse::Up]);
    };
    let zoomed = |what: &str| {
        let (from, to) = range(&browser);
        assert!(from > whole.0 && to < whole.1 && to - from > 100.0, "{what}: {from} {to}");
        assert_eq!(browser.text("#reset"), "Show all");
    };
    drag(at(&browser, 40, 40), at(&browser, 60, 42));
    zoomed("a drag");
    // What is pointed at then is in that part.
    let (x, y) = at(&browser, 50, 80);
    browser.mouse(&[Mouse::To(x, y)]);
    assert!(browser.text("#tip").contains("MiB"), "{}", browser.text("#tip"));
    browser.keys(ESCAPE);
    assert_eq!((range(&browser), browser.text("#tip").as_str()), (whole, ""));
    browser.wheel(at(&browser, 50, 50), -240);
    zoomed("the wheel");
    let (x, y) = at(&browser, 50, 50);
    browser.mouse(&[Mouse::To(x, y), Mouse::Down, Mouse::Up, Mouse::Down, Mouse::Up]);
    assert_eq!(range(&browser), whole, "a double click");
    drag(at(&browser, 60, 40), at(&browser, 30, 40));
    zoomed("a drag to the left");
    browser.run("document.getElementById('reset').click()", Value::Null);
    assert_eq!(range(&browser), whole, "the button");
    drag(at(&browser, 50, 40), at(&browser, 50, 41));
    assert_eq!(range(&browser), whole, "a click is no drag");
}

#[test]
fn label_click_toggles_series() {
    let Some((browser, _folder)) = show(&tree(), (1300, 900)) else { crate::skip!("no Chromium") };
    let press = |nth: usize| {
        browser.run("document.querySelectorAll('.label')[arguments[0]].click()", nth);
    };
    let full = painted(&browser, "--c1");
    assert!(full.1 > 10_000, "an area: {full:?}");
    press(2);
    assert_eq!(painted(&browser, "--c1").1, 0, "switched off");
    assert!(painted(&browser, "--c2").1 > 10_000, "the others stay");
    let pressed = "return document.querySelectorAll('[aria-pressed=false]').length";
    // Its label, its row, and the button for the form that is not chosen.
    assert_eq!(browser.run(pressed, Value::Null), 3);
    press(2);
    assert_eq!(painted(&browser, "--c1"), full);
    // As lines it is a line.
    browser.run("document.querySelector('[value=lines]').click()", Value::Null);
    let line = painted(&browser, "--c1").1;
    assert!(line > 100 && line < full.1 / 5, "{line}");
}

#[test]
fn gaps_and_events_are_shown() {
    let Some((browser, _folder)) = show(&tree(), (1300, 900)) else { crate::skip!("no Chromium") };
    for form in ["stack", "lines"] {
        browser.run("document.querySelector(`[value=${arguments[0]}]`).click()", form);
        assert_eq!(painted(&browser, "--c0").0, 2, "{form}: before and after the gap");
    }
    assert!(painted(&browser, "--alert").1 > 10, "a mark");
    let events = browser.text("#events");
    assert!(
        events.contains("worker mail started") && events.contains("<b>for want of memory</b>"),
        "{events}"
    );
}

#[test]
fn one_sample_is_as_wide_as_the_axis() {
    let all = tree();
    let one = |name: &str, colour, mebibytes| series(name, colour, vec![vec![point(0, mebibytes * MIB)]]);
    let total = Some(Series { colour: None, ..one("total", 0, 110) });
    let series = vec![one("bot", 0, 100), one("worker", 1, 10)];
    let figure = Figure { series, total, time: (START, START), marks: Vec::new(), ..all };
    let Some((browser, _folder)) = show(&figure, (1000, 700)) else { crate::skip!("no Chromium") };
    let [_, _, width, height] = place(&browser);
    // The area fills the plot below its value, not two columns.
    let (ranges, pixels) = painted(&browser, "--c0");
    assert!(ranges == 1 && pixels > (width * height / 4).cast_unsigned(), "{ranges} {pixels}");
    assert!(!browser.text("#range").contains('–'), "{}", browser.text("#range"));
}

#[test]
fn no_wedge_opens_where_a_process_ends() {
    let mut figure = tree();
    // The worker ends at 100 s. Of its last sample and the next the total differs by its size.
    let runs =
        |from, until, of: &dyn Fn(u64) -> u64| vec![(from..until).map(|n| point(n * 100, of(n))).collect()];
    figure.series = vec![
        series(NAMES[0], 0, runs(0, 6, &|_| 200 * MIB)),
        series(NAMES[1], 1, runs(0, 2, &|_| 200 * MIB)),
    ];
    figure.total = Some(Series {
        colour: None,
        ..series("total", 0, runs(0, 6, &|n| if n < 2 { 400 } else { 200 } * MIB))
    });
    figure.marks.clear();
    let Some((browser, _folder)) = show(&figure, (1300, 900)) else { crate::skip!("no Chromium") };
    // In the columns between those samples, the pixels of the background below the line.
    let wedge = "const canvas = document.getElementById('chart'), pen = canvas.getContext('2d');
        const hex = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        const rgb = (name) => [1, 3, 5].map((i) => parseInt(hex(name).slice(i, i + 2), 16)).join();
        const [paper, area] = [rgb('--paper'), rgb('--c0')];
        const ink = rgb('--ink');
        let open = 0;
        for (let x = Math.round(canvas.width * 0.22); x < canvas.width * 0.28; x++) {
          const column = pen.getImageData(x, 0, 1, canvas.height).data;
          const at = (y) => column.slice(4 * y, 4 * y + 3).join();
          const bottom = [...Array(canvas.height).keys()].filter((y) => at(y) === area)[0];
          let line = -1;
          for (let y = 0; y < bottom; y++) if (at(y) === ink) line = y;
          if (line < 0) continue;
          for (let y = line + 1; y < bottom; y++) if (at(y) === paper) open++;
        }
        return open";
    assert_eq!(browser.run(wedge, Value::Null), 0);
}

#[test]
fn hostile_names_stay_text() {
    let hostile = [
        "</script><script>window.owned = 1</script>",
        "<!--<script>",
        "<img src=x onerror='window.owned = 2'>",
        "\"'><svg onload=window.owned=3>",
        "a\u{2028}b\u{2029}c\u{202e}gpj.exe\u{0}\u{1b}[31m\n",
        "__proto__",
        "${window.owned = 4}",
        "&lt;b&gt; ]]> \\u003c",
    ];
    let mut figure = lines(&hostile);
    figure.title = format!("{} {}", hostile[0], hostile[1]);
    figure.subtitle = vec![hostile[2].to_owned()];
    figure.marks =
        vec![Mark { unix_ms: START, kind: MarkKind::Limit, count: 1, text: hostile[0].to_owned() }];
    let Some((browser, _folder)) = show(&figure, (1300, 900)) else { crate::skip!("no Chromium") };
    let (x, y) = at(&browser, 30, 30);
    browser.mouse(&[Mouse::To(x, y)]);
    assert_eq!(browser.run("return window.owned ?? null", Value::Null), Value::Null);
    assert_eq!(
        browser.run("return [document.scripts.length, document.images.length]", Value::Null),
        serde_json::json!([2, 0])
    );
    assert_eq!(browser.run("return document.title", Value::Null), figure.title);
    let names = browser.run(
        "return [...document.querySelectorAll('tbody .name')].map((name) => name.textContent)",
        Value::Null,
    );
    let expected: Vec<_> = hostile.iter().map(|name| common::stdio::escape_controls(name)).collect();
    assert_eq!(names, serde_json::json!(expected));
    assert!(browser.text("#tip").contains("__proto__"), "{}", browser.text("#tip"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn page_makes_no_requests() {
    let Some((browser, _folder)) = show(&tree(), (1300, 900)) else { crate::skip!("no Chromium") };
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length", Value::Null), 0);
    // Another script, put in by whatever way, does not run; nothing is fetched, from nowhere.
    let strange = "const script = document.createElement('script');
        script.textContent = 'window.owned = 1';
        document.body.append(script);
        const image = await new Promise((done) => {
          const made = new Image();
          made.onload = () => done('loaded');
          made.onerror = () => done('refused');
          made.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAAC';
        });
        const fetched = await fetch('data:text/plain,x').then(() => 'fetched', () => 'refused');
        return [window.owned ?? null, image, fetched];";
    assert_eq!(browser.run(strange, Value::Null), serde_json::json!([null, "refused", "refused"]));
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}

#[test]
fn table_sorts_and_searches() {
    let names: Vec<String> = (0..10_000).map(|n| format!("type {n}")).collect();
    let figure = lines(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let Some((browser, folder)) = show(&figure, (1300, 900)) else { crate::skip!("no Chromium") };
    let first = || browser.text("tbody tr:first-child .name");
    assert!(
        browser.text("#note").starts_with("200 of 10,000 series are listed"),
        "{}",
        browser.text("#note")
    );
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length", Value::Null), 200);
    assert_eq!(first(), "type 0");
    let sort = |column: usize| {
        browser.run("document.querySelectorAll('thead button')[arguments[0]].click()", column);
    };
    sort(2);
    assert_eq!(first(), "type 9999", "the largest first");
    sort(2);
    assert_eq!(first(), "type 0", "turned round");
    let search = "const search = document.getElementById('search');
        search.value = arguments[0];
        search.dispatchEvent(new Event('input'));";
    browser.run(search, "TYPE 777");
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length", Value::Null), 11);
    // However many there are, the cursor follows the mouse.
    let start = std::time::Instant::now();
    browser.mouse(&[Mouse::To(500, 300)]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(browser.text("#tip").contains("more in the table"), "{}", browser.text("#tip"));

    // One point, and nothing at all, are pages too.
    let mut little = lines(&["alone"]);
    little.time = (START, START);
    little.series[0].runs = vec![vec![point(0, 5 * MIB)]];
    little.series[0].last = Some(point(0, 5 * MIB));
    open(&browser, &folder, &little);
    assert!(painted(&browser, "--c0").1 > 4, "a dot");
    assert!(browser.text("#table").contains("5.00 MiB"), "{}", browser.text("#table"));
    little.series.clear();
    open(&browser, &folder, &little);
    assert_eq!(browser.text("#empty"), "Nothing was measured.");
}

#[test]
fn page_fits_phone_and_dark_mode() {
    let Some((browser, _folder)) = show(&tree(), (390, 800)) else { crate::skip!("no Chromium") };
    let ground = || browser.run("return getComputedStyle(document.body).backgroundColor", Value::Null);
    browser.prefer("light");
    let light = ground();
    browser.prefer("dark");
    assert_ne!(ground(), light);
    // The page hears of the change a moment after it was made.
    wait_until(PATIENCE, "the drawing in dark colours", || painted(&browser, "--c0").1 > 1000);
    let wider = "return document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(browser.run(wider, Value::Null), 0, "nothing sticks out");
    let below = "return document.querySelector('.label').getBoundingClientRect().top
        - document.getElementById('chart').getBoundingClientRect().bottom";
    assert!(browser.run(below, Value::Null).as_f64().unwrap() >= 0.0, "labels are below");
}
