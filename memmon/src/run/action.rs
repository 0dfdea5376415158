//! Runs the command of `--run`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use common::output_file::{self, Existing};
use common::record::{Metric, MetricValue};
use common::session::dated_path;
use common::stdio::escape_controls;
use common::time::{Span, Stamp};

use crate::emit::describe_metric;
use crate::triggers::Fired;

/// The command of `--run`, which runs at most once at a time.
#[derive(Debug)]
pub(super) struct Action {
    command: String,
    /// The log that its outputs are kept beside. Without one they go to stderr.
    log: Option<PathBuf>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    since: Instant,
    output: Option<PathBuf>,
}

impl Action {
    pub(super) const fn new(command: String, log: Option<PathBuf>) -> Self {
        Self { command, log, running: None }
    }

    /// The pid of the command while it runs.
    pub(super) fn running(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Starts the command, and returns what to tell the user.
    pub(super) fn start(&mut self, fired: &Fired) -> String {
        let who = format!("{} (pid {})", escape_controls(&fired.process.name), fired.process.id.pid);
        let metric = match fired.metric {
            Metric::Total => "RSS of its tree".to_owned(),
            Metric::Fds | Metric::Threads => format!("number of {}", describe_metric(fired.metric)),
            other => describe_metric(other).to_owned(),
        };
        let value = format!("{metric} {} is above {}", fired.value, fired.limit);
        match self.spawn(fired) {
            Ok(running) => {
                let to = running.output.as_ref().map(|path| format!(", output in {}", path.display()));
                let note = format!("{who}: {value}: runs the command of --run{}", to.unwrap_or_default());
                self.running = Some(running);
                note
            }
            Err(error) => format!("{who}: {value}, but the command of --run cannot be started: {error}"),
        }
    }

    fn spawn(&self, fired: &Fired) -> io::Result<Running> {
        let pid = fired.process.id.pid;
        let output = self.log.as_deref().map(|log| output_path(log, Stamp::now(), pid));
        let file = output.as_deref().map(|path| output_file::open(path, Existing::Append)).transpose()?;
        // Only numbers: the name of a process could contain a command.
        let text =
            self.command.replace("{pid}", &pid.to_string()).replace("{root}", &fired.root_pid.to_string());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(text).stdin(Stdio::null());
        command.stdout(stream(file.as_ref())?).stderr(stream(file.as_ref())?);
        // Ctrl-C on memmon's terminal must not cut a snapshot.
        command.process_group(0);
        command.env("MEMMON_PID", pid.to_string()).env("MEMMON_ROOT_PID", fired.root_pid.to_string());
        command.env("MEMMON_NAME", &*fired.process.name).env("MEMMON_CONDITION", &fired.text);
        let value = match fired.value {
            MetricValue::Bytes(number) | MetricValue::Count(number) => number.to_string(),
            MetricValue::Ratio(ratio) => ratio.to_string(),
        };
        command.env("MEMMON_VALUE", value);
        Ok(Running { child: command.spawn()?, since: Instant::now(), output })
    }

    /// What to tell the user if the command has ended.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.running.as_mut()?.child.try_wait().transpose()?;
        let running = self.running.take()?;
        Some(ending(&running, status))
    }

    /// Waits for the end of the command; returns what to tell the user.
    pub(super) fn wait(&mut self) -> Option<String> {
        let mut running = self.running.take()?;
        let status = running.child.wait();
        Some(ending(&running, status))
    }
}

fn stream(file: Option<&File>) -> io::Result<Stdio> {
    Ok(match file {
        Some(file) => file.try_clone()?.into(),
        None => io::stderr().as_fd().try_clone_to_owned()?.into(),
    })
}

fn ending(running: &Running, status: io::Result<ExitStatus>) -> String {
    let after = Span(running.since.elapsed());
    let to = running.output.as_ref().map(|path| format!(": {}", path.display())).unwrap_or_default();
    match status {
        Ok(status) => format!("the command of --run ended after {after} with {status}{to}"),
        Err(error) => format!("the end of the command of --run is unknown: {error}"),
    }
}

/// `log-20261129T203010-1234.txt` beside `log.jsonl`.
fn output_path(log: &Path, at: Stamp, pid: u32) -> PathBuf {
    // The name of the log may have the date in it.
    let log = dated_path(log, at).unwrap_or_else(|_| log.to_owned());
    let stem = log.file_stem().unwrap_or_default().to_string_lossy();
    log.with_file_name(format!("{stem}-{}-{pid}.txt", at.format("%Y%m%dT%H%M%S")))
}

#[cfg(test)]
mod tests {
    use common::process::ProcessId;

    use super::*;
    use crate::source::ProcessCounts;
    use crate::triggers::ProcessSize;

    fn fired() -> Fired {
        Fired {
            text: "rss:1M".into(),
            process: ProcessSize {
                id: ProcessId { pid: 77, start: 1 },
                name: "a; exit 9".into(),
                rss_bytes: 3 << 20,
                counts: ProcessCounts::default(),
            },
            root_pid: 70,
            metric: Metric::Rss,
            value: MetricValue::Bytes(3 << 20),
            limit: MetricValue::Bytes(1 << 20),
        }
    }

    #[test]
    fn command_knows_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let command = r#"echo {pid} {root} "$MEMMON_PID $MEMMON_ROOT_PID $MEMMON_NAME $MEMMON_CONDITION $MEMMON_VALUE"; exit 3"#;
        let mut action = Action::new(command.into(), Some(log));
        assert!(action.ended().is_none() && action.running().is_none());
        let note = action.start(&fired());
        assert!(note.contains("a; exit 9 (pid 77): RSS 3.00 MiB is above 1.00 MiB"), "{note}");
        let note = action.wait().unwrap();
        assert!(note.contains("exit status: 3") && note.contains("-77.txt"), "{note}");
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "77 70 77 70 a; exit 9 rss:1M 3145728\n");
        assert!(action.running().is_none() && action.wait().is_none());
    }

    #[test]
    fn output_that_cannot_be_opened_is_said() {
        let mut action = Action::new("true".into(), Some("/proc/no/log.jsonl".into()));
        let note = action.start(&fired());
        assert!(note.contains("cannot be started") && action.running().is_none(), "{note}");
    }
}
