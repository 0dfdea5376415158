//! What `/proc` tells of a process before it is touched, and whether it is one that can be looked at.

use std::fs::{self, File};
use std::io::{self, Read};

use common::process::ProcessId;
use rustix::io::Errno;

use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, ProcessInfo, Thread};

use super::access_errors::Attempt;
use super::procfs::{Stat, Status};
use super::{access_errors, procfs, ptrace};

/// Everything about a process that `/proc` tells, and where its program and its stack are.
pub fn read_process(pid: u32) -> Result<(ProcessInfo, (u64, u64)), Error> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
    let stat = read("stat").ok().and_then(|text| Stat::parse(&text)).ok_or_else(|| absent_or_hidden(pid))?;
    let named = access_errors::named(pid, &stat.name);
    let nothing = |what: &str, hint: &str| Error::new(Stage::ATTACH, format!("{named}: {what}"), hint);
    if pid == std::process::id() {
        return Err(nothing("is memobj itself", "give the pid of another process"));
    }
    if stat.is_kernel_thread {
        return Err(nothing(
            "is a thread of the kernel",
            "it has no memory of its own; give the pid of a program",
        ));
    }
    let status = read("status").map(|text| Status::parse(&text)).unwrap_or_default();
    if let Some(process) = status.process.filter(|&process| process != pid) {
        return Err(nothing(
            &format!("is a thread of {}", access_errors::named(process, "")),
            &format!("give the process (`-p {process}`)"),
        ));
    }
    if stat.state.has_ended() {
        return Err(Error {
            exited: true,
            ..nothing("is a zombie", "it has ended and holds no memory; its parent has not taken notice yet")
        });
    }
    let refused = |error: &io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            access_errors::gone(Stage::ATTACH, pid, &stat.name)
        } else {
            access_errors::refused(pid, Attempt::Read, error)
        }
    };
    let mappings = procfs::maps(&read("maps").map_err(|error| refused(&error))?);
    if mappings.is_empty() {
        return Err(access_errors::gone(Stage::ATTACH, pid, &stat.name));
    }
    if is_32_bit(pid, &mappings) {
        return Err(nothing("is a 32-bit program", "memobj knows Pythons of 64 bits alone"));
    }
    let threads = ptrace::tids(pid).unwrap_or_default().into_iter().filter_map(|tid| {
        let stat = ptrace::stat_of(pid, tid)?;
        let inner_tid = ptrace::status_of(pid, tid)?.inner;
        Some(Thread { tid, inner_tid, name: stat.name, state: stat.state })
    });
    let info = ProcessInfo {
        id: ProcessId { pid, start: stat.start_ticks },
        inner_pid: status.inner,
        program: fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default(),
        name: stat.name,
        rss_bytes: status.rss_bytes,
        rss_anon_bytes: status.rss_anon_bytes,
        swap_bytes: status.swap_bytes,
        threads: threads.collect(),
        mappings,
    };
    Ok((info, stat.image))
}

/// With `hidepid` (proc(5)) others' processes are not there to be looked at, but can be asked whether they are.
fn absent_or_hidden(pid: u32) -> Error {
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match raw.map(rustix::process::test_kill_process) {
        Some(Err(Errno::PERM)) => Error::new(
            Stage::ATTACH,
            format!("pid {pid}: is hidden from us"),
            "it is another user's: run memobj as root (`sudo memobj …`)",
        ),
        _ => access_errors::absent(pid),
    }
}

/// By the class that the program's file bears; if that cannot be read, by its addresses.
fn is_32_bit(pid: u32, mappings: &[Mapping]) -> bool {
    let mut head = [0; 5];
    let read = File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut head));
    match (read, head) {
        (Ok(()), [0x7f, b'E', b'L', b'F', class]) => class == 1,
        _ => mappings.iter().filter(|m| m.kind() != MappingKind::Kernel).all(|m| m.range.end.0 <= 1 << 32),
    }
}
