//! What people see, to the letter.

use common::process::ProcessState;
use common::record::{Cgroup, EventKind, ProcessRecord, ProcessSample, Record, System};

use super::super::testing::{GIB, KIB, MIB, Writes, arguments, event, sample, tree};
use super::*;

pub(super) const PLAIN: Style = Style { colour: false, width: None };

/// What each record became, and at last the end of the run.
fn writes(style: Style, records: &[Record]) -> Vec<String> {
    let mut writes = Writes::default();
    let mut text = Text::new(&mut writes, style);
    for record in records {
        text.record(record).unwrap();
    }
    text.finish().unwrap();
    drop(text);
    writes.0.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

pub(super) fn written(style: Style, records: &[Record]) -> String {
    writes(style, records).concat()
}

fn record(record: ProcessRecord) -> Record {
    Record::Process(Box::new(record))
}

fn worker(pid: u32, name: &str, rss: u64, command: &[&str]) -> ProcessSample {
    ProcessSample { cmdline: arguments(command), ..sample(pid, name, Some(rss)) }
}

fn cgroup(current: u64, limit: Option<u64>) -> Option<Cgroup> {
    Some(Cgroup {
        version: 2,
        path: "/app".into(),
        current_bytes: Some(current),
        limit_bytes: limit,
        peak_bytes: None,
        oom_kills: None,
        anon_bytes: None,
        file_bytes: None,
        kernel_bytes: None,
        shmem_bytes: None,
    })
}

/// Two samples of a tree in which everything is known that can be.
fn full() -> [Record; 2] {
    let of = |n: u64, more: u64| {
        let mut root = worker(1234, "python3", 512 * MIB + more, &["python3", "bot.py", "--name", "my bot"]);
        root.threads = Some(14);
        root.cpu_ratio = Some(0.032);
        root.pss_bytes = Some(480 * MIB);
        root.uss_bytes = Some(470 * MIB);
        root.swap_bytes = Some(3 * MIB);
        root.rss_peak_bytes = Some(700 * MIB);
        root.memory_ratio = Some(0.0321);
        root.cgroup_ratio = Some(0.125);
        let mut one = worker(1240, "worker-1", 60 * MIB + more, &["python", "worker.py", "--queue", "a b"]);
        one.cpu_ratio = Some(1.5);
        let two = worker(1241, "worker-2", 50 * MIB - more / 2, &["python", "worker.py"]);
        let mut gone = ProcessSample { state: Some(ProcessState::Zombie), ..sample(99, "sh", Some(0)) };
        gone.cmdline = arguments(&[]);
        let three = worker(1250, "convert", 10 * MIB + 100 * KIB, &["convert", "a.png"]);
        let mut children = vec![gone, two, one];
        if n > 1 {
            children.push(three);
        }
        let mut record = tree(n, root, children);
        record.total_pss_bytes = Some(580 * MIB);
        record.total_pss_age_seconds = Some(if n > 1 { 12.0 } else { 1.5 });
        // Not read at every tick.
        if n == 1 {
            record.cgroup = cgroup(2 * GIB, Some(4 * GIB));
            record.system = Some(System { total_bytes: 16 * GIB, available_bytes: None });
        } else {
            record.short_lived_count = Some(12);
            record.missed_ticks = 3;
        }
        Record::Process(Box::new(record))
    };
    [of(1, 0), of(2, MIB + 200 * KIB)]
}

#[test]
fn second_block_shows_changes() {
    assert_eq!(
        written(PLAIN, &full()),
        "\
#1  2026-11-23 14:25:02  python3 (pid 1234)  sleeping  up 2 h 3 min  14 threads  CPU 3.2 %
  command   python3 bot.py --name 'my bot'
  RSS       512.00 MiB  3.2 % of 16.00 GiB, 12.5 % of the cgroup's 4.00 GiB, peak 700.00 MiB
  PSS       480.00 MiB  470.00 MiB of it unshared (USS)
  VMS         1.00 GiB
  swap        3.00 MiB
  cgroup      2.00 GiB  50.0 % of its limit of 4.00 GiB
  children  110.00 MiB  3 processes
     PID  NAME         MEMORY      CPU  COMMAND
    1240  worker-1  60.00 MiB  150.0 %  python worker.py --queue 'a b'
    1241  worker-2  50.00 MiB           python worker.py
      99  sh              0 B           (zombie)
  total     622.00 MiB  PSS 580.00 MiB

#2  14:25:04  python3 (pid 1234)  sleeping  up 2 h 3 min  14 threads  CPU 3.2 %
  ! 3 samples missed before this one: the machine slept or was overloaded
  RSS       513.20 MiB   +1.20 MiB  3.2 % of 16.00 GiB, 12.5 % of the cgroup's 4.00 GiB, peak 700.00 MiB
  PSS       480.00 MiB        ±0 B  470.00 MiB of it unshared (USS)
  VMS         1.00 GiB   +2.39 MiB
  swap        3.00 MiB        ±0 B
  children  120.70 MiB  +10.70 MiB  4 processes, 1 new, 12 short-lived
     PID  NAME         MEMORY       CHANGE      CPU  COMMAND
    1240  worker-1  61.20 MiB    +1.20 MiB  150.0 %  python worker.py --queue 'a b'
    1241  worker-2  49.40 MiB  -612.00 KiB           python worker.py
    1250  convert   10.10 MiB          new           convert a.png
      99  sh              0 B         ±0 B           (zombie)
  total     633.89 MiB  +11.89 MiB  since #1, PSS 580.00 MiB (12 s old)
"
    );
}

#[test]
fn each_record_is_one_write() {
    let [one, two] = full();
    let ended = event(2, EventKind::Exited, 99, "sh", |_| {});
    let writes = writes(PLAIN, &[one, ended, two]);
    assert_eq!(writes.len(), 2);
    assert!(writes[1].starts_with("\n  - 99 sh ended\n\n#2  "), "{}", writes[1]);
}

#[test]
fn unknown_is_never_zero() {
    let mut root = sample(7, "init", None);
    (root.start_time, root.state, root.cmdline, root.memory_ratio) = (None, None, None, Some(0.5));
    let mut children = vec![sample(8, "a", None), sample(9, "b", None)];
    for child in &mut children {
        child.cmdline = None;
    }
    let mut some = tree(2, root.clone(), children.clone());
    some.children[1].rss_bytes = Some(MIB);
    (some.children_rss_bytes, some.total_rss_bytes) = (MIB, MIB);
    some.cgroup = cgroup(MIB, None);
    assert_eq!(
        written(PLAIN, &[record(tree(1, root, children)), record(some)]),
        "\
#1  2026-11-23 14:25:02  init (pid 7)
  RSS       –  50.0 % of the machine
  VMS       –
  children  –  2 processes
    PID  NAME  MEMORY
      8  a          –
      9  b          –
  total     –  without 3 processes that cannot be read

#2  14:25:04  init (pid 7)
  RSS              –  50.0 % of the machine
  VMS              –
  children  1.00 MiB  2 processes
    PID  NAME    MEMORY
      9  b     1.00 MiB
      8  a            –
  total     1.00 MiB  since #1, without 2 processes that cannot be read
"
    );
}

#[test]
fn wide_characters_align() {
    let mut root = sample(1234, "数据库", Some(GIB));
    root.memory_ratio = Some(0.25);
    root.cgroup_ratio = Some(0.5);
    root.cmdline = arguments(&["数据库", "--配置", "/etc/数据库/配置文件/主要的.conf"]);
    let children = vec![
        worker(5, "作業員", 3 * MIB, &["作業員", "一二三四五六七八九十"]),
        worker(6, "🦀-crab", 2 * MIB, &["🦀"]),
        worker(7, "a-name-of-far-too-many-letters", MIB, &["x"]),
    ];
    let tree = record(tree(1, root, children));
    let style = Style { colour: false, width: Some(58) };
    let text = written(style, std::slice::from_ref(&tree));
    assert_eq!(
        text,
        "\
#1  2026-11-23 14:25:02  数据库 (pid 1234)  sleeping  up …
  command   数据库 --配置 /etc/数据库/配置文件/主要的.conf
  RSS       1.00 GiB  25.0 % of the machine,
                      50.0 % of the cgroup's limit
  VMS       2.00 GiB
  children  6.00 MiB  3 processes
    PID  NAME                        MEMORY  COMMAND
      5  作業員                    3.00 MiB  作業員 一二…
      6  🦀-crab                   2.00 MiB  🦀
      7  a-name-of-far-too-many-…  1.00 MiB  x
  total     1.01 GiB
"
    );
    assert!(text.lines().all(|line| common::columns::width(line) <= 58));
    let narrow = written(Style { colour: false, width: Some(44) }, std::slice::from_ref(&tree));
    assert!(
        narrow.contains(
            "\n  RSS       1.00 GiB\n            25.0 % of the machine,\n            50.0 % of the cgroup's limit\n"
        ),
        "{narrow}"
    );
    let unknown = Style { colour: false, width: Some(0) };
    assert_eq!(written(unknown, std::slice::from_ref(&tree)), written(PLAIN, &[tree]));
}

#[test]
fn hostile_names_are_escaped() {
    let evil = "x\n#9 fake\x1b[2J\u{202e}\u{9b}";
    let mut root = sample(1234, evil, Some(MIB));
    root.cmdline = arguments(&[evil]);
    let child = worker(5, evil, KIB, &[evil, "\u{fffd}\u{fffd}"]);
    let mut said = ErrorRecord::new(super::super::testing::header(1), evil, evil.to_owned());
    said.hint = Some(evil.to_owned());
    let named = |kind| {
        event(1, kind, 5, evil, |e| {
            e.cmdline = arguments(&[evil]);
            e.metric = Some(evil.into());
        })
    };
    let mut records = vec![
        named(EventKind::Started),
        named(EventKind::Exited),
        named(EventKind::Replaced),
        record(tree(1, root, vec![child])),
        Record::Error(said),
    ];
    records.extend([EventKind::Grew, EventKind::LimitCrossed, EventKind::OomKill].map(named));
    for style in [PLAIN, Style { colour: false, width: Some(70) }] {
        let text = written(style, &records);
        assert_eq!(text.matches("\n#").count(), 1, "{text}");
        assert!(
            text.lines().all(|line| matches!(escape_controls(line), std::borrow::Cow::Borrowed(_))),
            "{text}"
        );
    }
    let text = written(PLAIN, &records);
    assert!(
        text.contains(r"  + 5 x\n#9 fake\u{1b}[2J\u{202e}\u{9b} started: $'x\n#9 fake\033[2J\u202e\u009b'")
    );
    assert!(text.contains("'x\\n#9 fake\\033[2J\\u202e\\u009b' \u{fffd}\u{fffd}\n"), "{text}");
}

#[test]
fn largest_children_are_listed() {
    let child = |n: u32| ProcessSample { cmdline: None, ..sample(n, "w", Some(u64::from(n) * MIB)) };
    let of = |n: u64, children: Vec<ProcessSample>| {
        written(PLAIN, &[record(tree(n, sample(1, "init", Some(MIB)), children))])
    };
    let text = of(1, (100..=300).map(child).collect());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[4], "  children  39.26 GiB  201 processes");
    assert_eq!(lines[5], "    PID  NAME      MEMORY");
    assert_eq!(lines[6], "    300  w     300.00 MiB");
    assert_eq!(lines[35], "    271  w     271.00 MiB");
    // 100 + … + 270 MiB.
    assert_eq!(lines[36], "    and 171 smaller, 30.89 GiB");
    assert_eq!(lines[37], "  total     39.26 GiB");
    assert_eq!(lines.len(), 38);

    assert!(!of(1, (1..=30).map(child).collect()).contains("smaller"));
    let mut with_unread: Vec<ProcessSample> = (1..=30).map(child).collect();
    with_unread.insert(0, sample(99, "hidden", None));
    let text = of(1, with_unread);
    assert!(text.contains("\n    and 1 smaller, –\n"), "what cannot be read is not 0\n{text}");
}

#[test]
fn reused_pid_shows_no_change() {
    let later = |mut process: ProcessSample| {
        process.start_time = Some("2026-11-23T14:25:03.000+01:00".into());
        process
    };
    let root = || sample(1234, "python3", Some(MIB));
    let child = |bytes| worker(5, "w", bytes, &["w"]);
    let first = tree(1, root(), vec![child(MIB)]);
    let reborn = tree(2, root(), vec![later(child(2 * MIB))]);
    let other_root = tree(3, later(root()), vec![]);
    let text = written(PLAIN, &[record(first), record(reborn), record(other_root)]);
    let blocks: Vec<&str> = text.split("\n\n").collect();
    assert!(blocks[1].contains("\n      5  w     2.00 MiB     new  w\n"), "{text}");
    assert!(blocks[1].contains("\n  children  2.00 MiB  +1.00 MiB  1 process, 1 new\n"), "{text}");
    assert_eq!(
        blocks[2],
        "#3  14:25:06  python3 (pid 1234)  sleeping  up 3 s\n  command   python3\n  RSS       1.00 MiB\n  \
         VMS       2.00 MiB\n  children      none\n  total     1.00 MiB\n"
    );
}

#[test]
fn roots_have_their_own_changes() {
    let of = |n: u64, pid: u32, bytes: u64| {
        let mut record =
            tree(n, ProcessSample { cmdline: None, ..sample(pid, "w", Some(bytes)) }, Vec::new());
        if n == 2 {
            record.timestamp = "2026-11-24T00:00:01.000+01:00".parse().unwrap();
        }
        Record::Process(Box::new(record))
    };
    let text = written(PLAIN, &[of(1, 5, MIB), of(1, 6, 4 * MIB), of(2, 5, 2 * MIB), of(2, 6, 3 * MIB)]);
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        headings,
        [
            "#1  2026-11-23 14:25:02  w (pid 5)  sleeping  up 2 h 3 min",
            "#1  14:25:02  w (pid 6)  sleeping  up 2 h 3 min",
            "#2  2026-11-24 00:00:01  w (pid 5)  sleeping  up 11 h 38 min",
            "#2  00:00:01  w (pid 6)  sleeping  up 11 h 38 min",
        ]
    );
    assert_eq!(text.matches("\n\n#").count(), 3);
    assert!(text.contains("  total     2.00 MiB  +1.00 MiB  since #1\n\n#2  00"), "{text}");
    assert!(text.ends_with("  total     3.00 MiB  -1.00 MiB  since #1\n"), "{text}");
}

#[test]
fn old_roots_are_forgotten() {
    let mut text = Text::new(Vec::new(), PLAIN);
    for n in 1..=500 {
        let root = sample(u32::try_from(n).unwrap(), "short", Some(MIB));
        text.process(&tree(n, root, Vec::new()));
    }
    assert_eq!(text.roots.len(), 101);
}

#[test]
fn colour_only_adds_escapes() {
    let mut records = Vec::from(full());
    records.push(event(2, EventKind::Grew, 1240, "worker-1", |_| {}));
    records.push(event(2, EventKind::OomKill, 1234, "python3", |_| {}));
    records.push(event(3, EventKind::Started, 5, "sh", |e| e.cmdline = arguments(&["sh"])));
    for width in [None, Some(50)] {
        let plain = written(Style { colour: false, width }, &records);
        assert!(!plain.contains('\x1b'));
        let coloured = written(Style { colour: true, width }, &records);
        let mut stripped = String::new();
        for (n, piece) in coloured.split("\x1b[").enumerate() {
            stripped.push_str(if n == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert_eq!(stripped, plain);
    }
    let coloured = written(Style { colour: true, width: None }, &records);
    for part in [
        "\x1b[1mtotal\x1b[0m     \x1b[1m633.89 MiB\x1b[0m  \x1b[31m+11.89 MiB\x1b[0m  since #1",
        "\x1b[2mRSS\x1b[0m       513.20 MiB",
        "\x1b[32m-612.00 KiB\x1b[0m",
        "\x1b[33m! worker-1 (pid 1240) grew since #1\x1b[0m\n",
        "\x1b[1m\x1b[31m! out of memory: ",
    ] {
        assert!(coloured.contains(part), "{part:?} in {coloured}");
    }
}
