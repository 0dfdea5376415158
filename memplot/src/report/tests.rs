use std::sync::Arc;

use common::record::{Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRow, MemoryRowGrowth};

use super::*;

fn moment(record: LeaksRecord) -> Moment {
    Moment {
        input: 0,
        line: 1,
        run: "r".into(),
        host: "server".into(),
        iteration: 1,
        unix_ms: 1_780_000_000_000,
        elapsed_seconds: None,
        interval_seconds: None,
        missed_ticks: 0,
        data: MomentData::Leaks(Box::new(record)),
    }
}

fn record(pid: u32, verdict: LeakVerdict) -> LeaksRecord {
    LeaksRecord {
        pid,
        verdict,
        host: "server".into(),
        python: "3.13.0".into(),
        cmdline: Some(Arc::new(["python3".to_owned(), "bot.py <&>".to_owned()])),
        ..LeaksRecord::default()
    }
}

fn report(records: impl IntoIterator<Item = LeaksRecord>) -> Report {
    let mut report = Report::default();
    records.into_iter().for_each(|record| report.add(&moment(record)));
    report
}

#[test]
fn host_is_left_out_on_request() {
    let report = report([record(7, LeakVerdict::None)]);
    let with = report.html(true);
    assert!(
        with.contains("<dt>Host</dt><dd>server</dd>") && !report.html(false).contains("server"),
        "{with}"
    );
    assert!(
        with.contains("<dd>python3 bot.py &lt;&amp;&gt;</dd>") && with.contains("no leak found"),
        "{with}"
    );
    assert_eq!(Report::default().html(true), "");
}

#[test]
fn folders_and_arguments_are_left_out_with_the_host() {
    let library: Option<Arc<str>> = Some("/srv/alice/lib/libx.so".into());
    let growth = MemoryRowGrowth {
        kind: "file".into(),
        detail: library.clone(),
        growth_bytes: 5 << 20,
        current_bytes: 9 << 20,
    };
    let memory = MemoryGrowth {
        is_leak: true,
        bytes_per_minute: 1e6,
        objects_bytes_per_minute: 0.0,
        confidence_ratio: 0.99,
        rows: vec![growth],
        explained_bytes: 0,
        trimmable_bytes: 0,
        suspects: Vec::new(),
    };
    let row = MemoryRow {
        kind: "file".into(),
        detail: library,
        private_bytes: 9 << 20,
        shared_bytes: 0,
        swap_bytes: 0,
    };
    let private = LeaksRecord {
        name: Some("python3".into()),
        cmdline: Some(Arc::new(["/srv/alice/bin/python3", "bot.py", "--token=s3cret"].map(str::to_owned))),
        memory: Some(memory),
        memory_rows: vec![row],
        ..record(7, LeakVerdict::Leak)
    };
    let report = report([private]);
    let (with, without) = (report.html(true), report.html(false));
    assert!(with.matches("/srv/alice/lib/libx.so").count() >= 2 && with.contains("s3cret"), "{with}");
    assert!(without.matches("libx.so").count() >= 2 && without.contains("<dd>bot.py</dd>"), "{without}");
    assert!(!without.contains("alice") && !without.contains("s3cret"), "{without}");
}

#[test]
fn last_verdict_on_a_process_counts() {
    let html = report([record(7, LeakVerdict::TooShort), record(7, LeakVerdict::None)]).html(true);
    assert!(html.contains("no leak found") && !html.contains("no verdict"), "{html}");
    let html = report([record(7, LeakVerdict::TooShort), record(8, LeakVerdict::TooShort)]).html(true);
    assert_eq!(html.matches("no verdict").count(), 2, "{html}");
    assert!(html.contains("pid 7, and 1 more process"), "{html}");
}

#[test]
fn account_bar_adds_up() {
    let row = |kind: &str, mebibytes: u64| MemoryRow {
        kind: kind.into(),
        detail: None,
        private_bytes: mebibytes << 20,
        shared_bytes: 0,
        swap_bytes: 0,
    };
    let rows = vec![row("native_used", 60), row("python_objects", 39), row("stack", 1), row("kernel", 0)];
    let html = report([LeaksRecord { memory_rows: rows, ..record(7, LeakVerdict::None) }]).html(true);
    assert!(html.contains("Resident memory: 100.00 MiB"), "{html}");
    let bar =
        html.split("<svg class=\"account\"").nth(1).and_then(|rest| rest.split("</svg>").next()).unwrap();
    let widths: Vec<f64> = bar
        .split(" width=\"")
        .skip(1)
        .map(|rect| rect.split('"').next().and_then(|width| width.parse().ok()).unwrap())
        .collect();
    assert_eq!(widths, [600.0, 390.0, 10.0]);
    assert!(html.contains("stacks of threads") && !html.contains("other memory"), "{html}");
}

#[test]
fn way_is_a_list_of_steps() {
    let leak = Leak { path: Some("module app → cache (dict) → <b>".into()), ..leak() };
    let found = LeaksRecord { leaks: vec![leak], ..record(7, LeakVerdict::Leak) };
    let html = report([found]).html(true);
    assert!(html.contains("<li>module app</li><li>cache (dict)</li><li>&lt;b&gt;</li>"), "{html}");
    let curve = "points=\"3.0,45.0 120.0,31.0 237.0,3.0\"";
    assert!(html.contains(curve) && html.contains("+3 app.Session in 0 ms"), "{html}");
}

/// A leak of one object, then two.
fn leak() -> Leak {
    serde_json::from_value(serde_json::json!({
        "cause": "held", "holder": "app.cache", "type": "app.Session", "objects_per_minute": 3.0,
        "growth_by_census": [1, 2], "bytes_per_minute": 300.0, "held_objects": 3, "held_size_bytes": 300,
        "newest_age_seconds": 1.0, "survived": 3, "freed": 0, "confidence_ratio": 0.9, "growth_mode": "keys_set",
        "types": [],
    }))
    .unwrap()
}
