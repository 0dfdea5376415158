//! The state of one process between two redraws.

use std::sync::Arc;

use common::process::ProcessState;
use common::record::{ProcessEvent, ProcessSample};
use common::stdio::escape_controls;
use common::units::Change;

use super::glyphs;
use super::recent::Recent;
use crate::shell_quote::signal_name;

/// Samples kept of a process: more than the widest column shows.
pub(super) const HISTORY_SAMPLES: usize = 64;

/// The longest name that is shown. A process can choose any name.
const MAX_NAME_CHARS: usize = 128;

/// The start of a process, in the unit of its source. It distinguishes processes that reuse a pid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum StartTime {
    /// Clock ticks since boot.
    Ticks(u64),
    /// The text in the record.
    Time(Arc<str>),
    /// Unknown.
    #[default]
    Unknown,
}

impl StartTime {
    /// From the two fields of a record. The wall clock may be changed while a process lives; ticks are stable.
    pub(super) fn new(ticks: Option<u64>, time: Option<&Arc<str>>) -> Self {
        match (ticks, time) {
            (Some(ticks), _) => Self::Ticks(ticks),
            (None, Some(time)) => Self::Time(Arc::clone(time)),
            (None, None) => Self::Unknown,
        }
    }

    /// Whether both can be the start of the same process. An unknown start matches any.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        self == other || *self == Self::Unknown || *other == Self::Unknown
    }
}

/// How and when a process exited.
#[derive(Debug, Clone)]
pub(super) struct ExitInfo {
    /// `exit 0`, `SIGKILL`, or `ended` if unknown.
    pub(super) how: String,
    /// The generation of its root in which its exit was last confirmed.
    pub(super) generation: u64,
}

/// Describes the exit of an `exited` event.
pub(super) fn describe_exit(event: &ProcessEvent) -> String {
    match (event.signal, event.exit_code) {
        (Some(signal), _) => signal_name(signal).into_owned(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// One process of a tree.
#[derive(Debug, Default)]
pub(super) struct ProcessRow {
    pub(super) pid: u32,
    pub(super) start: StartTime,
    pub(super) ppid: Option<u32>,
    /// Unescaped: compared, never shown.
    raw_name: Arc<str>,
    /// Escaped and cut.
    pub(super) name: String,
    pub(super) name_width: u16,
    pub(super) cmdline: Option<Arc<[String]>>,
    pub(super) state: Option<ProcessState>,
    pub(super) rss: Option<u64>,
    first_rss: Option<u64>,
    /// The last known value: it is not read at every sample. The next two likewise.
    pub(super) pss: Option<u64>,
    pub(super) cpu: Option<f64>,
    pub(super) threads: Option<u64>,
    history: Recent<Option<u64>, HISTORY_SAMPLES>,
    pub(super) ended: Option<ExitInfo>,
    /// The generation of its root in which it was last sampled.
    pub(super) seen: u64,
}

impl ProcessRow {
    /// A process that is new in this sample.
    pub(super) fn new(sample: &ProcessSample, start: StartTime, generation: u64) -> Self {
        let mut process = Self { pid: sample.pid, start, ..Self::default() };
        process.update(sample, generation);
        process
    }

    /// Takes its part of a sample.
    pub(super) fn update(&mut self, sample: &ProcessSample, generation: u64) {
        self.seen = generation;
        self.ppid = sample.ppid;
        if self.raw_name != sample.name {
            self.raw_name = Arc::clone(&sample.name);
            self.name = display_name(&sample.name);
            self.name_width = glyphs::width(&self.name);
        }
        self.cmdline.clone_from(&sample.cmdline);
        self.state = sample.state.or(self.state);
        self.rss = sample.rss_bytes;
        self.first_rss = self.first_rss.or(sample.rss_bytes);
        self.pss = sample.pss_bytes.or(self.pss);
        self.cpu = sample.cpu_ratio.or(self.cpu);
        self.threads = sample.threads.or(self.threads);
        self.history.push(sample.rss_bytes);
        // A zombie is still sampled after its exit; any other sampled process has not exited.
        let has_ended = sample.state.is_some_and(ProcessState::has_ended);
        self.ended = self.ended.take().filter(|_| has_ended).map(|end| ExitInfo { generation, ..end });
    }

    /// Its growth since the first sample.
    pub(super) fn growth(&self) -> Option<i64> {
        Some(Change::between(self.first_rss?, self.rss?).0)
    }

    /// Whether it grew notably: by a mebibyte and by 5 %.
    pub(super) fn grew_notably(&self) -> bool {
        grew_notably(self.first_rss, self.rss)
    }

    /// Its resident sizes, oldest first.
    pub(super) fn history(&self) -> impl DoubleEndedIterator<Item = Option<u64>> {
        self.history.iter().copied()
    }
}

/// See [`ProcessRow::grew_notably`].
pub(super) fn grew_notably(first: Option<u64>, now: Option<u64>) -> bool {
    let (Some(first), Some(now)) = (first, now) else { return false };
    now.saturating_sub(first) >= (first / 20).max(1 << 20)
}

/// A name that is safe for a terminal.
pub(super) fn display_name(raw: &str) -> String {
    let end = raw.char_indices().nth(MAX_NAME_CHARS).map_or(raw.len(), |(at, _)| at);
    escape_controls(raw.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, sample};
    use super::*;
    use common::record::EventKind;

    #[test]
    fn history_is_bounded() {
        let mut process = ProcessRow::new(&sample(1, 0, "a", 0), StartTime::Ticks(1), 0);
        for n in 1..10_000 {
            process.update(&sample(1, 0, "a", n), n);
        }
        assert_eq!(process.history().count(), HISTORY_SAMPLES);
        assert_eq!(process.history().next_back(), Some(Some(9999)));
        assert!(process.history.capacity() <= HISTORY_SAMPLES);
    }

    #[test]
    fn growth_counts_from_first_size() {
        let unknown = ProcessSample { rss_bytes: None, ..sample(1, 0, "a", 0) };
        let mut process = ProcessRow::new(&unknown, StartTime::Ticks(1), 0);
        assert_eq!((process.rss, process.growth()), (None, None));
        process.update(&sample(1, 0, "a", 5 << 20), 1);
        process.update(&sample(1, 0, "a", 7 << 20), 2);
        assert_eq!(process.growth(), Some(2 << 20));
        assert!(process.grew_notably());
        process.update(&unknown, 3);
        assert_eq!((process.rss, process.growth()), (None, None), "unknown now is not what it was before");
    }

    #[test]
    fn old_readings_stay_until_next() {
        let mut first = sample(1, 0, "a", 1);
        (first.pss_bytes, first.cpu_ratio, first.threads) = (Some(10), Some(0.5), Some(3));
        let mut process = ProcessRow::new(&first, StartTime::Ticks(1), 0);
        process.update(&sample(1, 0, "a", 1), 1);
        assert_eq!((process.pss, process.cpu, process.threads), (Some(10), Some(0.5), Some(3)));
    }

    #[test]
    fn names_are_escaped_and_cut() {
        assert_eq!(display_name("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(display_name(&"é".repeat(1000)).chars().count(), MAX_NAME_CHARS);
    }

    #[test]
    fn exit_is_one_word() {
        let mut exited = event(EventKind::Exited, 1, 1);
        assert_eq!(describe_exit(&exited), "ended");
        exited.exit_code = Some(3);
        assert_eq!(describe_exit(&exited), "exit 3");
        exited.signal = Some(9);
        assert_eq!(describe_exit(&exited), "SIGKILL");
    }

    #[test]
    fn unknown_start_matches_any() {
        let time = |text: &str| StartTime::new(None, Some(&text.into()));
        assert!(time("a").may_equal(&time("a")) && !time("a").may_equal(&time("b")));
        assert!(StartTime::new(None, None).may_equal(&StartTime::Ticks(7)));
        assert_eq!(StartTime::new(Some(7), Some(&"a".into())), StartTime::Ticks(7));
    }
}
