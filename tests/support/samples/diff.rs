//! What memdiff writes.

use common::record::{
    CountChange, DiffRecord, Header, MomentRef, Presence, ProcessChange, ThreadChange, TotalChange,
    TrendKind, Verdict,
};

use super::{Fill, header};

/// A difference; with one of everything if full.
pub fn diff(fill: Fill) -> DiffRecord {
    let header = header();
    DiffRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        before: mark(),
        after: mark(),
        processes: fill.of(process_change(fill)).into_iter().collect(),
        totals: fill.of(total_change(fill)).into_iter().collect(),
        types: fill.of(count_change(fill)).into_iter().collect(),
        modules: fill.of(count_change(fill)).into_iter().collect(),
        holders: fill.of(count_change(fill)).into_iter().collect(),
        caches: fill.of(count_change(fill)).into_iter().collect(),
        threads: fill.of(thread_change()).into_iter().collect(),
        verdicts: fill.of(verdict(fill)).into_iter().collect(),
        series_omitted: 3,
        grew: true,
    }
}

/// A moment of a log.
pub fn mark() -> MomentRef {
    let Header { timestamp, run, iteration, .. } = header();
    MomentRef { file: "log.jsonl".into(), run, iteration, timestamp }
}

/// A process on both sides.
pub fn process_change(fill: Fill) -> ProcessChange {
    ProcessChange {
        role: "root".into(),
        name: "python3".into(),
        command: fill.of("python3 bot.py".into()),
        presence: Presence::Both,
        pid_before: fill.of(100),
        pid_after: fill.of(200),
        rss_before_bytes: fill.of(50 << 20),
        rss_after_bytes: fill.of(60 << 20),
        pss_before_bytes: fill.of(40 << 20),
        pss_after_bytes: fill.of(45 << 20),
        uss_before_bytes: fill.of(30 << 20),
        uss_after_bytes: fill.of(35 << 20),
        swap_before_bytes: fill.of(0),
        swap_after_bytes: fill.of(4096),
        threads_before: fill.of(8),
        threads_after: fill.of(9),
    }
}

/// A sum on both sides.
pub fn total_change(fill: Fill) -> TotalChange {
    TotalChange {
        kind: "python".into(),
        role: "root".into(),
        before_bytes: fill.of(20 << 20),
        after_bytes: fill.of(25 << 20),
        count_before: fill.of(200_000),
        count_after: fill.of(250_000),
    }
}

/// A type on both sides.
pub fn count_change(fill: Fill) -> CountChange {
    CountChange {
        name: "dict".into(),
        role: "root".into(),
        presence: Presence::Both,
        count_before: fill.of(1000),
        count_after: fill.of(1500),
        size_before_bytes: fill.of(64_000),
        size_after_bytes: fill.of(96_000),
    }
}

/// A thread of one side.
pub fn thread_change() -> ThreadChange {
    ThreadChange { name: "worker-3".into(), role: "root".into(), presence: Presence::New }
}

/// A verdict.
pub fn verdict(fill: Fill) -> Verdict {
    let stamp = header().timestamp;
    Verdict {
        kind: "type".into(),
        name: "dict".into(),
        role: "root".into(),
        pid: fill.of(200),
        trend: TrendKind::Growing,
        confidence_ratio: 0.99,
        bytes_per_hour: fill.of(32_000.5),
        bytes_per_hour_low: fill.of(30_000.5),
        bytes_per_hour_high: fill.of(34_000.5),
        count_per_hour: fill.of(12.5),
        count_per_hour_low: fill.of(11.5),
        count_per_hour_high: fill.of(13.5),
        from: fill.of(stamp),
        to: fill.of(stamp),
        first_bytes: fill.of(64_000),
        last_bytes: fill.of(96_000),
        first_count: fill.of(20),
        last_count: fill.of(300),
        moments: 60,
        limit_reached_at: fill.of(stamp),
        limit_kind: fill.of("cgroup".into()),
        limit_bytes: fill.of(512 << 20),
        new_objects: fill.of(24),
        new_objects_survived: fill.of(23),
    }
}
