//! A process whose threads are all paused.

use std::time::Duration;

use super::copy_source::CopySource;
use super::ptrace::{PtraceStop, Release};
use crate::memory::ProcMem;

/// A process whose threads are all paused. Dropping it resumes them.
#[derive(Debug)]
pub struct StoppedProcess {
    pub(super) stop: PtraceStop,
    pub(super) source: CopySource,
}

impl StoppedProcess {
    /// Its memory, to inspect single values before a copy.
    #[must_use]
    pub const fn memory(&self) -> &ProcMem {
        self.source.memory()
    }

    /// The number of paused threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.stop.threads.len()
    }

    /// Resumes it, and returns how long it was paused.
    #[must_use]
    pub fn resume(self) -> Duration {
        self.release().0
    }

    /// Resumes it, and returns how long it was paused, and whether it was resumed earlier because its time was over.
    pub(super) fn release(self) -> (Duration, bool) {
        let begun = self.stop.begun;
        let Release { at, time_over } = self.stop.release();
        (at.saturating_duration_since(begun), time_over)
    }
}
