//! A process whose threads are all paused.

use std::time::Duration;

use super::copy_source::CopySource;
use super::ptrace::PtraceStop;
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
    pub const fn threads(&self) -> usize {
        self.stop.threads
    }

    /// Resumes it, and returns how long it was paused.
    #[must_use]
    pub fn resume(self) -> Duration {
        let begun = self.stop.begun;
        self.stop.release().saturating_duration_since(begun)
    }
}
