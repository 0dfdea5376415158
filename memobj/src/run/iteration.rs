//! The results of one iteration of a run, and of a command that was never counted.

use memobj_process::error::{Error, Stage};

/// The results of one iteration.
#[derive(Debug, Default)]
pub(super) struct Iteration {
    pub censuses: u64,
    /// Records about it, censuses among them.
    pub records: u64,
    /// The censuses that failed, by process.
    pub errors: Vec<(Option<u32>, Error)>,
}

/// Why a command is not counted yet, with what to do where the system forbids it.
pub(super) fn reason_of(error: &Error) -> String {
    if is_refusal(error) { format!("{}: {}", error.message, error.hint) } else { error.message.clone() }
}

/// Why no census of a command was taken.
pub(super) fn nothing_counted(last: Option<&Error>) -> String {
    match last.filter(|error| is_refusal(error)) {
        Some(refusal) => format!("no census was taken: {}", reason_of(refusal)),
        None => {
            "no census was taken: the command exited before it ran a Python that could be counted".to_owned()
        }
    }
}

/// Whether the process may not be looked at, whatever it runs.
fn is_refusal(error: &Error) -> bool {
    !error.exited && !error.is_transient && matches!(error.stage, Stage::ATTACH | Stage::COPY)
}
