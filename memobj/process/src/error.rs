//! What can go wrong, by stage, each with what to do about it.

use common::cli::{EXIT_TROUBLE, Failure};

/// The step of a census that failed; its word is the `stage` of an `error` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Getting at the process, the core file or the snapshot.
    Attach,
    /// Finding the Python in it.
    Locate,
    /// Knowing how that Python lays out its objects.
    Layout,
    /// Stopping and copying.
    Copy,
    /// Following its objects.
    Heap,
}

impl Stage {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Locate => "locate",
            Self::Layout => "layout",
            Self::Copy => "copy",
            Self::Heap => "heap",
        }
    }
}

/// Why there is no census, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {hint}")]
pub struct Error {
    /// The step that failed.
    pub stage: Stage,
    /// One line, without a full stop: what happened to which process or file.
    pub what: String,
    /// One line: what the user can do.
    pub hint: String,
    /// Whether the target has ended (or become another program): the end of a run rather than a fault in it.
    pub gone: bool,
    /// Whether it may go well a moment later: the Python in it is just being started. Who has started it waits and tries again.
    pub later: bool,
    /// Whether there is no room for a copy: what is read as it runs takes little.
    pub no_room: bool,
}

impl Error {
    /// A fault of a stage.
    #[must_use]
    pub fn new(stage: Stage, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { stage, what: what.into(), hint: hint.into(), gone: false, later: false, no_room: false }
    }

    /// The target has ended.
    #[must_use]
    pub fn gone(stage: Stage, what: impl Into<String>) -> Self {
        Self { gone: true, ..Self::new(stage, what, "it has ended; nothing is left to look at") }
    }

    /// What may go well a moment later.
    #[must_use]
    pub fn later(stage: Stage, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { later: true, ..Self::new(stage, what, hint) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: EXIT_TROUBLE, what: error.what, hint: error.hint }
    }
}
