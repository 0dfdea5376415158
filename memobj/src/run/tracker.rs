//! Everything that is kept of a process from one census to the next.

use std::time::Duration;

use common::record::LeaksRecord;

use crate::capture::ProcessState;
use crate::emit::census_record::CensusRecorder;
use crate::emit::text::TextState;
use crate::leaks::LeakTracker;
use crate::leaks::source_lines::correct_likely_lines;

/// Everything that is kept of a process from one census to the next.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    pub state: ProcessState,
    pub recorder: CensusRecorder,
    pub text: Option<TextState>,
    /// The findings so far, if leaks are searched for and a census was taken.
    pub outcome: Option<LeaksRecord>,
}

impl Tracker {
    /// Whether something leaks, as far as is known.
    pub fn has_leak(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| !outcome.leaks.is_empty())
    }

    /// Whether something leaks, and too few additions to it were seen.
    pub fn wants_watch(&self) -> bool {
        self.has_leak() && self.state.leaks.as_ref().is_some_and(LeakTracker::wants_watch)
    }

    /// Watches for `limit` at most, while `goes_on`, who adds to the leaks.
    pub fn watch_additions(&mut self, limit: Duration, goes_on: &mut dyn FnMut() -> bool) {
        if let (Some(outcome), Some(report)) = (&mut self.outcome, self.state.watch_additions(limit, goes_on))
        {
            for (leak, seen) in outcome.leaks.iter_mut().zip(&report.leaks) {
                leak.additions.clone_from(&seen.additions);
            }
            correct_likely_lines(outcome.pid, &mut outcome.leaks);
        }
    }

    /// Forgets the program, as another one runs in the process now. Its records and text go on.
    pub fn restart(&mut self) {
        self.state = ProcessState::default();
    }
}
