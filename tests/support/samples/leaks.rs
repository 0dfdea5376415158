//! The verdict on leaks.

use common::record::{Among, Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRowGrowth, TypeGrowth};

use super::{Fill, header};

/// A verdict.
pub fn leaks(fill: Fill) -> LeaksRecord {
    let header = header();
    let words: [String; 2] = ["python3".into(), "bot.py".into()];
    LeaksRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        pid: 4711,
        start_ticks: fill.of(4711),
        root_pid: fill.of(4700),
        name: fill.of("python3".into()),
        cmdline: fill.of(std::sync::Arc::new(words)),
        python: "3.13.0".into(),
        verdict: LeakVerdict::Leak,
        censuses: 5,
        duration_seconds: 60.5,
        longest_pause_seconds: fill.of(0.0125),
        first_objects: 100_000,
        last_objects: 160_000,
        first_size_bytes: 10 << 20,
        last_size_bytes: 16 << 20,
        first_rss_bytes: fill.of(50 << 20),
        last_rss_bytes: fill.of(58 << 20),
        places: 3000,
        leaks: vec![leak(fill)],
        filling: vec![leak(fill)],
        pinned_bytes: fill.of(1 << 20),
        pinned_by: fill.of("bytes".into()),
        memory: fill.of(memory_growth()),
        among: fill.of(among()),
    }
}

/// Something that grows.
pub fn leak(fill: Fill) -> Leak {
    Leak {
        cause: "held".into(),
        holder: "__main__._sessions".into(),
        name: "__main__.SessionState".into(),
        function: fill.of("__main__.wait_reply".into()),
        waiting: fill.of("task __main__.wait_reply, waiting at bot.py:42".into()),
        objects_per_minute: 12_000.5,
        entries_per_minute: fill.of(12_000.5),
        bytes_per_minute: 3.5e6,
        held_objects: 60_000,
        held_size_bytes: 6 << 20,
        retained_bytes: fill.of(6 << 20),
        oldest_seconds: fill.of(45.5),
        newest_seconds: 15.5,
        stayed: 9000,
        left: 3,
        confidence_ratio: 0.992,
        container: fill.of("dict".into()),
        entries: fill.of(12_000),
        how: "keys_set".into(),
        way: fill.of("module __main__ → _sessions (dict, 12,000 entries) → SessionState".into()),
        types: vec![type_growth()],
        limit: fill.of(100_000),
        along: fill.of("__main__.tasks".into()),
    }
}

/// Growth of a type.
pub fn type_growth() -> TypeGrowth {
    TypeGrowth { name: "str".into(), objects_per_minute: 12_000.5, bytes_per_minute: 1.5e6 }
}

/// Growth of the resident set.
pub fn memory_growth() -> MemoryGrowth {
    MemoryGrowth {
        leaks: true,
        bytes_per_minute: 5.5e7,
        objects_bytes_per_minute: 0.5,
        confidence_ratio: 0.99,
        rows: vec![memory_row_growth(Fill::Full)],
        trimmable_bytes: 1 << 20,
    }
}

/// Growth of what memory is used for.
pub fn memory_row_growth(fill: Fill) -> MemoryRowGrowth {
    MemoryRowGrowth {
        kind: "native_used".into(),
        detail: fill.of("heap".into()),
        grown_bytes: 50 << 20,
        now_bytes: 80 << 20,
    }
}

/// A comparison.
pub fn among() -> Among {
    Among { processes: 8, median_bytes_per_minute: 0.5, bytes_per_minute: 3.5e6, stands_out: true }
}
