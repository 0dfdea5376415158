//! The text of a census.

use std::time::Duration;

use common::columns::{Cell, Tone};
use common::record::{CaptureMethod, CensusRecord, Coverage, GcState, LiveReason, PythonThread};
use common::stdio::escape_controls;
use common::table::Line;
use common::time::Span;
use common::units::{Bytes, counted, thousands};

use super::packages::packages;
use super::tables::{ANY_WIDTH, more, object_table, percent, size, table, titled_table};
use crate::census::Census;
use crate::emit::summary::CensusSummary;
use crate::object_sum::ObjectSum;

/// Bad reads are a warning from one per this many objects on. A few are normal: frames contain stale pointers.
const OBJECTS_PER_BAD_READ: u64 = 1000;

/// Coverage below this is highlighted.
const LOW_COVERAGE: f64 = 0.9;

pub(super) struct CensusView<'a> {
    pub record: &'a CensusRecord,
    pub census: &'a Census,
    pub summary: &'a CensusSummary,
    /// Rows of a table.
    pub limit: usize,
    /// The day, if it differs from that of the census before.
    pub day: Option<&'a str>,
    /// The caches of the census before.
    pub caches: Option<&'a super::caches::Before>,
}

impl CensusView<'_> {
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.heading(), self.summary().wrapped()];
        lines.extend(self.warnings());
        // Options that were asked for come first. With caches there is nothing else, so that they fit one screen.
        if let Some(caches) = &self.census.caches {
            lines.extend(super::caches::lines(caches, self.caches, self.limit));
        }
        if let Some(held) = &self.census.held {
            lines.extend(super::holders::lines(held, self.summary.total, self.record.fds, self.limit));
        }
        let memory = self.record.memory.as_ref();
        lines.extend(memory.map(|memory| super::memory::memory(memory, self.limit)).unwrap_or_default());
        if self.census.caches.is_none() {
            let (total, columns) = (self.summary.total.size_bytes, ("OVERHEAD", overhead as fn(_) -> _));
            let types = &self.summary.types;
            lines.extend(object_table(
                "types",
                ["OVERHEAD", "TYPE"],
                types,
                total,
                self.limit,
                overhead,
                |_| Vec::new(),
            ));
            lines.extend(packages("packages", &self.summary.modules, total, self.limit, columns));
            lines.extend(self.threads());
            lines.extend(self.record.gc.as_ref().map(gc).unwrap_or_default());
        }
        lines.push(Line::default());
        lines.extend(self.record.coverage.as_ref().map(|coverage| self.coverage(coverage).wrapped()));
        lines.push(self.method().wrapped());
        lines
    }

    /// The process and the time.
    fn heading(&self) -> Line {
        let record = self.record;
        let mut line = Line::default();
        line.push(Tone::Strong, format!("#{}", record.iteration));
        let time = record.timestamp.format("%H:%M:%S");
        line.push_apart(Tone::Plain, self.day.map_or_else(|| time.clone(), |day| format!("{day} {time}")));
        let name = record.name.as_deref().map_or_else(|| "?".into(), escape_controls);
        line.push_apart(Tone::Plain, format!("{name} (pid {})", record.pid));
        if let Some(python) = &record.python {
            let mut build =
                escape_controls(&format!("{} {}", python.implementation, python.version)).into_owned();
            for (is, word) in [(python.debug, "debug"), (python.free_threaded, "free-threaded")] {
                if is == Some(true) {
                    build += &format!(", {word}");
                }
            }
            line.push_apart(Tone::Dim, build);
        }
        if let Some(many) = record.interpreters.filter(|&many| many != 1) {
            line.push_apart(Tone::Dim, counted(many, "interpreter", "interpreters"));
        }
        line
    }

    /// The totals.
    fn summary(&self) -> Line {
        let (record, total) = (self.record, self.summary.total);
        let mut line = Line::indented(2);
        line.push(Tone::Strong, format!("{}, {}", counted(total.count, "object", "objects"), size(total)));
        if total.overhead_bytes > 0 {
            line.push(Tone::Plain, format!(" and {} of overhead", Bytes(total.overhead_bytes)));
        }
        line.push_apart(Tone::Dim, record.scope.map_or_else(|| "?".into(), |scope| scope.to_string()));
        let parts = [
            (record.tracked_objects, record.tracked_size_bytes, "tracked"),
            (record.permanent_objects.filter(|&frozen| frozen > 0), record.permanent_size_bytes, "frozen"),
            (record.reachable_objects, record.reachable_size_bytes, "reachable"),
        ];
        for (count, bytes, word) in parts {
            let (Some(count), Some(bytes)) = (count, bytes) else { continue };
            if record.scope.is_none_or(|scope| scope.to_string() != word) {
                line.push_apart(Tone::Dim, format!("{word}: {}, {}", thousands(count), Bytes(bytes)));
            }
        }
        line
    }

    /// Reasons to doubt the numbers.
    fn warnings(&self) -> Vec<Line> {
        let record = self.record;
        let mut warnings = Vec::new();
        if record.in_collection == Some(true) {
            let tries = record.attempts.unwrap_or(1);
            warnings.push(format!(
                "! the garbage collector was running in each of {}: some objects may be missing",
                counted(tries, "attempt", "attempts")
            ));
        }
        if let Some(others) =
            record.python.as_ref().and_then(|python| python.other_runtimes).filter(|&n| n > 0)
        {
            let what = counted(others, "other Python", "other Pythons");
            warnings.push(format!("! the process has {what}, which memobj did not count"));
        }
        match record.live_reason {
            Some(LiveReason::MaxPause) => {
                warnings
                    .push("! read while it ran: the pause for a copy would have exceeded --max-pause".into());
            }
            Some(LiveReason::NoInterrupt) => {
                warnings.push("! read while it ran: a copy needs a pause of waiting threads, which --no-interrupt forbids".into());
            }
            Some(LiveReason::Memory) => {
                warnings.push("! read while it ran: no room for a copy of its memory".into())
            }
            Some(LiveReason::Watchdog) => {
                warnings.push("! read while it ran: the watchdog of a pause could not be started".into())
            }
            _ => {}
        }
        let reads = [(record.torn_reads, "torn"), (record.rejected_reads, "rejected")];
        let bad: Vec<String> = reads
            .iter()
            .filter_map(|(count, word)| {
                Some(format!("{} {word}", thousands(count.filter(|&count| count > 0)?)))
            })
            .collect();
        let all = record.torn_reads.unwrap_or(0).saturating_add(record.rejected_reads.unwrap_or(0));
        if !bad.is_empty() && all.saturating_mul(OBJECTS_PER_BAD_READ) >= self.summary.total.count {
            let what = "some objects may be missing or counted wrongly";
            warnings.push(format!("! {} reads: {what}", bad.join(", ")));
        }
        warnings.into_iter().map(|text| Line::whole(2, Tone::Warning, text)).collect()
    }

    fn threads(&self) -> Vec<Line> {
        let Some(threads) = &self.record.threads else { return Vec::new() };
        let mut table = table(&["ID"], &[("NAME", 32), ("STATE", 16), ("FUNCTION", ANY_WIDTH)]);
        for thread in threads.iter().take(self.limit) {
            let id = thread.native_id.map(|id| id.to_string()).unwrap_or_default();
            let name = thread.name.as_deref().map(|name| escape_controls(name).into_owned());
            let unnamed = if name.is_some() { Tone::Plain } else { Tone::Dim };
            table.push([
                Cell::new(Tone::Dim, id),
                Cell::new(unnamed, name.unwrap_or_else(|| "unnamed".into())),
                Cell::new(Tone::Dim, thread_flags(thread)),
                Cell::plain(running_function(thread)),
            ]);
        }
        let hidden = threads.len().saturating_sub(self.limit);
        let mut lines = titled_table(&format!("threads ({})", threads.len()), table);
        if hidden > 0 {
            lines.push(Line::whole(2, Tone::Dim, more(hidden)));
        }
        lines
    }

    fn coverage(&self, coverage: &Coverage) -> Line {
        let mut line = Line::indented(2);
        line.push(Tone::Dim, "coverage");
        if let (Some(allocator), Some(used)) = (&coverage.allocator, coverage.allocator_used_bytes) {
            let of = format!("{} in use in {}", Bytes(used), allocator);
            match coverage.allocator_ratio {
                Some(share) => {
                    let tone = if share < LOW_COVERAGE { Tone::Warning } else { Tone::Plain };
                    line.push_apart(tone, percent(share));
                    line.push(Tone::Plain, format!(" of {of}"));
                }
                None => line.push_apart(Tone::Plain, of),
            }
        }
        if let (Some(share), Some(used)) = (coverage.malloc_ratio, coverage.malloc_used_bytes) {
            line.push_apart(Tone::Plain, format!("{} of {} in use in malloc", percent(share), Bytes(used)));
        }
        if let (Some(share), Some(rss)) = (coverage.rss_ratio, self.record.rss_bytes) {
            let objects = Bytes(coverage.objects_bytes);
            line.push_apart(
                Tone::Plain,
                format!("objects {objects}, {} of {} resident", percent(share), Bytes(rss)),
            );
        }
        if !coverage.unread_frames_of.is_empty() {
            let of = coverage.unread_frames_of.join(", ");
            line.push_apart(Tone::Warning, format!("without the frames of {of}, which cannot be read"));
        }
        line
    }

    /// The method of the capture, and its costs.
    fn method(&self) -> Line {
        let record = self.record;
        let mut line = Line::indented(2);
        let method = match (record.method, record.pause_seconds.and_then(seconds)) {
            (Some(CaptureMethod::Stopped), Some(pause)) => {
                let tries = record.attempts.filter(|&tries| tries > 1);
                let tries = tries.map(|tries| format!(" in {tries} attempts")).unwrap_or_default();
                format!("paused for {pause}{tries}")
            }
            (Some(CaptureMethod::Gentle), Some(pause)) => {
                format!("the threads that ran were paused for {pause}")
            }
            (Some(CaptureMethod::Quiet), _) => "copied without a pause".into(),
            (Some(CaptureMethod::Live), None) => "read while it ran".into(),
            (Some(CaptureMethod::Live), Some(pause)) => {
                format!("paused in vain for {pause}, read while it ran")
            }
            (Some(other), _) => format!("from a {other}"),
            (None, _) => return line,
        };
        line.push(Tone::Dim, method);
        if let Some(duration) = record.duration_seconds.and_then(seconds) {
            line.push_apart(Tone::Dim, format!("counted in {duration}"));
        }
        if let Some(peak) = record.memobj_peak_bytes {
            line.push_apart(Tone::Dim, format!("memobj used at most {}", Bytes(peak)));
        }
        line
    }
}

/// The storage beyond the sizes, if there is any.
fn overhead(sum: ObjectSum) -> Option<u64> {
    Some(sum.overhead_bytes).filter(|&bytes| bytes > 0)
}

fn thread_flags(thread: &PythonThread) -> String {
    let words = [
        (thread.main == Some(true), "main"),
        (thread.daemon == Some(true), "daemon"),
        (thread.alive == Some(false), "ended"),
    ];
    words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

fn running_function(thread: &PythonThread) -> String {
    let Some(function) = &thread.function else { return String::new() };
    let mut text = function.to_string();
    if let Some(file) = &thread.file {
        text += &format!("  {file}");
        if let Some(line) = thread.line {
            text += &format!(":{line}");
        }
    }
    escape_controls(&text).into_owned()
}

fn gc(gc: &GcState) -> Vec<Line> {
    let columns =
        ["GENERATION", "PENDING", "THRESHOLD", "COLLECTIONS", "COLLECTED", "UNCOLLECTABLE", "OBJECTS"];
    let mut table = table(&columns, &[]);
    let number = |value: Option<u64>| Cell::plain(value.map(thousands).unwrap_or_default());
    for (index, generation) in gc.generations.iter().enumerate() {
        table.push([
            Cell::plain(index.to_string()),
            number(generation.pending),
            number(generation.threshold),
            number(generation.collections),
            number(generation.collected),
            number(generation.uncollectable),
            number(generation.objects),
        ]);
    }
    let mut title = String::from("garbage collector");
    match gc.enabled {
        Some(false) => title += ": disabled",
        Some(true) => title += ": enabled",
        None => {}
    }
    for (count, word) in [(gc.tracked, "tracked"), (gc.frozen, "frozen"), (gc.garbage, "in gc.garbage")] {
        if let Some(count) = count.filter(|&count| count > 0) {
            title += &format!(", {} {word}", thousands(count));
        }
    }
    titled_table(&title, table)
}

/// A short time: with a decimal where it is milliseconds.
fn seconds(seconds: f64) -> Option<String> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    Some(if time < Duration::from_secs(1) {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        Span(time).to_string()
    })
}
