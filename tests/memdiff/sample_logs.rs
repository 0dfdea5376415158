//! Logs made for tests: what memmon, memobj and the older tool would have written.

use serde_json::{Value, json};

/// 2026-11-24 12:00:00 UTC, when all of them begin.
const BEGINNING: i64 = 1_795_521_600;

/// A process of a tree: its number and start, its command line, MiB of RSS.
pub type Process<'a> = (u32, u64, &'a str, f64);

/// A type: its name, how many objects, bytes.
pub type Type<'a> = (&'a str, u64, u64);

fn begin(kind: &str, run: &str, iteration: u64, seconds: i64) -> Value {
    let moment = BEGINNING + seconds;
    let (hours, minutes, rest) = (moment / 3600 % 24, moment / 60 % 60, moment % 60);
    let day = 24 + (moment - BEGINNING + 43_200).div_euclid(86_400);
    json!({
        "type": kind, "schema": 2,
        "timestamp": format!("2026-11-{day:02}T{hours:02}:{minutes:02}:{rest:02}.000+00:00"),
        "host": "server", "run": run, "iteration": iteration,
    })
}

fn line(mut record: Value, fields: Value) -> String {
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    format!("{record}\n")
}

fn bytes(mib: f64) -> u64 {
    (mib * f64::from(1 << 20)) as u64
}

/// A sample of a tree, the root first, at a second of its run.
pub fn tree(run: &str, iteration: u64, seconds: i64, processes: &[Process<'_>]) -> String {
    let process = |&(pid, ticks, cmdline, rss): &Process<'_>| {
        let arguments: Vec<&str> = cmdline.split(' ').collect();
        json!({
            "pid": pid, "start_ticks": ticks, "name": arguments[0], "cmdline": arguments, "rss_bytes": bytes(rss),
            "pss_bytes": bytes(rss / 2.0), "uss_bytes": bytes(rss / 4.0), "threads": 1 + pid % 3,
        })
    };
    let all: Vec<Value> = processes.iter().map(process).collect();
    let total: u64 = processes.iter().map(|process| bytes(process.3)).sum();
    let surroundings = json!({
        "interval_seconds": 10.0, "elapsed_seconds": seconds, "late_seconds": 0.0, "missed_ticks": 0,
        "sample_seconds": 0.0, "children": all[1..], "children_count": all.len() - 1,
        "children_rss_bytes": total - bytes(processes[0].3), "total_rss_bytes": total, "total_pss_bytes": total / 2,
        "system": {"total_bytes": 16_u64 << 30, "available_bytes": 8_u64 << 30},
    });
    let mut record = begin("process", run, iteration, seconds);
    record.as_object_mut().unwrap().extend(all[0].as_object().unwrap().clone());
    line(record, surroundings)
}

/// The objects of process 1, of which the list is cut if `omitted`. The first few types
/// stand for modules too.
pub fn census(run: &str, iteration: u64, seconds: i64, types: &[Type<'_>], omitted: bool) -> String {
    census_of((1, 10), run, (iteration, seconds), types, omitted)
}

/// The same of another process, by number and start.
fn census_of(
    (pid, start): (u32, u64),
    run: &str,
    (iteration, seconds): (u64, i64),
    types: &[Type<'_>],
    omitted: bool,
) -> String {
    let list = |key: &str, most: usize| -> Vec<Value> {
        types
            .iter()
            .take(most)
            .map(|(name, count, size)| json!({key: name, "count": count, "size_bytes": size}))
            .collect()
    };
    let left_out = omitted.then(|| json!({"rows": 3, "count": 30, "size_bytes": 3000}));
    let extra = if omitted { (30, 3000) } else { (0, 0) };
    let size = types.iter().map(|(.., size)| size).sum::<u64>() + extra.1;
    line(
        begin("census", run, iteration, seconds),
        json!({
            "pid": pid, "start_ticks": start, "name": "python3", "cmdline": ["python3", "bot.py"],
            "total_objects": types.iter().map(|(_, count, _)| count).sum::<u64>() + extra.0, "total_size_bytes": size,
            "types": list("type", usize::MAX), "types_omitted": left_out, "modules": list("module", 9), "modules_omitted": left_out,
            "threads": [{"name": "MainThread", "ident": 1, "native_id": 1, "daemon": false, "alive": true, "main": true}],
            "rss_bytes": size + (10 << 20),
        }),
    )
}

/// A cache: its name, how many entries, bytes if they were measured.
pub type Cache<'a> = (&'a str, u64, Option<u64>);

/// A census with what holds its objects, by size and name as types are, and with caches; those lists are cut if `omitted`.
pub fn holding(
    run: &str,
    (iteration, seconds): (u64, i64),
    holders: &[Type<'_>],
    caches: &[Cache<'_>],
    omitted: bool,
) -> String {
    let total = holders.iter().map(|(.., size)| size).sum();
    let census = census(run, iteration, seconds, &[("dict", 100, total)], false);
    let holder = |(name, count, size): &Type<'_>| json!({"holder": name, "count": count, "size_bytes": size});
    let cache = |(name, entries, size): &Cache<'_>| {
        json!({
            "name": name, "entries": entries, "size_bytes": size, "max_entries": 128, "hits": 9, "misses": entries,
        })
    };
    let left_out = omitted.then(|| json!({"rows": 3, "count": 30, "size_bytes": 3000}));
    line(
        serde_json::from_str(&census).unwrap(),
        json!({
            "holders": holders.iter().map(holder).collect::<Vec<_>>(), "holders_omitted": left_out,
            "caches": caches.iter().map(cache).collect::<Vec<_>>(), "caches_omitted": left_out,
        }),
    )
}

/// A number of censuses of a module that holds more and more sessions.
pub fn sessions(run: &str, censuses: u32) -> String {
    let census = |n: u32| {
        let (number, turn) = (u64::from(n), u64::from(n) + 1);
        let holders = [
            ("botpkg.cache._sessions", 200 * turn, turn << 20),
            ("botpkg.config._settings", 40, 40_000),
            ("botpkg.jobs.Queue._pending", 3 + number % 2, 3000 + number % 2 * 900),
        ];
        let caches = [
            ("functools.lru_cache of botpkg.render", 128.min(16 * turn), Some(128.min(16 * turn) << 10)),
            ("botpkg.names._by_id", 7 + number, None),
            ("re._cache", 12, Some(1200)),
        ];
        holding(run, (turn, i64::from(n) * 10), &holders, &caches, false)
    };
    (0..censuses).map(census).collect()
}

/// A moment that failed.
pub fn failed(run: &str, iteration: u64, seconds: i64) -> String {
    line(begin("error", run, iteration, seconds), json!({"stage": "census", "message": "the target is gone"}))
}

/// A line of the older tool.
pub fn legacy(iteration: u64, seconds: i64, types: &[Type<'_>]) -> String {
    let time = begin("", "", 0, seconds)["timestamp"].as_str().unwrap()[..19].replace('T', " ");
    let summary: Vec<Value> =
        types.iter().map(|(name, count, size)| json!({"type": name, "count": count, "size": size})).collect();
    let total: u64 = types.iter().map(|(_, count, _)| count).sum();
    let line = json!({
        "timestamp": time, "iteration": iteration, "total_objects": total,
        "threads": [{"name": "MainThread", "daemon": false, "alive": true}],
        "gc_stats": {}, "summary": summary, "module_stats": {},
    });
    format!("{line}\n")
}

/// A number of samples of a bot whose second worker leaks 1 MiB every 10 seconds.
pub fn leaking(run: &str, samples: u32) -> String {
    let sample = |n: u32| {
        // The first worker goes up and down a little, never far.
        let noise = f64::from(n * 7 % 5) / 10.0;
        let all: [Process<'_>; 3] = [
            (100, 1000, "python3 bot.py", 28.0),
            (101, 1001, "python3 worker.py --queue mail", 13.0 + noise),
            (102, 1002, "python3 worker.py --queue images", 26.0 + f64::from(n)),
        ];
        tree(run, u64::from(n) + 1, i64::from(n) * 10, &all)
    };
    (0..samples).map(sample).collect()
}

/// A bot before and after a week: another run, other numbers, workers that came and went, and its objects.
pub fn week() -> (String, String) {
    let before = [
        tree(
            "00c0ffee00c0ffee",
            1,
            0,
            &[
                (100, 1000, "python3 bot.py", 28.0),
                (101, 1001, "python3 worker.py --queue mail", 13.0),
                (102, 1002, "python3 worker.py --queue images", 26.0),
                (103, 1003, "sh cleanup.sh", 2.0),
            ],
        ),
        census_of(
            (100, 1000),
            "00c0ffee00c0ffe1",
            (1, 1),
            &[
                ("dict", 1000, 300_000),
                ("botpkg.cache.Session", 500, 900_000),
                ("str", 4000, 400_000),
                ("collections.OrderedDict", 3, 3000),
                ("tuple", 50, 4000),
            ],
            false,
        ),
    ];
    let after = [
        tree(
            "00c0ffee00c0ffe2",
            9,
            604_800 / 10,
            &[
                (200, 8000, "python3 bot.py", 34.5),
                (202, 8002, "python3 worker.py --queue images", 78.25),
                (201, 8001, "python3 worker.py --queue mail", 12.5),
                (203, 8003, "python3 名前.py 👍", 5.0),
            ],
        ),
        census_of(
            (200, 8000),
            "00c0ffee00c0ffe3",
            (9, 604_800 / 10 + 1),
            &[
                ("botpkg.cache.Session", 4500, 8_100_000),
                ("dict", 1200, 360_000),
                ("str", 3900, 395_000),
                ("tuple", 50, 4000),
                ("botpkg.new.Job", 7, 7000),
            ],
            true,
        ),
    ];
    (before.concat(), after.concat())
}
