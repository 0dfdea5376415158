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

#[cfg(test)]
mod tests {
    use memobj_cpython::stage;

    use super::*;

    #[test]
    fn refusal_of_a_command_has_its_remedy() {
        let refusal = Error::new(Stage::ATTACH, "pid 7: may not be traced", "run it as root");
        assert_eq!(reason_of(&refusal), "pid 7: may not be traced: run it as root");
        assert_eq!(
            nothing_counted(Some(&refusal)),
            "no census was taken: pid 7: may not be traced: run it as root"
        );
        let other = Error::new(stage::LOCATE, "`sh` runs no CPython", "name a Python");
        for last in [None, Some(other), Some(Error::exited(Stage::ATTACH, "pid 7: ended"))] {
            assert!(nothing_counted(last.as_ref()).ends_with("before it ran a Python that could be counted"));
        }
    }
}
