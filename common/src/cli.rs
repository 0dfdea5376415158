//! How every tool starts and ends: failures with a hint, exit codes, arguments that several tools share.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::{stdio, time, units};

/// Trouble: wrong usage, or something that cannot work here (as diff(1) and grep(1) use it).
pub const EXIT_TROUBLE: u8 = 2;

/// Why a tool could not do what it was asked: what it was about, and what the user can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, naming the file, line, process or address.
    pub what: String,
    /// What to do about it; empty if there is nothing.
    pub hint: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// Trouble (exit 2) with a hint.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), code: EXIT_TROUBLE }
    }

    /// An error of the output named `name`. A closed pipe is no failure: `None`.
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

    /// An error at the file or stream named `name`, a closed pipe included.
    #[must_use]
    pub fn at(name: &str, error: &io::Error) -> Self {
        Self::output(name, error).unwrap_or_else(|| Self::new(format!("{name}: {error}"), ""))
    }
}

/// Runs a tool: its exit code, or its failure in one line on stderr, `tool: what: hint`.
pub fn run(tool: &str, main: impl FnOnce() -> Result<u8, Failure>) -> ExitCode {
    match main() {
        Ok(code) => ExitCode::from(code),
        Err(failure) if failure.hint.is_empty() => {
            stdio::say(tool, &failure.what);
            ExitCode::from(failure.code)
        }
        Err(failure) => {
            stdio::say(tool, &format!("{}: {}", failure.what, failure.hint));
            ExitCode::from(failure.code)
        }
    }
}

/// The shortest interval that tools accept.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// How often, how many times, how long: for every tool that repeats.
#[derive(Debug, Clone, clap::Args)]
pub struct Repeat {
    /// Time from one sample to the next: 10, 0.5, 500ms, 2s, 1m (10 ms at least)
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_interval, allow_hyphen_values = true)]
    pub interval: Duration,

    /// Stop after N samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub duration: Option<Duration>,
}

/// A value parser for sizes.
///
/// # Errors
/// See [`units::parse_bytes`].
pub fn parse_size(text: &str) -> Result<u64, String> {
    units::parse_bytes(text).map_err(|error| error.to_string())
}

/// A value parser for durations.
///
/// # Errors
/// See [`time::parse_duration`].
pub fn parse_time(text: &str) -> Result<Duration, String> {
    time::parse_duration(text).map_err(|error| error.to_string())
}

/// A value parser for intervals, of [`MIN_INTERVAL`] at least.
///
/// # Errors
/// See [`time::parse_duration`]; or an interval that is too short.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_time(text)?;
    if interval < MIN_INTERVAL {
        return Err(format!("'{text}' is below the shortest interval of 10 ms"));
    }
    Ok(interval)
}

/// Parses arguments as every tool does: help and version to stdout with exit 0, usage errors to stderr with exit 2.
///
/// # Errors
/// The exit code to end with; everything was said already.
pub fn parse<P: clap::Parser>(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<P, ExitCode> {
    P::try_parse_from(args).map_err(|error| {
        let code = if error.use_stderr() { EXIT_TROUBLE } else { 0 };
        // A closed stdout is the reader's choice, not an error.
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
    fn intervals_have_a_floor_and_a_default() {
        assert_eq!(parsed(&[]).unwrap().repeat.interval, Duration::from_secs(10));
        assert_eq!(parsed(&["-i", "10ms"]).unwrap().repeat.interval, MIN_INTERVAL);
        for text in ["9ms", "0", "-1", "-0.5s", "never"] {
            let error = parsed(&["-i", text]).unwrap_err();
            assert!(error.use_stderr() && error.to_string().contains(text), "{text}: {error}");
        }
        assert!(parsed(&["--count", "0"]).is_err());
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert_eq!(Failure::output("stdout", &io::Error::from(io::ErrorKind::BrokenPipe)), None);
        let full = Failure::output("log.jsonl", &io::Error::from(io::ErrorKind::StorageFull)).unwrap();
        assert!(full.what.starts_with("log.jsonl: ") && full.code == EXIT_TROUBLE && !full.hint.is_empty());
    }

    #[test]
    fn the_exit_code_is_the_failures_own() {
        assert_eq!(format!("{:?}", run("t", || Ok(7))), format!("{:?}", ExitCode::from(7)));
        let failed = run("t", || Err(Failure { code: 3, ..Failure::new("what", "") }));
        assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::from(3)));
    }
}
