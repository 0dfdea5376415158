//! Running a program to its end, with a time limit.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Background, PATIENCE, bin, json_lines};

/// A program to be run: its arguments, input, surroundings and time limit.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Tool {
    /// Any program.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), input: Vec::new(), limit: PATIENCE }
    }

    /// One of the four commands.
    pub fn ours(name: &str) -> Self {
        Self::new(bin(name))
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    pub fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads from stdin; without this, nothing.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take instead of [`PATIENCE`].
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end and until everything that holds its outputs has closed them.
    ///
    /// # Panics
    /// If it cannot be started, or takes longer than its limit: the message holds all it printed till then.
    #[track_caller]
    pub fn run(mut self) -> Run {
        let (input, limit) = (std::mem::take(&mut self.input), self.limit);
        let mut background = self.start();
        let mut stdin = background.take_stdin();
        // In a thread of its own: a program may print before it has read all, and a pipe holds little.
        let writer = std::thread::spawn(move || {
            if let Some(stdin) = &mut stdin {
                // A program that closes its stdin had enough.
                let _ = std::io::Write::write_all(stdin, &input);
            }
        });
        let run = background.finish(limit);
        writer.join().unwrap();
        run
    }

    /// Starts it in a process group of its own and returns at once; its stdin stays open.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Background {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Background::start(self.command)
    }
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Run {
    /// Its exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The number of the signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(&self.status)
    }

    /// Stdout as text; what is no UTF-8 is replaced.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stderr as text; what is no UTF-8 is replaced.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Stdout as JSON objects, a line each.
    ///
    /// # Panics
    /// On a line that is none.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// Itself, if the exit code is `code`.
    ///
    /// # Panics
    /// With everything printed, if it is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n── stdout\n{}\n── stderr\n{}\n──", self.status, self.out(), self.err())
    }
}
