//! Whole screens, as text.

use std::time::{Duration, Instant};

use common::record::{ErrorRecord, EventKind, Pressure, ProcessRecord, Record, System};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::glyphs;
use super::keys::Key;
use super::screen::Screen;
use super::testing::{event, header, record, sample, tree};

const MIB: u64 = 1 << 20;

fn render(screen: &mut Screen, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    screen.render(area, &mut buffer);
    buffer
}

/// The screen as lines, without the blanks at their ends.
fn lines(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
    let buffer = render(screen, width, height);
    let line = |y| {
        let mut line = String::new();
        // The cell behind a wide character is covered by it.
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += glyphs::width(symbol).max(1);
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

fn fed(records: impl IntoIterator<Item = ProcessRecord>) -> Screen {
    let mut screen = Screen::new(true, true);
    records.into_iter().for_each(|record| screen.take(&Record::Process(Box::new(record))));
    screen
}

/// A bot with two workers, one of which grows and has a child.
fn bot(iteration: u64) -> ProcessRecord {
    let mut bot = record(1234, iteration, 100 * MIB);
    bot.name = "bot.py".into();
    bot.cmdline = Some(["python", "bot.py", "--serve"].map(str::to_owned).to_vec().into());
    (bot.cpu_ratio, bot.threads) = (Some(0.123), Some(4));
    bot.children = vec![
        sample(1235, 1234, "worker", (50 + iteration * 10) * MIB),
        sample(1236, 1234, "worker", 20 * MIB),
        sample(1240, 1235, "名前", 300 << 10),
    ];
    bot.total_rss_bytes = bot.children.iter().filter_map(|c| c.rss_bytes).sum::<u64>() + 100 * MIB;
    bot.system = Some(System { total_bytes: 16 << 30, available_bytes: Some(12 << 30) });
    bot
}

/// Thirteen samples; before the last one a worker was killed. Events, output and pressure.
fn eventful() -> Screen {
    let mut screen = fed((1..=12).map(bot));
    let mut grew = event(EventKind::Grew, 1235, 1234);
    grew.name = Some("worker".into());
    (grew.growth_bytes, grew.value_bytes) = (Some(10 << 20), Some(180 << 20));
    screen.take(&Record::ProcessEvent(Box::new(grew)));
    let mut last = bot(13);
    last.children.remove(1);
    last.pressure = Some(Pressure {
        some_avg10_ratio: 0.003,
        some_avg60_ratio: 0.0,
        some_avg300_ratio: 0.0,
        some_total_seconds: 1.0,
        full_avg10_ratio: 0.0,
        full_avg60_ratio: 0.0,
        full_avg300_ratio: 0.0,
        full_total_seconds: 0.0,
    });
    screen.take(&Record::Process(Box::new(last)));
    let mut killed = event(EventKind::Exited, 1236, 1234);
    (killed.signal, killed.name) = (Some(9), Some("worker".into()));
    screen.take(&Record::ProcessEvent(Box::new(killed)));
    screen.take_output("serving on port 8000");
    screen.take_output("\x1b[31mred\x1b[0m");
    screen
}

#[test]
fn ordinary_screen() {
    let expected = "\
bot.py (1234)  every 10 s  sample 13  on host                           22:27:00
Machine ██████·················· 4.00G/16.00G  PSI some 0.3% full 0.0%
Total 300.3M  +60.00M/min over 2 min 0 s                                 ▁▂▃▄▆▇█
min 180.3M max 300.3M  PSS –  3 processes                          ▁▂▄▅▆▇███████
NAME           PID S    RSS          CHANGE            HISTORY    PSS  CPU%  THR
bot.py        1234 S 100.0M ███▉         ±0      ▁▁▁▁▁▁▁▁▁▁▁▁▁      –  12.3    4
├─worker      1235 S 180.0M ███████ +120.0M      ▁▂▂▃▃▄▅▅▆▆▇▇█      –     –    –
│ └─名前      1240 S 300.0K ▏            ±0      ▁▁▁▁▁▁▁▁▁▁▁▁▁      –     –    –
└─worker      1236 S 20.00M SIGKILL      ±0       ▁▁▁▁▁▁▁▁▁▁▁▁      –     –    –








── events ──────────────────────────────────────────────────────────────────────
22:27:00 worker (1235) grew by +10.00 MiB to 180.00 MiB
22:27:00 worker (1236): SIGKILL
── output ──────────────────────────────────────────────────────────────────────
serving on port 8000
\\u{1b}[31mred\\u{1b}[0m
q quit  s sort: tree  ↑↓ scroll  PgUp PgDn page";
    assert_eq!(lines(&mut eventful(), 80, 24).join("\n"), expected);
}

#[test]
fn small_screen_keeps_essentials() {
    let expected = "\
bot.py (1234)  every 10 s       22:27:00
Machine ████▊·············· 4.00G/16.00G
Total 300.3M  +60.00M/min  ▁▂▂▃▃▄▅▅▆▆▇▇█
NAME         S    RSS  CHANGE    HISTORY
bot.py       S 100.0M      ±0 ▁▁▁▁▁▁▁▁▁▁
├─worker     S 180.0M +120.0M ▁▂▃▃▄▅▆▆▇█
│ └─名前     S 300.0K      ±0 ▁▁▁▁▁▁▁▁▁▁
22:27:00 worker (1236): SIGKILL
\\u{1b}[31mred\\u{1b}[0m
q quit  s sort: tree  ↑↓ scroll 1–3 of 4";
    assert_eq!(lines(&mut eventful(), 40, 10).join("\n"), expected);
}

#[test]
fn large_screen_shows_commands() {
    let lines = lines(&mut eventful(), 200, 50);
    assert!(lines.iter().any(|line| line.ends_with(" python bot.py --serve")), "{lines:#?}");
    let history = lines.iter().take(7).filter(|line| line.ends_with('█')).count();
    assert!(history >= 4, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("3 processes")), "{lines:#?}");
}

#[test]
fn smallest_screens_are_drawn() {
    let mut screen = eventful();
    for (width, height) in [(10, 3), (1, 1), (2, 50), (300, 1), (1, 300), (0, 0), (0, 9), (9, 0)] {
        render(&mut screen, width, height);
    }
    assert_eq!(lines(&mut screen, 10, 3), ["bot.py (1…", "Total 300…", "bot.py"]);
}

#[test]
fn waiting_is_shown_before_samples() {
    let mut screen = Screen::new(true, true);
    let rows = lines(&mut screen, 60, 8);
    assert_eq!(rows[0], "memmon");
    assert!(rows.iter().any(|line| line == "waiting for the first sample…"), "{rows:#?}");
    // A process that cannot be sampled is shown too.
    screen.take(&Record::Error(ErrorRecord::new(header(1), "sample", "no such process".into())));
    assert!(lines(&mut screen, 60, 8).iter().any(|line| line == "22:27:00 sample: no such process"));
}

#[test]
fn each_root_has_a_total() {
    let mut screen = fed([tree(1, 1, &[(2, 1)]), tree(7, 1, &[(8, 7), (9, 8)])]);
    let rows = lines(&mut screen, 60, 14);
    assert!(rows[0].starts_with("p1, p7  every 10 s"), "{rows:#?}");
    for row in ["Σ p1 (2)", "└─p2", "Σ p7 (3)", "└─p8", "  └─p9"] {
        assert!(rows.iter().any(|line| line.starts_with(row)), "{row}: {rows:#?}");
    }
    // Sorted by size they stand together, without the sums.
    screen.press(Key::Sort);
    let rows = lines(&mut screen, 60, 14);
    assert!(!rows.iter().any(|line| line.contains('Σ') || line.contains('└')), "{rows:#?}");
    assert!(rows.iter().any(|line| line.contains("RSS▾")), "{rows:#?}");
}

#[test]
fn exit_is_shown_in_title() {
    let mut screen = fed((1..=3).map(bot));
    let mut exited = event(EventKind::Exited, 1234, 1234);
    exited.exit_code = Some(3);
    screen.take(&Record::ProcessEvent(Box::new(exited)));
    let rows = lines(&mut screen, 80, 24);
    assert!(rows[0].starts_with("bot.py (1234)  exit 3  "), "{rows:#?}");
}

#[test]
fn keys_scroll_and_sort() {
    let children: Vec<_> = (2..=100).map(|pid| (pid, 1)).collect();
    let mut screen = fed([tree(1, 1, &children)]);
    let place =
        |screen: &mut Screen| lines(screen, 80, 24)[23].rsplit("  ").next().unwrap().trim().to_owned();
    assert_eq!(place(&mut screen), "1–19 of 100");
    for (key, expected) in [
        (Key::Up, "1–19 of 100"),
        (Key::Down, "2–20 of 100"),
        (Key::PageDown, "20–38 of 100"),
        (Key::End, "82–100 of 100"),
        (Key::Down, "82–100 of 100"),
        (Key::PageUp, "64–82 of 100"),
        (Key::Home, "1–19 of 100"),
        (Key::Repaint, "1–19 of 100"),
    ] {
        assert!(!screen.press(key));
        assert_eq!(place(&mut screen), expected, "{key:?}");
    }
    screen.press(Key::End);
    assert!(screen.press(Key::Quit));
    // Most processes ended: the view goes with them.
    for iteration in 2..9 {
        screen.take(&Record::Process(Box::new(tree(1, iteration, &children[..3]))));
    }
    assert!(lines(&mut screen, 80, 24)[5].starts_with("├─p2"));
}

#[test]
fn hidden_rows_are_counted_without_keys() {
    let children: Vec<_> = (2..=100).map(|pid| (pid, 1)).collect();
    let mut screen = Screen::new(false, true);
    screen.take(&Record::Process(Box::new(tree(1, 1, &children))));
    let rows = lines(&mut screen, 80, 24);
    assert_eq!(rows[23], "… and 81 more");
    assert!(!rows.concat().contains("quit"));
}

#[test]
fn exited_rows_are_faint() {
    let coloured = render(&mut eventful(), 120, 30);
    assert!(coloured.content.iter().any(|cell| cell.fg == Color::Green));
    assert!(coloured.content.iter().all(|cell| cell.bg == Color::Reset), "the terminal's own background");
    let mut screen = Screen::new(true, false);
    (1..=3).for_each(|n| screen.take(&Record::Process(Box::new(bot(n)))));
    let mut last = bot(4);
    last.children.remove(1);
    screen.take(&Record::Process(Box::new(last)));
    let plain = render(&mut screen, 120, 30);
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let gone = lines(&mut screen, 120, 30).iter().position(|line| line.starts_with("└─worker")).unwrap();
    let row = (0..8).map(|x| &plain[(x, u16::try_from(gone).unwrap())]);
    assert!(row.into_iter().all(|cell| cell.modifier.contains(Modifier::DIM)));
}

#[test]
fn target_text_is_escaped() {
    let evil = "\x1b[2J\u{9b}31m\r\n\t\u{202e}gnp\u{200d}\u{7f}";
    let mut hostile = record(1, 1, MIB);
    hostile.name = evil.into();
    hostile.host = evil.into();
    hostile.cmdline = Some(vec![evil.to_owned(); 50].into());
    hostile.children =
        vec![sample(2, 1, &"e\u{301}".repeat(5000), 1), sample(3, 1, "", 1), sample(4, 1, "家族👨‍👩‍👧", 1)];
    let mut screen = fed([hostile]);
    screen.take_output(evil);
    screen.take(&Record::Error(ErrorRecord::new(header(1), evil, evil.into())));
    let mut grew = event(EventKind::Grew, 1, 1);
    grew.name = Some(evil.into());
    screen.take(&Record::ProcessEvent(Box::new(grew)));
    for (width, height) in [(80, 24), (200, 50), (40, 10)] {
        let rows = lines(&mut screen, width, height).concat();
        let safe = common::stdio::escape_controls(&rows);
        assert_eq!(safe, rows);
    }
}

#[test]
fn large_trees_are_drawn_in_time() {
    let deep: Vec<_> = (2..=500).map(|pid| (pid, pid - 1)).collect();
    let wide: Vec<_> = (2..=2001).map(|pid| (pid, 1)).collect();
    for children in [deep, wide] {
        let mut screen = fed([tree(1, 1, &children)]);
        screen.press(Key::End);
        let begin = Instant::now();
        for _ in 0..20 {
            render(&mut screen, 200, 50);
        }
        // A frame takes a few milliseconds even unoptimized; the limit is for busy machines.
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let last = lines(&mut screen, 200, 50)[48].clone();
        assert!(last.contains("└─p"), "{last}");
    }
}

/// Anything a record may say, in a world small enough for numbers to collide.
fn any_record() -> impl Strategy<Value = Record> {
    let any_sample =
        (0_u32..8, 0_u32..8, "\\PC{0,9}|\\x1b.{0,3}", any::<Option<u64>>(), any::<Option<f64>>());
    let any_sample = any_sample.prop_map(|(pid, ppid, name, bytes, ratio)| {
        let mut any = sample(pid, ppid, &name, 0);
        (any.rss_bytes, any.pss_bytes, any.threads, any.cpu_ratio) = (bytes, bytes, bytes, ratio);
        any.start_ticks = bytes.map(|bytes| bytes % 3);
        any
    });
    let iteration = prop_oneof![0_u64..20, any::<u64>()];
    let process = (proptest::collection::vec(any_sample, 1..9), iteration, any::<f64>(), any::<u64>())
        .prop_map(|(mut samples, iteration, seconds, bytes)| {
            let mut any = ProcessRecord::new(header(iteration), samples.remove(0));
            (any.interval_seconds, any.elapsed_seconds) = (seconds, seconds);
            (any.total_rss_bytes, any.total_pss_bytes) = (bytes, Some(bytes));
            any.system = Some(System { total_bytes: bytes, available_bytes: Some(bytes / 2) });
            any.children = samples;
            Record::Process(Box::new(any))
        });
    let kinds = [EventKind::Exited, EventKind::Grew, EventKind::LimitCrossed, EventKind::OomKill];
    let happened = (proptest::sample::select(kinds.to_vec()), 0_u32..8, 0_u32..8, any::<Option<i32>>());
    let happened = happened.prop_map(|(kind, pid, root, code)| {
        let mut any = event(kind, pid, root);
        (any.exit_code, any.growth_bytes) = (code, code.map(i64::from));
        Record::ProcessEvent(Box::new(any))
    });
    prop_oneof![4 => process, 1 => happened]
}

proptest! {
    #[test]
    fn any_input_is_drawn(
        steps in proptest::collection::vec((any_record(), ".{0,40}", any::<u8>(), 0_u16..140, 0_u16..50), 1..12)
    ) {
        let mut screen = Screen::new(true, true);
        let mut decoder = super::keys::KeyDecoder::default();
        for (record, line, byte, width, height) in steps {
            screen.take(&record);
            screen.take_output(&line);
            if let Some(key) = decoder.feed(byte) {
                screen.press(key);
            }
            screen.press([Key::Sort, Key::Down, Key::End, Key::PageUp][usize::from(byte % 4)]);
            render(&mut screen, width, height);
        }
    }
}
