//! Why a process cannot be looked at, and what to do about it.

use std::io;

use crate::error::{Error, Stage};

use super::procfs::{Stat, Status};

/// Bit of `CapEff`: linux/capability.h.
const CAP_SYS_PTRACE: u32 = 19;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Reading its memory and maps.
    Read,
    /// Stopping it.
    Stop,
}

/// The process with this number, as messages name it.
pub(super) fn named(pid: u32, name: &str) -> String {
    if name.is_empty() { format!("pid {pid}") } else { format!("pid {pid} ({name})") }
}

/// There is no such process.
pub(super) fn absent(pid: u32) -> Error {
    Error {
        hint: "`pgrep -a python` lists what runs; in a container, a process has another number outside"
            .to_owned(),
        ..Error::exited(Stage::ATTACH, format!("pid {pid}: no such process"))
    }
}

/// It ended while it was looked at, or became another program.
pub(super) fn gone(stage: Stage, pid: u32, name: &str) -> Error {
    Error::exited(stage, format!("{}: ended meanwhile", named(pid, name)))
}

/// The kernel refused: why, as far as can be found out.
pub(super) fn refused(pid: u32, attempt: Attempt, error: &io::Error) -> Error {
    let status =
        |pid: &str| std::fs::read(format!("/proc/{pid}/status")).map(|text| Status::parse(&text)).ok();
    let name_of = |pid: u32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok().and_then(|text| Stat::parse(&text));
        stat.map(|stat| stat.name).unwrap_or_default()
    };
    let mut target = status(&pid.to_string()).unwrap_or_default();
    // The kernel names the thread that traces; people know the process.
    let process = target.tracer.and_then(|tracer| status(&tracer.to_string())?.process);
    target.tracer = process.or(target.tracer);
    let reason = Reason {
        attempt,
        target,
        own: status("self").unwrap_or_default(),
        yama: std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
        in_container: in_container(),
    };
    let stage = if attempt == Attempt::Read { Stage::ATTACH } else { Stage::COPY };
    let (what, hint) = reason.told(&error.to_string(), name_of);
    Error::new(stage, format!("{}: {what}", named(pid, &name_of(pid))), hint)
}

/// Docker and Podman leave a file of theirs in the root; systemd says it in the environment of pid 1, which we may not read.
fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|file| std::path::Path::new(file).exists())
}

/// What decides whether one process may look at another: ptrace(2), "Ptrace access mode checking".
#[derive(Debug)]
struct Reason {
    attempt: Attempt,
    target: Status,
    own: Status,
    /// `/proc/sys/kernel/yama/ptrace_scope`, where there is one.
    yama: Option<u32>,
    in_container: bool,
}

impl Reason {
    fn may_trace_any(&self) -> bool {
        self.own.capabilities.is_some_and(|bits| bits >> CAP_SYS_PTRACE & 1 == 1)
    }

    fn told(&self, error: &str, name_of: impl Fn(u32) -> String) -> (String, String) {
        const SUDO: &str = "run it as root (`sudo memobj …`)";
        const CONTAINER: &str =
            "start the container with `--cap-add SYS_PTRACE`, or run memobj outside of it, as root";
        let elevate = if self.in_container { CONTAINER } else { SUDO };
        if let (Attempt::Stop, Some(tracer)) = (self.attempt, self.target.tracer) {
            return (
                format!(
                    "is traced by {}, and a process has one tracer at most",
                    named(tracer, &name_of(tracer))
                ),
                "detach that one, or read without a stop (`--no-stop`)".to_owned(),
            );
        }
        if self.may_trace_any() {
            return match self.yama {
                Some(3) => (
                    "may not be traced: kernel.yama.ptrace_scope is 3".to_owned(),
                    "nobody can until the machine is started anew with another value".to_owned(),
                ),
                _ => (
                    format!("may not be traced, though we have CAP_SYS_PTRACE here ({error})"),
                    "it may be in another user namespace, or a security module forbids it: run memobj as root of the machine".to_owned(),
                ),
            };
        }
        let own = self.own.uids.get(1);
        if own.is_some() && self.target.uids.iter().take(3).any(|uid| Some(uid) != own) {
            let owner = self.target.uids.first().map(|uid| format!(" (uid {uid})")).unwrap_or_default();
            return (format!("belongs to another user{owner}"), elevate.to_owned());
        }
        match self.yama {
            Some(scope @ 1..) => (
                format!("may not be traced: kernel.yama.ptrace_scope is {scope}"),
                match scope {
                    1 => format!(
                        "{elevate}, let memobj start the program (`memobj -- COMMAND`), or set it to 0 (`sysctl kernel.yama.ptrace_scope=0`)"
                    ),
                    2 => elevate.to_owned(),
                    _ => "nobody can until the machine is started anew with another value".to_owned(),
                },
            ),
            _ => (
                format!(
                    "may not be traced ({error}): it has more privileges than we, or has made itself undumpable"
                ),
                elevate.to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(attempt: Attempt) -> Reason {
        let user = Status { uids: vec![1000; 4], capabilities: Some(0), ..Status::default() };
        Reason { attempt, target: user.clone(), own: user, yama: None, in_container: false }
    }

    fn told(reason: &Reason) -> String {
        let (what, hint) = reason.told("EPERM", |pid| format!("name{pid}"));
        format!("{what}: {hint}")
    }

    #[test]
    fn another_user_s_process_needs_root_or_a_capability_of_the_container() {
        let mut other = reason(Attempt::Read);
        other.target.uids = vec![0; 4];
        assert!(told(&other).contains("another user (uid 0)") && told(&other).contains("sudo"));
        other.in_container = true;
        assert!(told(&other).contains("--cap-add SYS_PTRACE"));
    }

    #[test]
    fn yama_is_named_with_its_value() {
        for (scope, word) in [(1, "memobj -- COMMAND"), (2, "sudo"), (3, "started anew")] {
            let reason = Reason { yama: Some(scope), ..reason(Attempt::Read) };
            let text = told(&reason);
            assert!(text.contains(&format!("ptrace_scope is {scope}")) && text.contains(word), "{text}");
        }
    }

    #[test]
    fn whoever_traces_it_is_named_if_it_was_to_be_stopped() {
        let mut traced = reason(Attempt::Stop);
        traced.target.tracer = Some(5);
        assert!(told(&traced).contains("traced by pid 5 (name5)"), "{}", told(&traced));
        traced.attempt = Attempt::Read;
        assert!(!told(&traced).contains("traced by pid 5"));
    }

    #[test]
    fn all_other_refusals_say_what_the_kernel_said() {
        let mut plain = reason(Attempt::Stop);
        assert!(told(&plain).contains("undumpable") && told(&plain).contains("EPERM"));
        plain.own.capabilities = Some(1 << CAP_SYS_PTRACE);
        assert!(told(&plain).contains("user namespace"));
        plain.yama = Some(3);
        assert!(told(&plain).contains("started anew"));
    }
}
