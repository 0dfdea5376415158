//! Processes that run beside a test, and end with it at the latest.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use serde_json::Value;

use super::{PATIENCE, Run, json_lines, process, wait_for, wait_until};

/// A running process in a group of its own. Dropped, it and everything below it and in its group is killed, so that no
/// test leaves anything behind, however it ends.
#[derive(Debug)]
pub struct Background {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    reaped: bool,
}

impl Background {
    /// Starts `command`, whose streams are pipes.
    #[track_caller]
    pub(super) fn start(mut command: Command) -> Self {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: cannot be started: {error}"));
        Self {
            name,
            stdin: child.stdin.take(),
            stdout: Collected::from(child.stdout.take().unwrap()),
            stderr: Collected::from(child.stderr.take().unwrap()),
            child,
            reaped: false,
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its stdin, to be written from elsewhere.
    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Writes to its stdin.
    ///
    /// # Panics
    /// If stdin is closed.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin was closed already");
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Closes its stdin: targets end by that.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// What it wrote to stdout till now.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    /// What it wrote to stderr till now.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// The JSON objects of the complete lines on stdout till now.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let mut bytes = self.stdout.bytes();
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
        json_lines(&bytes)
    }

    /// Waits until a complete line on stdout begins with `start`, and returns what follows on it.
    ///
    /// # Panics
    /// If none comes, or the process ends without it.
    #[track_caller]
    pub fn wait_line(&mut self, start: &str) -> String {
        let what = format!("a line '{start}…' from {}", self.name);
        wait_for(PATIENCE, &what, || {
            // Asked before the text is: an end seen means that all of the text is there to be seen.
            let over = self.has_ended() && self.stdout.is_complete();
            let out = self.out();
            let found = out
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find_map(|line| line.strip_prefix(start));
            assert!(found.is_some() || !over, "{} ended before {what}\n{out}\n{}", self.name, self.err());
            found.map(str::to_owned)
        })
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        // Left as a zombie: while it is one, its pid and its group belong to nobody else.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.reaped || !matches!(waitid(WaitId::Pid(self.id()), options), Ok(None))
    }

    /// Waits until it has ended and its outputs are closed by all who had them.
    ///
    /// # Panics
    /// If that takes longer than `limit`, with everything it printed.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Run {
        self.close_stdin();
        let deadline = Instant::now() + limit;
        let over = |this: &Self| this.has_ended() && this.stdout.is_complete() && this.stderr.is_complete();
        while !over(&self) {
            if Instant::now() >= deadline {
                let ended = if self.has_ended() {
                    "ended, but its outputs are still held open"
                } else {
                    "still runs"
                };
                let (name, out, err) = (&self.name, self.out(), self.err());
                panic!("{name}: {ended} after {limit:?}\n── stdout\n{out}\n── stderr\n{err}\n──");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.reap();
        Run { status, stdout: self.stdout.bytes(), stderr: self.stderr.bytes() }
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Kills what is left below it and in its group, then takes note of its end.
    fn reap(&mut self) -> ExitStatus {
        // Stopped first, so that nothing new is born between looking and killing.
        let _ = kill_process_group(self.id(), Signal::STOP);
        let below = process::descendants(self.pid());
        let _ = kill_process_group(self.id(), Signal::KILL);
        for pid in below.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reaped = true;
        self.child.wait().unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !self.reaped {
            self.reap();
        }
    }
}

/// A stream, read to its end by a thread.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut part = [0; 1 << 14];
            while let Ok(length @ 1..) = stream.read(&mut part) {
                shared.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        Self { bytes, thread }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn is_complete(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Waits until no process has this pid, or only a zombie that somebody else has to reap.
///
/// # Panics
/// If it still lives after [`PATIENCE`].
#[track_caller]
pub fn wait_gone(pid: u32) {
    wait_until(PATIENCE, &format!("the end of pid {pid}"), || !process::is_alive(pid));
}
