//! Why something could not be done, and what the user can do about it.

use std::fmt;
use std::time::Duration;

use common::cli::{EXIT_TROUBLE, Failure};
use common::units::Bytes;

/// The step that failed. Each crate names its own steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage(pub &'static str);

impl Stage {
    /// Getting access to a process, a core file or a snapshot.
    pub const ATTACH: Self = Self("attach");
    /// Stopping a process and copying its memory.
    pub const COPY: Self = Self("copy");
    /// Watching writes to a word of a process.
    pub const WATCH: Self = Self("watch");

    /// The name of the step, as records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What failed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {hint}")]
pub struct Error {
    /// The step that failed.
    pub stage: Stage,
    /// What happened to which process or file: one line without a full stop.
    pub message: String,
    /// What the user can do: one line.
    pub hint: String,
    /// Whether the process has exited, or runs another program now.
    pub exited: bool,
    /// Whether a later attempt may succeed, as while the process starts.
    pub is_transient: bool,
    /// Whether memory was short. Reading the process while it runs needs less.
    pub out_of_memory: bool,
    /// If the process could not be paused for as short a time as was permitted: how long it was paused in vain.
    pub paused_in_vain: Option<Duration>,
    /// Whether it was not paused because no watchdog could be started.
    pub no_watchdog: bool,
    /// Whether a page was needed that had been left out of the copy. The next copy has it.
    pub missed_pages: bool,
}

impl Error {
    /// Creates an error of a stage.
    #[must_use]
    pub fn new(stage: Stage, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            stage,
            message: message.into(),
            hint: hint.into(),
            exited: false,
            is_transient: false,
            out_of_memory: false,
            paused_in_vain: None,
            no_watchdog: false,
            missed_pages: false,
        }
    }

    /// Creates an error for a process that has exited.
    #[must_use]
    pub fn exited(stage: Stage, message: impl Into<String>) -> Self {
        Self { exited: true, ..Self::new(stage, message, "it has ended; nothing is left to look at") }
    }

    /// Creates an error for an allocation that failed.
    #[must_use]
    pub fn out_of_memory(stage: Stage, bytes: u64) -> Self {
        let message = format!("not enough memory: {} are needed at once", Bytes(bytes));
        let hint =
            "raise the limit (ulimit -v, cgroup), or run memobj elsewhere on a file from --save-snapshot";
        Self { out_of_memory: true, ..Self::new(stage, message, hint) }
    }

    /// Creates an error that may not occur a moment later.
    #[must_use]
    pub fn transient(stage: Stage, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { is_transient: true, ..Self::new(stage, message, hint) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: EXIT_TROUBLE, message: error.message, hint: error.hint }
    }
}
