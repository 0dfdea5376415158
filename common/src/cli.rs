//! Failures with a hint, exit codes, and arguments that several tools share.
//!
//! ```
//! use common::cli::{Failure, run};
//!
//! // Writes `tool: log.jsonl: no records: check the path` to stderr, and gives exit code 2.
//! let code = run("tool", || Err(Failure::new("log.jsonl: no records", "check the path")));
//! ```

mod older_options;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::stdio;
use crate::time::parse_duration;

/// The exit code for wrong usage and errors, as in diff(1) and grep(1).
pub const EXIT_TROUBLE: u8 = 2;

/// An error that ends a tool: a message, and a hint for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error, with the file, line, process or address.
    pub message: String,
    /// The user's remedy; empty if there is none.
    pub hint: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// Creates a failure with exit code 2.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: EXIT_TROUBLE }
    }

    /// Converts an error of the output named `name`; `None` for a closed pipe.
    #[must_use]
    pub fn output(name: &str, error: &io::Error) -> Option<Self> {
        if stdio::is_broken_pipe(error) {
            return None;
        }
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space; complete lines are kept"
            }
            io::ErrorKind::PermissionDenied => "choose a place you may write to",
            _ => "",
        };
        Some(Self::new(format!("{name}: {error}"), hint))
    }

    /// Converts an error of the file or stream named `name`, also for a closed pipe.
    #[must_use]
    pub fn at(name: &str, error: &io::Error) -> Self {
        Self::output(name, error).unwrap_or_else(|| Self::new(format!("{name}: {error}"), ""))
    }
}

/// Runs a tool. Reports its failure in one line on stderr, `tool: message: hint`.
///
/// If memory is short, an allocation without another way out aborts. The standard library reports its size, and the exit code is 2.
pub fn run(tool: &str, main: impl FnOnce() -> Result<u8, Failure>) -> ExitCode {
    #[cfg(unix)]
    exit_if_aborted();
    let code = main().unwrap_or_else(|Failure { message, hint, code }| {
        let separator = if hint.is_empty() { "" } else { ": " };
        stdio::say(tool, &format!("{message}{separator}{hint}"));
        code
    });
    ExitCode::from(code)
}

/// Ends the program with [`EXIT_TROUBLE`] where it would abort. Rust's abort is that of the C library, which raises SIGABRT.
#[cfg(unix)]
fn exit_if_aborted() {
    let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    // Without a handler an abort is only less tidy.
    let _ = signal_hook::flag::register_conditional_shutdown(
        signal_hook::consts::SIGABRT,
        EXIT_TROUBLE.into(),
        always,
    );
}

/// The shortest interval that tools accept.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The options of tools that repeat: interval, count and duration.
#[derive(Debug, Clone, clap::Args)]
pub struct Repeat {
    /// Time from one sample to the next: 10, 0.5, 500ms, 2s, 1m (10 ms at least)
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_interval, allow_hyphen_values = true, help_heading = "When")]
    pub interval: Duration,

    /// Stop after N samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "When")]
    pub count: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = "When")]
    pub duration: Option<Duration>,
}

/// Parses a process number.
///
/// # Errors
/// The text is no number, or 0: what it must be, for the user.
pub fn parse_pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|&pid| pid > 0);
    pid.ok_or_else(|| "not a process number; pgrep -f NAME finds the one of a program".to_owned())
}

/// Reads an interval of at least [`MIN_INTERVAL`].
///
/// # Errors
/// No duration, or one that is too short.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    if interval < MIN_INTERVAL {
        return Err(format!("'{text}' is below the shortest interval of 10 ms"));
    }
    Ok(interval)
}

/// Parses arguments. Help and version go to stdout with exit 0, usage errors to stderr with exit 2.
///
/// # Errors
/// The exit code, after the text was printed.
pub fn parse<P: clap::Parser>(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<P, ExitCode> {
    P::try_parse_from(args).map_err(|mut error| {
        older_options::explain(P::command().get_name(), &mut error);
        let code = if error.use_stderr() { EXIT_TROUBLE } else { 0 };
        // A closed stdout is no error.
        let _ = error.print();
        ExitCode::from(code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Example {
        #[command(flatten)]
        repeat: Repeat,
    }

    fn parsed(args: &[&str]) -> Result<Example, clap::Error> {
        clap::Parser::try_parse_from(std::iter::once(&"example").chain(args))
    }

    #[test]
    fn interval_has_floor_and_default() {
        assert_eq!(parsed(&[]).unwrap().repeat.interval, Duration::from_secs(10));
        assert_eq!(parsed(&["-i", "10ms"]).unwrap().repeat.interval, MIN_INTERVAL);
        for text in ["9ms", "0", "-1", "-0.5s", "never"] {
            let error = parsed(&["-i", text]).unwrap_err();
            assert!(error.use_stderr() && error.to_string().contains(text), "{text}: {error}");
        }
        assert!(parsed(&["--count", "0"]).is_err());
    }

    #[test]
    fn closed_pipe_is_no_failure() {
        assert_eq!(Failure::output("stdout", &io::Error::from(io::ErrorKind::BrokenPipe)), None);
        let full = Failure::output("log.jsonl", &io::Error::from(io::ErrorKind::StorageFull)).unwrap();
        assert!(
            full.message.starts_with("log.jsonl: ") && full.code == EXIT_TROUBLE && !full.hint.is_empty()
        );
    }

    #[test]
    fn exit_code_comes_from_failure() {
        assert_eq!(format!("{:?}", run("t", || Ok(7))), format!("{:?}", ExitCode::from(7)));
        let failed = run("t", || Err(Failure { code: 3, ..Failure::new("what", "") }));
        assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::from(3)));
    }
}
