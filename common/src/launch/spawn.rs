//! Starts the command, and explains a failed start.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::Failure;
use rustix::process::Pid;

use super::interpreter::{EXIT_NOT_FOUND, Environment, Plan, is_executable};
use super::relay::{Relay, RelayOptions};

/// The exit code of shells for a command that cannot be executed.
const EXIT_NOT_EXECUTABLE: u8 = 126;

/// The destination of the command's output. Its standard input is always this program's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output and standard error both go to this program's stderr, without a pipe: a terminal stays a terminal.
    ToStderr,
    /// The command inherits all three streams.
    Inherit,
    /// Two pipes, relayed line by line.
    Relay(RelayOptions),
}

/// Starts `plan`.
pub(super) fn spawn(plan: &Plan, output: Output) -> Result<(Pid, Option<Relay>), Failure> {
    let failure = |error: io::Error| Failure::new(format!("{}: {error}", plan.program.display()), "");
    let mut command = Command::new(&plan.program);
    command.args(&plan.args);
    let mut relay = None;
    match output {
        Output::Inherit => {}
        Output::ToStderr => {
            let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(failure)?;
            command.stdout(Stdio::from(stderr));
        }
        Output::Relay(options) => {
            let (stdout, stdout_end) = io::pipe().map_err(failure)?;
            let (stderr, stderr_end) = io::pipe().map_err(failure)?;
            let sink: OwnedFd = io::stderr().as_fd().try_clone_to_owned().map_err(failure)?;
            // The threads come first: if they cannot be started, the command is not, either.
            relay = Some(Relay::start(stdout.into(), stderr.into(), sink, options).map_err(failure)?);
            command.stdout(stdout_end).stderr(stderr_end);
        }
    }
    // Dropping `command` closes the write ends; otherwise the pipes would never end.
    let child = command.spawn().map_err(|error| spawn_failure(plan, &error))?;
    Ok((Pid::from_child(&child), relay))
}

/// Explains why `plan` could not be started, with the exit code of shells.
fn spawn_failure(plan: &Plan, error: &io::Error) -> Failure {
    let program = plan.program.display();
    let is_path = plan.program.as_bytes().contains(&b'/');
    let environment = Environment::current();
    let file: Option<PathBuf> = if is_path {
        Some(PathBuf::from(&plan.program)).filter(|file| file.exists())
    } else {
        environment.find_in_path(&plan.program, Path::exists)
    };
    let shown = file.as_deref().unwrap_or(Path::new(&plan.program)).display();
    let refused = |why: String, hint: String| Failure { message: why, hint, code: EXIT_NOT_EXECUTABLE };

    match (error.kind(), &file) {
        (io::ErrorKind::NotFound, None) => {
            let here = Path::new(".").join(&plan.program);
            let hint = if is_path {
                "check the path".to_owned()
            } else if is_executable(&here) {
                format!("one is in the current folder: start it as {}", here.display())
            } else {
                "check the spelling; it is in no folder of $PATH".to_owned()
            };
            Failure { message: format!("{program}: command not found"), hint, code: EXIT_NOT_FOUND }
        }
        (io::ErrorKind::NotFound, Some(file)) => match interpreter_line(file) {
            Some(line) => refused(
                format!("{shown}: cannot be executed: its interpreter '{line}' is not there"),
                "correct the first line of the file, or name an interpreter before it".to_owned(),
            ),
            None => refused(
                format!("{shown}: cannot be executed: the loader it was built for is not there"),
                "it was built for another system".to_owned(),
            ),
        },
        (io::ErrorKind::PermissionDenied, Some(file)) if file.is_dir() => {
            refused(format!("{shown}: cannot be executed: it is a folder"), String::new())
        }
        (io::ErrorKind::PermissionDenied, Some(file)) if !is_executable(file) => refused(
            format!("{shown}: cannot be executed: permission denied"),
            format!("make it executable: chmod +x {shown}"),
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => refused(
            format!("{shown}: cannot be executed: no program for this machine, and no script with a #! line"),
            format!("if it is a script, name its interpreter: sh {shown}"),
        ),
        _ if is_shortage(error) => {
            Failure::new(format!("{program}: {error}"), "the system is short of it now")
        }
        _ => refused(format!("{program}: cannot be executed: {error}"), String::new()),
    }
}

/// Whether the system lacks resources for a new process: fork(2).
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let short = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    error.raw_os_error().is_some_and(|code| short.iter().any(|errno| errno.raw_os_error() == code))
}

/// The interpreter in the first line of a script: execve(2), "Interpreter scripts".
fn interpreter_line(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).trim_matches([' ', '\t']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_shortage_exits_with_2() {
        let plan = Plan { program: "sh".into(), args: Vec::new(), name: "sh".into(), note: None };
        let failure = |errno: rustix::io::Errno| spawn_failure(&plan, &errno.into());
        assert_eq!(failure(rustix::io::Errno::AGAIN).code, 2);
        assert_eq!(failure(rustix::io::Errno::MFILE).code, 2);
        assert_eq!(failure(rustix::io::Errno::TOOBIG).code, 126);
    }
}
