use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::{
    CensusRecord, ErrorRecord, EventKind, Header, ProcessEvent, ProcessRecord, ProcessSample, Record, Run,
    TypeTotal,
};

fn header(iteration: u64) -> Header {
    Header::now(&Run::start(), iteration)
}

fn sample(pid: u32, name: &str, rss: u64) -> ProcessSample {
    ProcessSample { rss_bytes: Some(rss), start_ticks: Some(1), ..ProcessSample::unread(pid, name) }
}

fn tree(iteration: u64, root: ProcessSample, children: Vec<ProcessSample>) -> Record {
    let record = ProcessRecord { children, ..ProcessRecord::new(header(iteration), root) };
    Record::Process(Box::new(record))
}

fn census(iteration: u64, pid: u32, types: Vec<TypeTotal>) -> Record {
    let record = CensusRecord { pid, types, name: Some("bot".into()), ..CensusRecord::default() };
    Record::Census(Box::new(record.with_header(header(iteration))))
}

/// The lines of a metric.
fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
    let begin = format!("{name}{{");
    metrics.text().lines().filter(|line| line.starts_with(&begin)).map(str::to_owned).collect()
}

#[test]
fn value_not_read_again_stays() {
    let mut metrics = Metrics::default();
    let read = ProcessSample { pss_bytes: Some(5), ..sample(7, "bot", 10) };
    metrics.take(&tree(1, read, Vec::new()));
    metrics.take(&tree(2, sample(7, "bot", 20), Vec::new()));
    assert!(metrics.end_round());
    let pss = |metrics: &Metrics| lines(metrics, "memmon_process_pss_bytes");
    assert_eq!(pss(&metrics), [r#"memmon_process_pss_bytes{command="bot",pid="7",root="7"} 5"#]);
    assert_eq!(
        lines(&metrics, "memmon_process_rss_bytes"),
        [r#"memmon_process_rss_bytes{command="bot",pid="7",root="7"} 20"#]
    );
    let another = ProcessSample { start_ticks: Some(2), ..sample(7, "bot", 20) };
    metrics.take(&tree(3, another, Vec::new()));
    assert_eq!(pss(&metrics), [""; 0], "another process has the pid");
}

#[test]
fn script_names_its_interpreter() {
    let mut metrics = Metrics::default();
    let cmdline: [String; 3] = ["python3".into(), "-u".into(), "/srv/bot.py".into()];
    metrics.take(&tree(
        1,
        ProcessSample { cmdline: Some(Arc::new(cmdline)), ..sample(7, "python3", 1) },
        Vec::new(),
    ));
    assert_eq!(
        lines(&metrics, "memmon_tree_rss_bytes"),
        [r#"memmon_tree_rss_bytes{command="bot.py",pid="7"} 1"#]
    );
}

#[test]
fn cut_names_are_completed() {
    let mut metrics = Metrics::default();
    let cmdline: [String; 1] = ["/opt/bin/mail-dispatcher-blue".into()];
    let process = ProcessSample { cmdline: Some(Arc::new(cmdline)), ..sample(7, "mail-dispatcher", 1) };
    metrics.take(&tree(1, process, Vec::new()));
    assert_eq!(
        lines(&metrics, "memmon_tree_rss_bytes"),
        [r#"memmon_tree_rss_bytes{command="mail-dispatcher-blue",pid="7"} 1"#]
    );
}

#[test]
fn rows_are_bounded() {
    let mut metrics = Metrics::default();
    let children = (0..100).map(|n| sample(100 + n, "worker", u64::from(n))).collect();
    metrics.take(&tree(1, sample(7, "bot", 1), children));
    let rss = lines(&metrics, "memmon_process_rss_bytes");
    assert_eq!(rss.len(), 1 + MAX_ROWS);
    assert!(rss.iter().any(|line| line.contains("pid=\"199\"")), "the largest are listed: {rss:?}");
    let types = (0..100).map(|n| TypeTotal::new(format!("t{n}").into(), 1, 1)).collect();
    metrics.take(&census(1, 7, types));
    assert_eq!(lines(&metrics, "memobj_type_bytes").len(), MAX_ROWS);
}

#[test]
fn absent_processes_are_forgotten() {
    let mut metrics = Metrics::default();
    for pid in [7, 8] {
        metrics.take(&census(1, pid, Vec::new()));
        metrics.take(&tree(1, sample(pid, "bot", 1), Vec::new()));
    }
    assert!(metrics.end_round() && !metrics.end_round());
    // An event between two samples does not begin a round.
    metrics.take(&Record::ProcessEvent(Box::new(ProcessEvent::new(header(2), EventKind::Started, 9, 7))));
    assert!(!metrics.end_round());
    metrics.take(&tree(2, sample(7, "bot", 1), Vec::new()));
    metrics.end_round();
    let count = |metrics: &Metrics, name| lines(metrics, name).len();
    assert_eq!((count(&metrics, "memmon_tree_rss_bytes"), count(&metrics, "memobj_objects")), (1, 2));
    let error = ErrorRecord { pid: Some(8), ..ErrorRecord::new(header(2), "census", "gone".into()) };
    metrics.take(&Record::Error(error));
    metrics.take(&Record::ProcessEvent(Box::new(ProcessEvent::new(header(2), EventKind::Exited, 7, 7))));
    assert!(metrics.end_round());
    assert_eq!(metrics.text(), "# EOF\n");
}

#[test]
fn labels_stay_distinct() {
    let mut metrics = Metrics::default();
    // The second name looks like the first one when that is escaped.
    let types = [("a\n", 3), ("a\\n", 2), ("a\n", 1)];
    metrics.take(&census(1, 7, types.map(|(name, count)| TypeTotal::new(name.into(), count, 1)).to_vec()));
    assert_eq!(
        lines(&metrics, "memobj_type_objects"),
        [r#"memobj_type_objects{command="bot",pid="7",type="a\\n"} 3"#]
    );
}

#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("memmon_") || name.starts_with("memobj_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert!(!family.help.contains(['\\', '\n', '"']) && family.help.ends_with('.'), "{name}");
        assert_eq!(&family.labels[..2], ["command", "pid"], "{name}");
        assert_eq!(FAMILIES.iter().filter(|other| other.name == name).count(), 1, "{name}");
    }
}

/// Undoes the escapes of a label's value as the formats define them; `None` if it is not one.
fn unescape(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\n' => return None,
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    Some(value)
}

proptest! {
    #[test]
    fn labels_are_escaped(name: String) {
        let mut metrics = Metrics::default();
        metrics.take(&census(1, 7, vec![TypeTotal::new(Arc::from(name.as_str()), 3, 1)]));
        let line = lines(&metrics, "memobj_type_objects").remove(0);
        let label = line.split_once("type=\"").unwrap().1.strip_suffix("\"} 3").unwrap();
        prop_assert_eq!(unescape(label).unwrap(), crate::stdio::escape_controls(&name));
    }
}
