//! Explains why a process cannot be read or paused, and what to do about it.

use std::path::Path;
use std::{fs, io};

use common::process::Stat;
use rustix::io::Errno;

use super::procfs::Status;
use crate::error::{Error, Stage};

/// A capability: its bit in `CapEff` and `CapBnd` (linux/capability.h), and its name for `--cap-add`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capability(pub u32, pub &'static str);

/// Where sudo(8) looks for programs, as systems set it up (`secure_path`).
const FOLDERS_OF_SUDO: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

const SYS_PTRACE: Capability = Capability(19, "SYS_PTRACE");

impl Capability {
    pub(super) fn is_in(self, set: Option<u64>) -> bool {
        set.is_some_and(|bits| bits >> self.0 & 1 == 1)
    }

    /// Whether root has it here; outside of containers it has.
    pub(super) fn root_may_have(self, own: &Status) -> bool {
        own.bounding.is_none() || self.is_in(own.bounding)
    }

    /// How to get it: as root, if root may have it here.
    pub(super) fn remedy(self, own: &Status) -> String {
        if self.root_may_have(own) { as_root().to_owned() } else { self.of_container() }
    }

    /// How to get it in a container that does not have it, or that filters system calls.
    pub(super) fn of_container(self) -> String {
        format!(
            "give this container the capability (`--cap-add {}`), or run memobj outside of it, as root",
            self.1
        )
    }
}

/// The remedy outside of containers.
pub(super) fn as_root() -> &'static str {
    as_root_from(std::env::current_exe().ok().as_deref().and_then(Path::parent))
}

/// The same for a program in this folder: sudo does not find one in a virtual environment or a home.
fn as_root_from(folder: Option<&Path>) -> &'static str {
    if folder.is_none_or(|folder| FOLDERS_OF_SUDO.iter().any(|known| folder == Path::new(known))) {
        "run it as root (`sudo memobj …`)"
    } else {
        "run it as root (`sudo $(which memobj) …`)"
    }
}

/// The operation that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Reading memory and mappings.
    Read,
    /// Pausing.
    Stop,
}

/// The name of a process in messages.
pub(super) fn named(pid: u32, name: &str) -> String {
    if name.is_empty() { format!("pid {pid}") } else { format!("pid {pid} ({name})") }
}

/// There is no process of this number.
pub(super) fn absent(pid: u32) -> Error {
    let hint =
        "`pgrep -a python` lists running processes; a process in a container has another number outside";
    Error { hint: hint.to_owned(), ..Error::exited(Stage::ATTACH, format!("pid {pid}: no such process")) }
}

/// The process exited meanwhile, or runs another program.
pub(super) fn exited(stage: Stage, pid: u32, name: &str) -> Error {
    Error::exited(stage, format!("{}: ended meanwhile", named(pid, name)))
}

/// Explains an error of the kernel, as far as the cause can be found.
pub(super) fn unreadable(pid: u32, name: &str, attempt: Attempt, error: &io::Error) -> Error {
    let stage = if attempt == Attempt::Read { Stage::ATTACH } else { Stage::COPY };
    if [Errno::SRCH, Errno::NOENT].iter().any(|gone| error.raw_os_error() == Some(gone.raw_os_error())) {
        return exited(stage, pid, name);
    }
    let status = |pid: &str| fs::read(format!("/proc/{pid}/status")).map(|text| Status::parse(&text)).ok();
    let mut target = status(&pid.to_string()).unwrap_or_default();
    // The kernel reports the tracing thread; users know its process.
    let process = target.tracer.and_then(|tracer| status(&tracer.to_string())?.process);
    target.tracer = process.or(target.tracer);
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let reason = DeniedAccess { attempt, target, own: own_status(), yama: yama.trim().parse().ok() };
    let (message, hint) = reason.explain(&error.to_string(), name_of);
    Error::new(stage, format!("{}: {message}", named(pid, &name_of(pid))), hint)
}

/// What `/proc` says of memobj itself.
pub(super) fn own_status() -> Status {
    fs::read("/proc/self/status").map(|text| Status::parse(&text)).unwrap_or_default()
}

fn name_of(pid: u32) -> String {
    let text = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    Stat::parse(&text).map(|stat| String::from_utf8_lossy(stat.comm).into_owned()).unwrap_or_default()
}

/// The facts by which the kernel decides on access: ptrace(2), "Ptrace access mode checking".
#[derive(Debug)]
struct DeniedAccess {
    attempt: Attempt,
    target: Status,
    own: Status,
    /// `/proc/sys/kernel/yama/ptrace_scope`, if it exists.
    yama: Option<u32>,
}

impl DeniedAccess {
    fn explain(&self, error: &str, name_of: impl Fn(u32) -> String) -> (String, String) {
        const RESTART: &str = "no user may trace, not even root: remove that setting (/etc/sysctl.d) and restart the machine; memmon works all the same";
        let elevate = SYS_PTRACE.remedy(&self.own);
        if let (Attempt::Stop, Some(tracer)) = (self.attempt, self.target.tracer) {
            let tracer = named(tracer, &name_of(tracer));
            return (
                format!("is traced by {tracer}, and a process has at most one tracer"),
                "detach that tracer, or read without a pause (`--no-stop`)".to_owned(),
            );
        }
        let may_trace_any = SYS_PTRACE.is_in(self.own.capabilities);
        let own = self.own.uids.get(1);
        let is_other_users = own.is_some() && self.target.uids.iter().take(3).any(|uid| Some(uid) != own);
        match self.yama {
            Some(3) => ("may not be traced: kernel.yama.ptrace_scope is 3".to_owned(), RESTART.to_owned()),
            _ if self.own.is_filtered && self.attempt == Attempt::Stop => (
                format!(
                    "may not be paused ({error}): probably a seccomp filter of this container forbids it"
                ),
                format!("read it without a pause (`--max-pause 0`), or {}", SYS_PTRACE.of_container()),
            ),
            _ if may_trace_any => (
                format!("may not be traced, although we have CAP_SYS_PTRACE here ({error})"),
                "it may be in another user namespace, or a security module forbids it: run memobj as root of the machine"
                    .to_owned(),
            ),
            _ if is_other_users => {
                let uid = self.target.uids.first();
                let owner = uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default();
                let message = format!("belongs to another user{owner}");
                // Its own user needs no capability, but where Yama asks for one.
                if let (false, Some(uid), None | Some(0)) =
                    (SYS_PTRACE.root_may_have(&self.own), uid, self.yama)
                {
                    let hint = format!(
                        "run memobj as that user (`docker exec --user {uid}`), or give this container the capability (`--cap-add SYS_PTRACE`)"
                    );
                    return (message, hint);
                }
                (message, elevate)
            }
            Some(scope @ 1..) => {
                let message = format!("may not be traced: kernel.yama.ptrace_scope is {scope}");
                if scope == 1 {
                    let hint = format!(
                        "{elevate}, let memobj start the program (`memobj -- COMMAND`), or set it to 0 (`sysctl kernel.yama.ptrace_scope=0`)"
                    );
                    return (message, hint);
                }
                (message, elevate)
            }
            _ => (
                format!(
                    "may not be traced ({error}): it has more privileges than we have, or it is not dumpable"
                ),
                elevate,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(attempt: Attempt) -> DeniedAccess {
        let (capabilities, bounding) = (Some(0), Some(u64::MAX));
        let user = Status { uids: vec![1000; 4], capabilities, bounding, ..Status::default() };
        DeniedAccess { attempt, target: user.clone(), own: user, yama: None }
    }

    fn text_of(reason: &DeniedAccess) -> String {
        let (what, hint) = reason.explain("EPERM", |pid| format!("name{pid}"));
        format!("{what}: {hint}")
    }

    #[test]
    fn another_users_process_needs_privileges() {
        let mut other = reason(Attempt::Read);
        other.target.uids = vec![0; 4];
        assert!(text_of(&other).contains("another user (uid 0)") && text_of(&other).contains("sudo"));
        assert!(!text_of(&other).contains("container"), "root can trace here");
        other.own.bounding = Some(0);
        assert!(text_of(&other).contains("as that user (`docker exec --user 0`)"));
        other.yama = Some(1);
        assert!(text_of(&other).contains("--cap-add SYS_PTRACE") && !text_of(&other).contains("that user"));
    }

    #[test]
    fn sudo_finds_the_program() {
        for (folder, text) in [
            (None, "`sudo memobj …`"),
            (Some("/usr/bin"), "`sudo memobj …`"),
            (Some("/srv/bot/.venv/bin"), "`sudo $(which memobj) …`"),
        ] {
            let remedy = as_root_from(folder.map(Path::new));
            assert!(remedy.contains(text), "{folder:?}: {remedy}");
        }
    }

    #[test]
    fn seccomp_is_named() {
        let mut filtered = reason(Attempt::Stop);
        filtered.own.is_filtered = true;
        assert!(
            text_of(&filtered).contains("seccomp") && text_of(&filtered).contains("--cap-add SYS_PTRACE")
        );
        assert!(text_of(&filtered).contains("--max-pause 0"), "memory can be read without ptrace(2)");
    }

    #[test]
    fn yama_is_named() {
        for (scope, word) in [(1, "memobj -- COMMAND"), (2, "sudo"), (3, "restart the machine")] {
            let reason = DeniedAccess { yama: Some(scope), ..reason(Attempt::Read) };
            let text = text_of(&reason);
            assert!(text.contains(&format!("ptrace_scope is {scope}")) && text.contains(word), "{text}");
        }
        // With ptrace_scope 3 no process may trace another, so root does not help.
        let mut other = DeniedAccess { yama: Some(3), ..reason(Attempt::Read) };
        other.target.uids = vec![0; 4];
        assert!(text_of(&other).contains("restart the machine") && !text_of(&other).contains("sudo"));
    }

    #[test]
    fn tracer_is_named() {
        let mut traced = reason(Attempt::Stop);
        traced.target.tracer = Some(5);
        assert!(text_of(&traced).contains("traced by pid 5 (name5)"), "{}", text_of(&traced));
        traced.attempt = Attempt::Read;
        assert!(!text_of(&traced).contains("traced by pid 5"));
    }

    #[test]
    fn other_refusals_quote_the_kernel() {
        let mut plain = reason(Attempt::Stop);
        assert!(text_of(&plain).contains("not dumpable") && text_of(&plain).contains("EPERM"));
        plain.own.capabilities = Some(1 << SYS_PTRACE.0);
        assert!(text_of(&plain).contains("user namespace"));
        plain.yama = Some(3);
        assert!(text_of(&plain).contains("restart the machine"));
    }
}
