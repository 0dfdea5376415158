//! Reads what `/proc` says of a process before it is touched, and refuses processes that cannot be read.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use common::process::{ProcessId, Stat};
use rustix::io::Errno;

use super::access_errors::{self, Attempt, named};
use super::procfs::{self, Status};
use crate::error::{Error, Stage};
use crate::info::{Mapping, MappingKind, ProcessInfo, Thread};

/// Reads the facts of a process, and the identity of its program.
pub(super) fn read_process(pid: u32) -> Result<(ProcessInfo, Option<u64>), Error> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
    let stat_text = read("stat").unwrap_or_default();
    let stat = Stat::parse(&stat_text).ok_or_else(|| absent_or_hidden(pid))?;
    let name = String::from_utf8_lossy(stat.comm).into_owned();
    let refused = |message: &str, hint: &str| {
        Error::new(Stage::ATTACH, format!("{}: {message}", named(pid, &name)), hint)
    };
    if pid == std::process::id() {
        return Err(refused("is memobj itself", "give the pid of another process"));
    }
    if stat.is_kernel_thread {
        return Err(refused("is a kernel thread", "it has no memory of its own; give the pid of a program"));
    }
    let status = read("status").map(|text| Status::parse(&text)).unwrap_or_default();
    if let Some(process) = status.process.filter(|&process| process != pid) {
        return Err(refused(
            &format!("is a thread of {}", named(process, "")),
            &format!("give the process (`-p {process}`)"),
        ));
    }
    if stat.state.has_ended() && !stat.has_exited() {
        // The kernel shows the memory of a process by its main thread, and that has given it up.
        let others = stat.threads.saturating_sub(1);
        let threads =
            if others == 1 { "1 other thread runs" } else { &format!("{others} other threads run") };
        return Err(refused(
            &format!("its main thread has exited, and {threads}"),
            "memobj cannot read such a process; `kill -ABRT` ends it and writes a core file, which `--core` reads",
        ));
    }
    if stat.state.has_ended() {
        let hint = "it has exited and holds no memory; its parent has not reaped it yet";
        return Err(Error { exited: true, ..refused("is a zombie", hint) });
    }
    let exited = || access_errors::exited(Stage::ATTACH, pid, &name);
    let maps = read("maps").map_err(|error| match error.kind() {
        ErrorKind::NotFound => exited(),
        _ => access_errors::unreadable(pid, &name, Attempt::Read, &error),
    })?;
    let mappings = procfs::parse_maps(&maps);
    if mappings.is_empty() {
        return Err(exited());
    }
    if is_32_bit(pid, &mappings) {
        return Err(refused("is a 32-bit program", "memobj reads 64-bit programs only"));
    }
    let threads = procfs::tids(pid).unwrap_or_default().into_iter().filter_map(|tid| {
        let (name, state) = procfs::thread_state(pid, tid)?;
        Some(Thread { tid, inner_tid: procfs::thread_status(pid, tid)?.inner, name, state })
    });
    let info = ProcessInfo {
        id: ProcessId { pid, start: stat.start_ticks },
        inner_pid: status.inner,
        program: fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_else(|_| PathBuf::new()),
        rss_bytes: status.rss_bytes,
        rss_anon_bytes: status.rss_anon_bytes,
        swap_bytes: status.swap_bytes,
        threads: threads.collect(),
        mappings,
        name,
    };
    Ok((info, stat.image))
}

/// With `hidepid` (proc(5)), processes of other users are invisible, but can be sent a signal of number 0.
fn absent_or_hidden(pid: u32) -> Error {
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    match raw.map(rustix::process::test_kill_process) {
        Some(Err(Errno::PERM)) => Error::new(
            Stage::ATTACH,
            format!("pid {pid}: is hidden from us"),
            "it belongs to another user: run memobj as root (`sudo memobj …`)",
        ),
        _ => access_errors::absent(pid),
    }
}

/// By the class in the program's ELF header, or by its addresses if that cannot be read.
fn is_32_bit(pid: u32, mappings: &[Mapping]) -> bool {
    let mut header = [0; 5];
    let read = File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut header));
    match (read, header) {
        (Ok(()), [0x7f, b'E', b'L', b'F', class]) => class == 1,
        _ => mappings.iter().filter(|m| m.kind() != MappingKind::Kernel).all(|m| m.range.end.0 <= 1 << 32),
    }
}
