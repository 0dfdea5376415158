//! The verdict on leaks.

use common::record::{
    AddingLine, Additions, CensusTotals, CodeLine, DescriptorGrowth, Leak, LeakVerdict, LeaksRecord,
    MemoryGrowth, MemoryRow, MemoryRowGrowth, PeerComparison, TypeGrowth, WritesRecord,
};

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
        live_censuses: 2,
        longest_pause_seconds: fill.of(0.0125),
        first_objects: 100_000,
        last_objects: 160_000,
        first_size_bytes: 10 << 20,
        last_size_bytes: 16 << 20,
        first_rss_bytes: fill.of(50 << 20),
        last_rss_bytes: fill.of(58 << 20),
        holders_checked: 3000,
        leaks: vec![leak(fill)],
        filling: vec![leak(fill)],
        slowing: vec![leak(fill)],
        undecided: vec![leak(fill)],
        pinned_bytes: fill.of(1 << 20),
        pinned_type: fill.of("bytes".into()),
        memory: fill.of(memory_growth()),
        peers: fill.of(peers()),
        unchecked_children: 2,
        brief_children: 3,
        unread_frames_of: vec!["fibers.Fiber".into()],
        totals_by_census: vec![census_totals(fill)],
        memory_rows: vec![MemoryRow {
            kind: "python_objects".into(),
            detail: fill.of("pools".into()),
            private_bytes: 40 << 20,
            shared_bytes: 1 << 20,
            swap_bytes: 4096,
        }],
        memobj_version: fill.of("0.1.0".into()),
        fds: fill.of(descriptor_growth()),
    }
}

/// Open file descriptors at two moments.
pub fn descriptor_growth() -> DescriptorGrowth {
    DescriptorGrowth { first_count: 20, last_count: 120, first_object_count: 15, last_object_count: 115 }
}

/// The totals of a census.
pub fn census_totals(fill: Fill) -> CensusTotals {
    CensusTotals {
        elapsed_seconds: 15.5,
        objects: 110_000,
        size_bytes: 11 << 20,
        rss_bytes: fill.of(51 << 20),
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
        entry_code: fill.of(CodeLine {
            function: "Bot.on_timeout".into(),
            file: "bot.py".into(),
            line: fill.of(73),
        }),
        objects_per_minute: 12_000.5,
        entries_per_minute: fill.of(12_000.5),
        growth_by_census: vec![3000, 3010, 2990, 3000],
        bytes_per_minute: 3.5e6,
        native_bytes_per_minute: fill.of(8_500_000.5),
        native_type: fill.of("ssl.SSLContext".into()),
        held_objects: 60_000,
        held_size_bytes: 6 << 20,
        retained_bytes: fill.of(6 << 20),
        added_bytes: fill.of(5 << 20),
        oldest_age_seconds: fill.of(45.5),
        newest_age_seconds: 15.5,
        survived: 9000,
        freed: 3,
        confidence_ratio: 0.992,
        container: fill.of("dict".into()),
        container_name: fill.of("SessionStore._by_id".into()),
        entries: fill.of(12_000),
        growth_mode: "keys_set".into(),
        path: fill.of("module __main__ → _sessions (dict, 12,000 entries) → SessionState".into()),
        types: vec![type_growth()],
        is_made_anew: false,
        max_entries: fill.of(100_000),
        hiding_type: fill.of("hiredis.Reader".into()),
        suspects: vec!["hiredis".into()],
        side_effect_of: fill.of("__main__.tasks".into()),
        additions: fill.of(additions(fill)),
        candidates: vec![CodeLine {
            function: "Bot.on_message".into(),
            file: "bot.py".into(),
            line: fill.of(42),
        }],
        removers: vec![CodeLine {
            function: "Bot.on_leave".into(),
            file: "bot.py".into(),
            line: fill.of(57),
        }],
        callers: vec![CodeLine { function: "main".into(), file: "bot.py".into(), line: fill.of(91) }],
        sleeping_remover: fill.of(CodeLine {
            function: "Bot.sweep".into(),
            file: "bot.py".into(),
            line: fill.of(64),
        }),
        fds: 1000,
        added_fds: 100,
    }
}

/// Who adds to it.
pub fn additions(fill: Fill) -> Additions {
    Additions {
        watched_seconds: 1.25,
        seen: 12,
        lines: vec![adding_line(fill)],
        refused: fill.of("kernel.perf_event_paranoid is 4: run memobj as root".into()),
    }
}

/// Who adds to a container and removes from it.
pub fn writes(fill: Fill) -> WritesRecord {
    let header = header();
    let words: [String; 2] = ["python3".into(), "bot.py".into()];
    WritesRecord {
        schema: header.schema,
        timestamp: header.timestamp,
        host: header.host,
        run: header.run,
        iteration: header.iteration,
        pid: 4711,
        start_ticks: fill.of(4711),
        name: fill.of("python3".into()),
        cmdline: fill.of(std::sync::Arc::new(words)),
        python: "3.13.0".into(),
        holder: "__main__._sessions".into(),
        container: "dict".into(),
        containers: 1,
        watched_containers: 1,
        watched_seconds: 30.5,
        unwatched_seconds: 0.25,
        writes: 45,
        added: 31,
        removed: 12,
        unclear: 2,
        additions: vec![adding_line(fill)],
        removals: vec![adding_line(fill)],
        first_entries: fill.of(1000),
        last_entries: fill.of(1019),
        replaced: 2,
        is_gone: true,
    }
}

/// A line that adds.
pub fn adding_line(fill: Fill) -> AddingLine {
    AddingLine { count: 12, is_certain: true, frames: vec![code_line(fill)] }
}

/// A line of code.
pub fn code_line(fill: Fill) -> CodeLine {
    CodeLine {
        function: "Handler.on_message".into(),
        file: "/srv/bot/handlers.py".into(),
        line: fill.of(142),
    }
}

/// Growth of a type.
pub fn type_growth() -> TypeGrowth {
    TypeGrowth { name: "str".into(), objects_per_minute: 12_000.5, bytes_per_minute: 1.5e6 }
}

/// Growth of the resident set.
pub fn memory_growth() -> MemoryGrowth {
    MemoryGrowth {
        is_leak: true,
        bytes_per_minute: 5.5e7,
        objects_bytes_per_minute: 0.5,
        confidence_ratio: 0.99,
        rows: vec![memory_row_growth(Fill::Full)],
        explained_bytes: 3 << 20,
        trimmable_bytes: 1 << 20,
        suspects: vec!["multidict".into()],
    }
}

/// Growth of what memory is used for.
pub fn memory_row_growth(fill: Fill) -> MemoryRowGrowth {
    MemoryRowGrowth {
        kind: "native_used".into(),
        detail: fill.of("heap".into()),
        growth_bytes: 50 << 20,
        current_bytes: 80 << 20,
    }
}

/// A comparison.
pub fn peers() -> PeerComparison {
    PeerComparison { processes: 8, median_bytes_per_minute: 0.5, bytes_per_minute: 3.5e6, is_outlier: true }
}
