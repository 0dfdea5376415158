//! Who a process is: its number and when it began.

use std::fmt;

/// A process, told apart from every other that ever bore its number.
///
/// The kernel gives numbers out again; the pair of number and start does not come back. Two processes of one number
/// would have to begin within the same clock tick (10 ms on Linux), after all other numbers were used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// The number, in the pid namespace of the observer.
    pub pid: u32,
    /// When it began, in the finest unit its source has: clock ticks since boot on Linux (`starttime`, field 22 of
    /// proc_pid_stat(5)), seconds since 1970 elsewhere. Only compared, never computed with.
    pub start: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// What a process is doing. The words are psutil's, so that its users need not learn new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// On a processor or waiting for one.
    Running,
    /// Waiting, and a signal would wake it.
    Sleeping,
    /// Waiting for a device: no signal reaches it.
    DiskSleep,
    /// Stopped by a signal (job control).
    Stopped,
    /// Stopped by a debugger.
    TracingStop,
    /// Ended; its parent has not taken notice yet. It holds no memory.
    Zombie,
    /// Being taken down.
    Dead,
    /// A kernel thread without work.
    Idle,
    /// A parked kernel thread.
    Parked,
    /// A word or letter that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ProcessState {
    /// From the letter in `/proc/PID/stat`: proc_pid_stat(5), field 3.
    #[must_use]
    pub fn from_letter(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::DiskSleep,
            b'T' => Self::Stopped,
            b't' => Self::TracingStop,
            b'Z' => Self::Zombie,
            b'X' | b'x' => Self::Dead,
            b'I' => Self::Idle,
            b'P' => Self::Parked,
            _ => Self::Unknown,
        }
    }

    /// Whether the process has ended and holds no memory any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Zombie | Self::Dead)
    }

    /// The word of the contract: `sleeping`, `disk-sleep`, …
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::DiskSleep => "disk-sleep",
            Self::Stopped => "stopped",
            Self::TracingStop => "tracing-stop",
            Self::Zombie => "zombie",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_json_says_and_new_words_are_unknown() {
        for letter in *b"RSDTtZXIPq" {
            let state = ProcessState::from_letter(letter);
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.word()));
            assert_eq!(
                serde_json::from_str::<ProcessState>(&format!("\"{}\"", state.word())).unwrap(),
                state
            );
        }
        assert_eq!(serde_json::from_str::<ProcessState>("\"waking\"").unwrap(), ProcessState::Unknown);
    }

    #[test]
    fn a_number_given_out_again_is_another_process() {
        let first = ProcessId { pid: 7, start: 100 };
        assert_ne!(first, ProcessId { pid: 7, start: 101 });
        assert_eq!(first.to_string(), "pid 7");
    }
}
