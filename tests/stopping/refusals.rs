//! Processes that cannot be read are refused with a hint.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memobj_process::memory::CopyBuffer;
use memobj_process::target::{STOP_LIMIT, Target, core_file};

use super::{COUNTING, assert_counts_on, holder, started};
use crate::support::python::{self, python};
use crate::support::{PATIENCE, Tool, wait_gone, wait_until};

#[track_caller]
fn refusal(pid: u32) -> String {
    let error = Target::attach(pid).unwrap_err();
    assert!(!error.hint.is_empty() && error.message.contains(&pid.to_string()), "{error}");
    error.to_string()
}

#[test]
fn unused_pid_is_refused() {
    let error = Target::attach(0).unwrap_err();
    assert!(error.exited && error.to_string().contains("no such process"), "{error}");
    for pid in [4_194_304 * 2, u32::MAX] {
        assert!(refusal(pid).contains("no such process"));
    }
}

#[test]
fn a_zombie() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = python::Target::start(python, "zombie.py", &[]);
    let text = refusal(target.ready[1]);
    assert!(text.contains("zombie"), "{text}");
}

#[test]
fn thread_id_is_refused() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, COUNTING, &["1"]);
    let threads = Target::attach(process.pid()).unwrap();
    let threads = &memobj_process::info::ProcessSource::info(&threads).threads;
    let text = refusal(threads.iter().map(|thread| thread.tid).find(|&tid| tid != process.pid()).unwrap());
    assert!(text.contains(&format!("-p {}", process.pid())), "{text}");
}

#[test]
fn kernel_thread_is_refused() {
    let is_kernels = std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    if !is_kernels {
        crate::skip!("no threads of the kernel are seen here");
    }
    assert!(refusal(2).contains("kernel thread"));
}

#[test]
fn ourselves() {
    assert!(refusal(std::process::id()).contains("memobj itself"));
}

#[test]
fn traced_process_is_refused() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["3"]);
    let mut other = holder(process.pid(), &[]);
    other.wait_line("held ");
    // It can still be read, but not stopped.
    let target = Target::attach(process.pid()).unwrap();
    let error = target.stop(STOP_LIMIT).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("traced by pid {}", other.pid())) && text.contains("--no-stop"), "{text}");
    assert!(!error.exited);
    drop(other);
    assert_counts_on(&mut process);
}

#[test]
fn process_under_strace_is_refused() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, COUNTING, &["1"]);
    let pid = process.pid().to_string();
    let strace = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|folder| folder.join("strace").is_file());
    if !strace {
        crate::skip!("no strace on this machine");
    }
    let tracer = Tool::new("strace").args(["-f", "-o", "/dev/null", "-p", &pid]).start();
    wait_until(PATIENCE, "strace to trace", || super::field(process.pid(), "status", "TracerPid") != 0);
    let error = Target::attach(process.pid()).unwrap().stop(STOP_LIMIT).unwrap_err().to_string();
    assert!(error.contains("(strace)"), "{error}");
    drop(tracer);
}

#[test]
fn other_users_process_is_refused() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    if !rustix::process::geteuid().is_root() {
        crate::skip!("only root can become somebody else");
    }
    let (mut process, _) = started(python, COUNTING, &["1"]);
    let starter = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all"];
    let run = holder(process.pid(), &starter).finish(PATIENCE);
    let out = run.out();
    let Some(text) = out.lines().find_map(|line| line.strip_prefix("refused ")) else {
        crate::skip!("the tests cannot be run as somebody else here: {}", run.err());
    };
    assert!(text.contains("another user (uid 0)"), "{text}");
    assert!(text.contains("sudo") || text.contains("--cap-add SYS_PTRACE"), "{text}");
    assert_counts_on(&mut process);
}

#[test]
fn program_of_32_bits_is_refused() {
    const PROGRAM: &str = "void _start(void) { for (;;) __asm__ volatile (\"int $0x80\" :: \"a\"(29)); }";
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = super::compiled(folder.path(), PROGRAM, &["-m32", "-nostdlib", "-static"]) else {
        crate::skip!("no compiler for 32 bits on this machine");
    };
    if std::process::Command::new(&program).spawn().map(|mut child| (child.kill(), child.wait())).is_err() {
        crate::skip!("this kernel runs no 32-bit programs");
    }
    let process = Tool::new(&program).start();
    wait_until(PATIENCE, "the program to be loaded", || {
        std::fs::read_link(format!("/proc/{}/exe", process.pid())).is_ok_and(|exe| exe == program)
    });
    assert!(refusal(process.pid()).contains("32-bit"));
}

#[test]
fn ended_or_replaced_process_is_refused() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let program = "import os, sys\nprint('ready', flush=True)\nsys.stdin.readline()\nos.execvp('sleep', ['sleep', '600'])";
    let (mut process, _) = started(python, program, &[]);
    let mut target = Target::attach(process.pid()).unwrap();
    assert!(!target.has_ended());
    process.write("\n");
    wait_until(PATIENCE, "another program", || {
        std::fs::read_to_string(format!("/proc/{}/comm", process.pid()))
            .is_ok_and(|name| name.trim() == "sleep")
    });
    assert!(target.has_ended());
    assert!(target.stop(STOP_LIMIT).unwrap_err().exited);
    assert!(target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap_err().exited);

    let mut target = Target::attach(process.pid()).unwrap();
    let pid = process.pid();
    drop(process);
    wait_gone(pid);
    assert!(target.stop(STOP_LIMIT).unwrap_err().exited && target.refresh().unwrap_err().exited);
}

#[test]
fn files_other_than_cores_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("core");
    for (bytes, word) in [
        (&b""[..], "is empty"),
        (&b"\x28\xb5\x2f\xfdxxxxxxxx"[..], "zstd -d"),
        (&b"\x1f\x8bxxxx"[..], "gzip -d"),
        (&b"memobj\x1a\nxxxx"[..], "--snapshot"),
        (&b"#!/bin/sh\n"[..], "gcore"),
        (&b"\x7fELF\x02\x01\x01"[..], "core"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let text = core_file::open(&file).unwrap_err().to_string();
        assert!(text.contains(word) && text.contains("core:"), "{text}");
    }
    let program = core_file::open(&std::env::current_exe().unwrap()).unwrap_err().to_string();
    assert!(program.contains("not a core file"), "{program}");
    assert!(core_file::open(folder.path()).is_err() && core_file::open(&folder.path().join("none")).is_err());
}

#[test]
fn second_tracer_waits_for_the_first() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["1"]);
    let mut first = holder(process.pid(), &[]);
    first.wait_line("held ");
    let mut second = Target::attach(process.pid()).unwrap();
    let is_held = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Time for some refusals.
            std::thread::sleep(Duration::from_millis(100));
            is_held.store(false, Ordering::SeqCst);
            drop(first);
        });
        second.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        assert!(!is_held.load(Ordering::SeqCst), "two tracers at once");
    });
    assert_counts_on(&mut process);
}
