//! What memobj cannot look at, it says in a line with what to do, and ends with 2.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::log::memmon;
use crate::support::process;
use crate::support::python::{Target, known, python, pythons};
use crate::support::{Background, PATIENCE, Run, Tool, bin, wait_until};

/// memobj, to look at the process `pid` once.
fn memobj(pid: u32) -> Run {
    Tool::ours("memobj").arg("-p").arg(pid.to_string()).args(["--count", "1"]).run()
}

/// Asserts that a run was refused with one line, in which all `words` stand in this order, and with no census.
#[track_caller]
fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code(), Some(2), "{run}");
    let err = run.err();
    assert!(err.starts_with("memobj: ") && err.lines().count() == 1, "one line: {run}");
    let mut rest = err.as_str();
    for word in words {
        let Some((_, behind)) = rest.split_once(word) else { panic!("no {word:?} in {rest:?} of {err}") };
        rest = behind;
    }
    // What happened, and behind a colon what to do.
    assert!(err.trim_end().matches(": ").count() >= 2, "no hint: {err}");
    assert!(run.records().iter().all(|record| record["type"] == "error"), "{run}");
}

/// A program that waits until its stdin closes, and runs already.
#[track_caller]
fn waiting(program: &str) -> Background {
    let process = Tool::new(program).start();
    wait_until(PATIENCE, program, || {
        let comm = fs::read_to_string(format!("/proc/{}/comm", process.pid()));
        comm.is_ok_and(|comm| comm.trim_end() == program)
    });
    process
}

#[test]
fn pids_of_no_process() {
    let ended = Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait_with_output().unwrap();
    assert_refused(&memobj(pid), &[&format!("pid {pid}"), "no such process"]);
}

#[test]
fn words_instead_of_pids() {
    for word in ["0", "-1", "abc", "99999999999999999999", "1.5", ""] {
        let reason = if word.is_empty() { "a value is required" } else { "not a process number" };
        for tool in ["memobj", "memmon"] {
            let run = Tool::ours(tool).arg(format!("-p{word}")).run();
            assert_eq!(run.code(), Some(2), "{run}");
            assert!(run.out().is_empty() && run.err().contains(reason), "{run}");
        }
    }
}

#[test]
fn memobj_itself() {
    let run = Tool::new("sh").args(["-c", "exec \"$0\" -p $$ --count 1"]).arg(bin("memobj")).run();
    assert_refused(&run, &["(memobj)", "is memobj itself"]);
}

#[test]
fn kernel_threads() {
    if fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
        assert_refused(&memobj(2), &["pid 2 (kthreadd)", "kernel"]);
    } else {
        crate::skip!("no thread of the kernel is seen here");
    }
}

#[test]
fn main_thread_exited_before_others() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    // Ends the main thread only: pthread_exit, from the C library of the interpreter.
    let script = "import ctypes, sys, threading, os\n\
                  def wait():\n    print('ready', flush=True)\n    os.read(0, 1)\n    os._exit(0)\n\
                  threading.Thread(target=wait, daemon=True).start()\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    let mut target = Tool::new(&python.path).args(["-c", script]).start();
    target.wait_line("ready");
    let status = || fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap_or_default();
    wait_until(PATIENCE, "the end of the main thread", || status().contains(") Z "));
    let pid = target.pid();
    assert_refused(
        &memobj(pid),
        &[&format!("pid {pid}"), "its main thread has exited, and 1 other thread runs", "core"],
    );
    // memmon reads the memory by the other thread.
    let watched = memmon(pid, &["-i", "50ms", "--count", "3", "--format", "jsonl"]).run().expect_code(0);
    let records = watched.records();
    let samples: Vec<&Value> = records.iter().filter(|record| record["type"] == "process").collect();
    assert_eq!(samples.len(), 3, "{records:#?}");
    assert!(samples.iter().all(|sample| sample["rss_bytes"].as_u64() > Some(1 << 20)), "{samples:#?}");
    assert!(!records.iter().any(|record| record["event"] == "exited"), "{records:#?}");
    target.write("x");
    target.finish(PATIENCE).expect_code(0);
}

#[test]
fn zombies() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "zombie.py", &[]);
    assert_refused(&memobj(target.ready[1]), &[&format!("pid {}", target.ready[1]), "is a zombie"]);
}

#[test]
fn non_python_programs_are_named() {
    let cat = waiting("cat");
    assert_refused(&memobj(cat.pid()), &["`cat` runs no CPython"]);
    // Ours is one in Rust.
    let other = Tool::ours("memmon").args(["-i", "10m", "-p", &std::process::id().to_string()]).start();
    wait_until(PATIENCE, "memmon", || other.out().contains("\"type\":\"process\","));
    assert_refused(&memobj(other.pid()), &["`memmon` runs no CPython"]);
}

#[test]
fn other_runtimes_are_named() {
    let mut found = false;
    let node = "process.stdout.write('ready \\n'); process.stdin.resume(); process.stdin.on('end', () => process.exit())";
    for (program, args) in
        [("node", vec!["-e", node]), ("perl", vec!["-e", "$| = 1; print \"ready \\n\"; <STDIN>"])]
    {
        if Command::new(program).arg("--version").output().is_err() {
            continue;
        }
        found = true;
        let mut process = Tool::new(program).args(args).start();
        process.wait_line("ready ");
        assert_refused(&memobj(process.pid()), &[program, "Python"]);
    }
    if !found {
        crate::skip!("neither Node.js nor Perl on this machine");
    }
}

#[test]
fn old_pythons_are_refused() {
    let home = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".pyenv"))).unwrap_or_default();
    let mut found = false;
    for entry in fs::read_dir(home.join("versions")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(version) =
            ["2.7", "3.6", "3.7"].into_iter().find(|version| name.starts_with(&format!("{version}.")))
        else {
            continue;
        };
        found = true;
        let program = fs::canonicalize(entry.path().join("bin/python")).unwrap();
        let code = "import sys; sys.stdout.write('ready \\n'); sys.stdout.flush(); sys.stdin.read()";
        let mut process = Tool::new(program).args(["-c", code]).start();
        process.wait_line("ready ");
        assert_refused(&memobj(process.pid()), &[version, "3.8"]);
        assert!(process::is_let_go(process.pid()));
    }
    if !found {
        crate::skip!("no Python 2.7, 3.6 or 3.7 of pyenv");
    }
}

#[test]
fn traced_process_names_tracer() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let mut found = false;
    for (tracer, args) in [("strace", &["-o", "/dev/null", "-p"][..]), ("gdb", &["-q", "-nx", "-p"])] {
        if Command::new(tracer).arg("--version").output().is_err() {
            continue;
        }
        found = true;
        // One that sleeps could be copied without a stop.
        let program = "print('ready', flush=True)\nwhile True: pass";
        let mut target = Tool::new(&python.path).args(["-c", program]).start();
        target.wait_line("ready");
        let pid = target.pid();
        let tracing = Tool::new(tracer).args(args).arg(pid.to_string()).start();
        wait_until(PATIENCE, tracer, || process::tasks(pid).iter().any(|task| task.tracer == tracing.pid()));
        let run = memobj(pid);
        assert_refused(&run, &["traced by", &format!("pid {} ({tracer})", tracing.pid())]);
        assert!(
            process::tasks(pid).iter().all(|task| task.tracer == tracing.pid()),
            "the tracer was driven out"
        );
    }
    if !found {
        crate::skip!("neither strace nor gdb on this machine");
    }
}

#[test]
fn other_users_process_gives_hint() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("memobj");
    fs::copy(bin("memobj"), &program).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let as_nobody = || Tool::new("sh").args(["-c", "exec setpriv \"$@\"", "sh"]).args(nobody).arg(&program);
    let reaches = as_nobody().arg("--version").run();
    if reaches.code() != Some(0) {
        crate::skip!("another user cannot run programs here: {}", reaches.err().trim());
    }
    let target = Target::start(python, "signals.py", &[]);
    let run = as_nobody().args(["-p", &target.pid().to_string(), "--count", "1"]).run();
    assert_refused(&run, &["another user"]);
    let err = run.err();
    assert!(err.contains("sudo") || err.contains("--cap-add SYS_PTRACE"), "{err}");
}

/// The smallest 32-bit program: elf(5), then `pause` (number 29 of i386) again and again.
fn program_of_32_bits() -> Vec<u8> {
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let (base, headers) = (0x0804_8000_u32, 52 + 32_u32);
    let size = headers + code.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // Executable, Intel 80386, version 1.
    for half in [2_u16, 3, 1, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [base + headers, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One segment: loaded from 0, readable and executable.
    for word in [1, 0, base, base, size, size, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[test]
fn programs_of_32_bits() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("of-32-bits");
    fs::write(&program, program_of_32_bits()).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if let Err(error) =
        Command::new(&program).spawn().and_then(|mut child| child.kill().and_then(|()| child.wait()))
    {
        crate::skip!("32-bit programs do not run here: {error}");
    }
    let process = Tool::new(&program).start();
    wait_until(PATIENCE, "the program", || {
        fs::read_to_string(format!("/proc/{}/comm", process.pid()))
            .is_ok_and(|comm| comm.trim() == "of-32-bits")
    });
    assert_refused(&memobj(process.pid()), &["32-bit"]);
    process.signal(Signal::KILL);
}

#[test]
fn bad_and_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no core and no snapshot").unwrap();
    for option in ["--core", "--snapshot"] {
        for (path, words) in
            [(text.clone(), "text"), (folder.path().join("none"), "none"), (folder.path().into(), "")]
        {
            let run = Tool::ours("memobj").arg(option).arg(&path).run();
            assert_refused(&run, &[words]);
        }
    }
}

#[test]
fn overlapping_objects_are_refused() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "overlapping.py", &["4"]);
    let run = memobj(target.pid()).expect_code(0);
    assert_eq!(run.records().len(), 1, "a few are no harm: {run}");
    drop(target);
    let target = Target::start(python, "overlapping.py", &["40000"]);
    let run = memobj(target.pid());
    assert_refused(&run, &["more references than its memory can hold"]);
}

#[test]
fn supported_pythons_are_accepted() {
    for python in pythons().iter().filter(|python| python.version >= (3, 8)) {
        let target = Target::start(python, "signals.py", &[]);
        let run = memobj(target.pid()).expect_code(0);
        assert!(run.err().is_empty(), "{}: {run}", python.path.display());
    }
}

#[test]
fn short_memory_is_exit_2() {
    let Some(python) = known() else { crate::skip!("no Python that memobj knows") };
    let target = Target::start(python, "forked.py", &["20", "0"]);
    let mut refused = 0;
    for megabytes in (30..=330).step_by(20) {
        let limit = format!("ulimit -v {}; exec \"$@\"", megabytes * 1024);
        let limited = Tool::new("sh").args(["-c", &limit, "sh"]).arg(bin("memobj")).arg("-p");
        let run = limited.arg(target.pid().to_string()).args(["--holders", "--retained"]).run();
        // No signal, and no panic of a thread that the system refused.
        assert!(matches!(run.code(), Some(0 | 2)), "{megabytes} MiB: {run}");
        assert!(!run.err().contains("panicked"), "{megabytes} MiB: {run}");
        assert!(run.code() == Some(0) || !run.err().is_empty(), "{megabytes} MiB: {run}");
        refused += usize::from(run.code() == Some(2));
        assert!(process::is_let_go(target.pid()), "{megabytes} MiB: {run}");
    }
    assert!(refused > 0, "all of these limits suffice");
}
