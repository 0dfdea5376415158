//! Generated logs with known values.

use serde_json::{Value, json};

/// The first moment of all logs: 2026-11-24 10:00:00 UTC.
pub const START: i64 = 1_795_514_400_000;

/// As records have it.
pub fn stamp(unix_ms: i64) -> String {
    let seconds = unix_ms as f64 / 1000.0;
    common::time::Stamp::from_unix_seconds(seconds).unwrap().to_string()
}

fn head(kind: &str, run: &str, iteration: u64, unix_ms: i64) -> Value {
    json!({"type": kind, "schema": 2, "timestamp": stamp(unix_ms), "host": "server", "run": run, "iteration": iteration})
}

/// A record with more fields; `type` stays the first.
fn with(head: Value, more: Value) -> String {
    let Value::Object(mut fields) = head else { unreachable!("a head is an object") };
    let Value::Object(more) = more else { unreachable!("so are its fields") };
    fields.extend(more);
    let mut line = format!("{{\"type\":{}", fields.remove("type").unwrap());
    for (name, value) in fields {
        line += &format!(",{}:{value}", json!(name));
    }
    line + "}\n"
}

/// A census of types with their sizes; as many objects as their size has KiB.
pub fn census(iteration: u64, unix_ms: i64, types: &[(&str, u64)], omitted: Option<u64>) -> String {
    census_of("run1", 7, iteration, unix_ms, types, omitted)
}

/// The same of a run and a process.
pub fn census_of(
    run: &str,
    pid: u32,
    iteration: u64,
    unix_ms: i64,
    types: &[(&str, u64)],
    omitted: Option<u64>,
) -> String {
    let listed: u64 = types.iter().map(|(_, size)| size).sum();
    let rows: Vec<Value> = types
        .iter()
        .map(|(name, size)| json!({"type": name, "count": size / 1024, "size_bytes": size}))
        .collect();
    let modules: Vec<Value> = types
        .iter()
        .map(|(name, size)| json!({"module": format!("m.{name}"), "count": 1, "size_bytes": size}))
        .collect();
    let holders: Vec<Value> = types
        .iter()
        .map(|(name, size)| json!({"holder": format!("h.{name}"), "count": 1, "size_bytes": size / 2}))
        .collect();
    let caches: Vec<Value> = types
        .iter()
        .map(|(name, size)| json!({"name": format!("c.{name}"), "entries": 1, "size_bytes": size / 3}))
        .collect();
    let cut = omitted.map(|size| json!({"rows": 3, "count": 4, "size_bytes": size}));
    with(
        head("census", run, iteration, unix_ms),
        json!({
            "pid": pid, "start_ticks": 1, "name": "bot", "total_objects": listed / 1024 + omitted.unwrap_or(0) / 1024 + 1,
            "total_size_bytes": listed + omitted.unwrap_or(0), "types": rows,
            "types_omitted": cut,
            "modules_omitted": cut,
            "modules": modules, "threads": [], "rss_bytes": listed * 2,
            "holders": holders, "holders_omitted": cut, "caches": caches, "caches_omitted": cut,
        }),
    )
}

/// A tree: each process with its number, name and resident size; the first is the root.
pub fn tree(iteration: u64, unix_ms: i64, processes: &[(u32, &str, u64)]) -> String {
    tree_of("run1", iteration, unix_ms, processes)
}

/// The same of a run.
pub fn tree_of(run: &str, iteration: u64, unix_ms: i64, processes: &[(u32, &str, u64)]) -> String {
    let one = |&(pid, name, rss): &(u32, &str, u64)| {
        json!({"pid": pid, "name": name, "start_ticks": 100 + pid, "cmdline": [name], "rss_bytes": rss,
               "pss_bytes": rss / 2, "threads": 2})
    };
    let total: u64 = processes.iter().fold(0, |sum, process| sum.saturating_add(process.2));
    let children: Vec<Value> = processes.iter().skip(1).map(one).collect();
    let Value::Object(mut fields) = one(&processes[0]) else { unreachable!("made above") };
    fields.insert("interval_seconds".into(), json!(1.0));
    fields.insert("elapsed_seconds".into(), json!(0.0));
    fields.insert("late_seconds".into(), json!(0.0));
    fields.insert("missed_ticks".into(), json!(0));
    fields.insert("sample_seconds".into(), json!(0.0));
    fields.insert("children_count".into(), json!(children.len()));
    fields.insert("children_rss_bytes".into(), json!(total - processes[0].2));
    fields.insert("children".into(), json!(children));
    fields.insert("total_rss_bytes".into(), json!(total));
    fields.insert("total_pss_bytes".into(), json!(total / 2));
    with(head("process", run, iteration, unix_ms), Value::Object(fields))
}

/// An event of a process.
pub fn event(iteration: u64, unix_ms: i64, event: &str, pid: u32, more: Value) -> String {
    let Value::Object(mut fields) = more else { unreachable!("fields are an object") };
    fields.insert("event".into(), json!(event));
    fields.insert("pid".into(), json!(pid));
    fields.insert("root_pid".into(), json!(1));
    with(head("process_event", "run1", iteration, unix_ms), Value::Object(fields))
}

/// A sample that failed.
pub fn error(iteration: u64, unix_ms: i64) -> String {
    with(head("error", "run1", iteration, unix_ms), json!({"stage": "sample", "message": "it was gone"}))
}

/// A line of the older tool: types with count and size.
pub fn legacy(iteration: u64, time: &str, types: &[(&str, u64, u64)]) -> String {
    let rows: Vec<Value> =
        types.iter().map(|(name, count, size)| json!({"type": name, "count": count, "size": size})).collect();
    let total: u64 = types.iter().map(|(_, count, _)| count).sum();
    let line = json!({"timestamp": time, "iteration": iteration, "total_objects": total, "threads": [],
                      "gc_stats": {}, "summary": rows, "module_stats": {}});
    format!("{line}\n")
}

/// An hour of a bot: a leak, a cache that is emptied again and again, a worker that comes and goes, one spike.
pub fn hour() -> String {
    let mut log = String::new();
    for second in 0..360_i64 {
        let n = u64::try_from(second).unwrap();
        let spike = if second == 200 { 90 << 20 } else { 0 };
        let mut processes =
            vec![(1, "bot", (40 << 20) + n * 131_072), (2, "cache", (8 << 20) + (n % 60) * 400_000 + spike)];
        if (100..220).contains(&second) {
            processes.push((3, "worker", (20 << 20) + (n * 7919 % 50) * 20_000));
        }
        if second == 100 {
            log += &event(n + 1, START + second * 10_000, "started", 3, json!({"name": "worker"}));
        }
        if second == 220 {
            log += &event(
                n + 1,
                START + second * 10_000,
                "exited",
                3,
                json!({"name": "worker", "exit_code": 3}),
            );
        }
        if second == 300 {
            log +=
                &event(n + 1, START + second * 10_000, "limit_crossed", 1, json!({"limit_bytes": 80 << 20}));
        }
        let line = tree(n + 1, START + second * 10_000, &processes);
        log += &line.replace("\"interval_seconds\":1.0", "\"interval_seconds\":10.0");
    }
    log
}

/// Half an hour of a bot's objects: one type leaks, one saw-tooths, lists are cut.
pub fn objects() -> String {
    let mut log = String::new();
    for minute in 0..180_u64 {
        let leak = 200_000 + minute * 40_960;
        let saw = 500_000 + minute % 30 * 100_000;
        let types = [
            ("dict", 4_000_000),
            ("botpkg.sessions.SessionState", leak),
            ("list", saw),
            ("str", 3_000_000),
            ("function", 900_000),
        ];
        let cut = if minute % 50 == 49 { &types[..3] } else { &types[..] };
        let at = START + i64::try_from(minute).unwrap() * 10_000;
        log += &census(minute + 1, at, cut, Some(700_000));
    }
    log
}
