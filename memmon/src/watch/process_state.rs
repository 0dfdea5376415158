//! The state of one process between two redraws.

use std::collections::VecDeque;
use std::sync::Arc;

use common::process::ProcessState;
use common::process_search::ProgramName;
use common::record::{ProcessEvent, ProcessSample};
use common::stdio::escape_controls;
use common::units::Change;

use super::glyphs;
use super::recent;
use crate::shell_quote::exit_status;

/// Samples kept of a process: more than the widest column shows.
pub(super) const HISTORY_SAMPLES: usize = 64;

/// The longest name that is shown. A process can choose any name.
const MAX_NAME_CHARS: usize = 128;

/// Clock ticks since boot, and the text in the record. They distinguish processes that reuse a pid.
pub(super) type StartTime<'a> = (Option<u64>, Option<&'a Arc<str>>);

/// Whether both can be the start of the same process. An unknown start matches any. The wall clock may be changed while a process lives;
/// ticks are stable.
pub(super) fn may_be_equal(a: StartTime<'_>, b: StartTime<'_>) -> bool {
    match (a, b) {
        ((Some(a), _), (Some(b), _)) => a == b,
        ((_, a), (_, b)) => a.is_none() || b.is_none() || a == b,
    }
}

/// Describes the exit of an `exited` event.
pub(super) fn describe_exit(event: &ProcessEvent) -> String {
    exit_status(event).unwrap_or_else(|| "ended".to_owned())
}

/// One process of a tree.
#[derive(Debug, Default)]
pub(super) struct ProcessRow {
    /// Its last sample. A state, PSS, processor time or thread count that was not read then is the last known one.
    pub(super) sample: ProcessSample,
    /// The name of its script or, without one, its own; escaped and cut.
    pub(super) name: String,
    pub(super) name_width: u16,
    pub(super) first_rss: Option<u64>,
    /// Its resident sizes, oldest first.
    pub(super) history: VecDeque<Option<u64>>,
    /// How it exited (`exit 0`, `SIGKILL`, or `ended` if unknown), and the generation of its root in which that was last confirmed.
    pub(super) ended: Option<(String, u64)>,
    /// The generation of its root in which it was last sampled.
    pub(super) seen: u64,
}

impl ProcessRow {
    /// A process that is new in this sample.
    pub(super) fn new(sample: &ProcessSample, generation: u64) -> Self {
        let mut process = Self::default();
        process.update(sample, generation);
        process
    }

    /// Takes its part of a sample.
    pub(super) fn update(&mut self, sample: &ProcessSample, generation: u64) {
        self.seen = generation;
        if self.sample.name != sample.name || self.sample.cmdline != sample.cmdline {
            let cmdline = sample.cmdline.as_deref().unwrap_or_default();
            self.name = display_name(ProgramName { name: &sample.name, cmdline }.short());
            self.name_width = glyphs::width(&self.name);
        }
        let before = std::mem::replace(&mut self.sample, sample.clone());
        self.sample.state = sample.state.or(before.state);
        self.sample.pss_bytes = sample.pss_bytes.or(before.pss_bytes);
        self.sample.cpu_ratio = sample.cpu_ratio.or(before.cpu_ratio);
        self.sample.threads = sample.threads.or(before.threads);
        self.first_rss = self.first_rss.or(sample.rss_bytes);
        recent::push(&mut self.history, sample.rss_bytes, HISTORY_SAMPLES);
        // A zombie is still sampled after its exit; any other sampled process has not exited.
        let has_ended = sample.state.is_some_and(ProcessState::has_ended);
        self.ended = self.ended.take().filter(|_| has_ended).map(|(how, _)| (how, generation));
    }

    /// Its start.
    pub(super) fn start(&self) -> StartTime<'_> {
        (self.sample.start_ticks, self.sample.start_time.as_ref())
    }

    /// Its growth since the first sample.
    pub(super) fn growth(&self) -> Option<i64> {
        Some(Change::between(self.first_rss?, self.sample.rss_bytes?).0)
    }
}

/// Whether a size grew notably: by a mebibyte and by 5 %.
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
        let mut process = ProcessRow::new(&sample(1, 0, "a", 0), 0);
        for n in 1..10_000 {
            process.update(&sample(1, 0, "a", n), n);
        }
        assert_eq!(process.history.len(), HISTORY_SAMPLES);
        assert_eq!(process.history.back(), Some(&Some(9999)));
        assert!(process.history.capacity() <= HISTORY_SAMPLES);
    }

    #[test]
    fn growth_counts_from_first_size() {
        let unknown = ProcessSample { rss_bytes: None, ..sample(1, 0, "a", 0) };
        let mut process = ProcessRow::new(&unknown, 0);
        assert_eq!((process.sample.rss_bytes, process.growth()), (None, None));
        process.update(&sample(1, 0, "a", 5 << 20), 1);
        process.update(&sample(1, 0, "a", 7 << 20), 2);
        assert_eq!(process.growth(), Some(2 << 20));
        assert!(grew_notably(process.first_rss, process.sample.rss_bytes));
        process.update(&unknown, 3);
        assert_eq!(
            (process.sample.rss_bytes, process.growth()),
            (None, None),
            "unknown now is not what it was before"
        );
    }

    #[test]
    fn old_readings_stay_until_next() {
        let mut first = sample(1, 0, "a", 1);
        (first.pss_bytes, first.cpu_ratio, first.threads) = (Some(10), Some(0.5), Some(3));
        let mut process = ProcessRow::new(&first, 0);
        process.update(&sample(1, 0, "a", 1), 1);
        assert_eq!(
            (process.sample.pss_bytes, process.sample.cpu_ratio, process.sample.threads),
            (Some(10), Some(0.5), Some(3))
        );
    }

    #[test]
    fn interpreter_has_the_name_of_its_script() {
        let line =
            |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>().into());
        let module = ProcessSample {
            cmdline: line(&["/srv/.venv/bin/python", "-m", "web\x1bui"]),
            ..sample(1, 0, "python", 0)
        };
        let mut process = ProcessRow::new(&module, 0);
        assert_eq!(process.name, "web\\u{1b}ui");
        process.update(&ProcessSample { cmdline: line(&["python", "-c", "1"]), ..module }, 1);
        assert_eq!((&*process.name, process.name_width), ("python", 6));
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
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert!(may_be_equal((None, Some(&a)), (None, Some(&a))));
        assert!(!may_be_equal((None, Some(&a)), (None, Some(&b))));
        assert!(may_be_equal((None, None), (Some(7), None)));
        assert!(may_be_equal((Some(7), Some(&a)), (Some(7), Some(&b))), "ticks decide");
        assert!(!may_be_equal((Some(7), None), (Some(8), None)));
    }
}
