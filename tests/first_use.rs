//! The first use: what a new user sees on a terminal, and what to do next.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::other_users::{AS_NOBODY, cannot_be_nobody};
use crate::support::pty::{CTRL_C, Session, Terminal};
use crate::support::python::{Target, python};
use crate::support::{PATIENCE, Run, Tool, bin, which, workspace};

/// A Python that sleeps.
fn sleeper() -> Option<Target> {
    Some(Target::start(python()?, "signals.py", &[]))
}

fn on_terminal(tool: &str, args: &[&str], columns: u16) -> Session {
    let mut session = Terminal::new(bin(tool)).args(args).size(columns, 60).start();
    session.finish();
    session
}

#[test]
fn each_view_ends_with_the_next_step() {
    let Some(target) = sleeper() else { crate::skip!("no Python on this machine") };
    let pid = target.pid().to_string();
    let next = format!("growing? memobj --leaks -p {pid}");
    for columns in [80, 120] {
        for view in [&[][..], &["--holders"], &["--caches"]] {
            let session = on_terminal("memobj", &[&["-p", &pid], view].concat(), columns);
            assert_eq!(
                session.screen().trim_end().lines().last(),
                Some(&*format!("memobj: {next}")),
                "{session}"
            );
        }
        let session =
            on_terminal("memmon", &["-p", &pid, "-i", "100ms", "--count", "2", "--no-save"], columns);
        assert_eq!(
            session.screen().trim_end().lines().last(),
            Some(&*format!("memmon: {next}")),
            "{session}"
        );
    }
    let piped = Tool::ours("memobj").args(["-p", &pid, "--format", "text"]).run().expect_code(0);
    assert!(piped.err().is_empty() && !piped.out().contains("growing?"), "{piped}");
}

#[test]
fn output_file_is_announced_and_judged() {
    let Some(target) = sleeper() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let pid = target.pid().to_string();
    for (tool, wrote, number, log) in [
        ("memobj", "memobj: writes text to log, records to log.jsonl", "memobj: 2 censuses in ", "log.jsonl"),
        ("memmon", "memmon: writes samples to log", "memmon: 2 samples in ", "log"),
    ] {
        let terminal =
            Terminal::new(bin(tool)).args(["-p", &pid, "-i", "100ms", "--count", "2", "-o", "log"]);
        let mut session = terminal.dir(folder.path()).size(80, 24).start();
        assert_eq!(session.finish().code(), Some(0), "{session}");
        let screen = session.screen();
        let lines: Vec<&str> = screen.trim_end().lines().collect();
        assert_eq!(lines.first(), Some(&wrote), "{session}");
        assert!(lines.iter().any(|line| line.starts_with(number)), "{session}");
        assert_eq!(lines.last(), Some(&&*format!("{tool}: what grew? memdiff --trend {log}")), "{session}");
        // The progress is not left on the screen.
        assert!(session.text().contains('…') && !screen.contains('…'), "{session}");
    }
    let quiet = Tool::ours("memmon").args(["-p", &pid, "--count", "1", "-o", "log"]).dir(folder.path()).run();
    assert!(quiet.expect_code(0).err().is_empty());
}

#[test]
fn first_line_of_a_log_is_a_sample() {
    let target = Tool::new("sleep").arg("1000").start();
    let run =
        Tool::ours("memmon").args(["-i", "10ms", "--count", "2", "-p", &target.pid().to_string()]).run();
    let records = run.expect_code(0).records();
    assert_eq!((&records[0]["type"], &records[0]["pid"]), (&"process".into(), &target.pid().into()));
    assert_eq!((&records[1]["event"], &records[1]["at_start"]), (&"started".into(), &true.into()));
}

#[test]
fn interrupt_has_a_line_of_its_own() {
    let Some(target) = sleeper() else { crate::skip!("no Python on this machine") };
    for (tool, more, shown) in
        [("memmon", &["--no-save"][..], "#1  "), ("memobj", &["-i", "1h"], "counted in")]
    {
        let pid = target.pid().to_string();
        let args = [&["-p", &pid], more].concat();
        let mut session = Terminal::new(bin(tool)).args(args).size(120, 60).start();
        session.wait_screen(shown);
        session.type_keys(CTRL_C);
        session.finish();
        let screen = session.screen();
        assert!(screen.lines().any(|line| line == "^C"), "{session}");
        assert!(screen.lines().any(|line| line.starts_with(&format!("{tool}: 1 "))), "{session}");
    }
}

#[test]
fn older_options_name_the_command_of_today() {
    for (tool, args, command) in [
        ("memobj", &["--monitor"][..], "memmon -- bot.py"),
        ("memmon", &["--objects", "-i", "10"], "memobj -i 10 -- bot.py"),
        ("memobj", &["-o"], "memobj -i 10 -p PID -o FILE"),
        ("memplot", &["--visualize", "--input", "log.jsonl"], "memplot LOG.jsonl -o plot.png"),
        ("memobj", &["-p", "1", "--object-limit", "5"], "memobj -l 20 -p PID"),
    ] {
        let run = Tool::ours(tool).args(args).run().expect_code(2);
        assert!(run.err().contains(command) && !run.err().contains("to pass '"), "{run}");
    }
}

#[test]
fn python_beside_another_venv_gets_a_note() {
    let folder = tempfile::tempdir().unwrap();
    // A shell in the place of Python is enough: it runs the script, whose text is of both languages.
    for python in ["bin/python3", "project/.venv/bin/python"] {
        let path = folder.path().join(python);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(which("sh"), path).unwrap();
    }
    let project = folder.path().join("project");
    fs::write(project.join("bot.py"), "exit").unwrap();
    let run = |command: &[&str]| {
        let tool = Tool::ours("memmon").args(["-o", "log", "--"]).args(command).dir(&project);
        tool.env("PATH", folder.path().join("bin")).run().expect_code(0).err()
    };
    let note = run(&["python3", "bot.py"]);
    assert!(note.contains("not the project's .venv/bin/python; `-- bot.py` runs the latter"), "{note}");
    assert!(run(&["bot.py"]).contains("running bot.py with .venv/bin/python"));
}

/// memobj as another user, with a look at a process of root.
fn refused_as_nobody(more: &[&str]) -> Option<Run> {
    let target = sleeper()?;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("memobj");
    fs::copy(bin("memobj"), &program).unwrap();
    let tool = Tool::new("setpriv").args(more).args(AS_NOBODY).arg(&program);
    Some(tool.args(["-p", &target.pid().to_string(), "--format", "text"]).limit(PATIENCE).run())
}

#[test]
fn refusal_names_the_remedy_of_this_machine() {
    if let Some(reason) = cannot_be_nobody() {
        crate::skip!("{reason}")
    }
    // Root may trace here; in a container without the capability only its user can look at it.
    for (more, remedy) in [
        // sudo does not find a program in this folder by its name.
        (&[][..], "run it as root (`sudo $(which memobj) …`)"),
        (&["--bounding-set=-sys_ptrace"], "run memobj as that user (`docker exec --user 0`)"),
    ] {
        let Some(run) = refused_as_nobody(more) else { crate::skip!("no Python on this machine") };
        if run.err().contains("Permission denied") && !run.err().contains("belongs to") {
            crate::skip!("another user cannot run programs here: {}", run.err())
        }
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        let remedy = if yama.trim().parse::<u32>().is_ok_and(|scope| scope > 0) && !more.is_empty() {
            "--cap-add SYS_PTRACE"
        } else {
            remedy
        };
        let run = run.expect_code(2);
        assert!(run.err().contains(&format!("belongs to another user (uid 0): {remedy}")), "{run}");
        assert_eq!(run.err().lines().count(), 1, "{run}");
    }
}

/// memobj without ptrace(2); `None` without a Python that can deny it, or where no process can be denied it.
fn without_ptrace(args: &[&str], pid: u32) -> Option<Run> {
    let wrapper = workspace::root().join("tests/targets/without_call.py");
    let tool = Tool::new(&python()?.path).arg(&wrapper).arg("ptrace").arg(bin("memobj"));
    let run = tool.args(args).args(["-p", &pid.to_string()]).run();
    (!run.err().contains("no seccomp here")).then_some(run)
}

#[test]
fn filtered_ptrace_is_explained() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let target = Target::start(python, "busy.py", &[]);
    let Some(run) = without_ptrace(&[], target.pid()) else { crate::skip!("no seccomp here") };
    match run.code() {
        Some(0) => assert_ne!(run.records()[0]["method"], "stopped", "{run}"),
        Some(2) => assert!(run.err().contains("seccomp") || run.err().contains("--cap-add"), "{run}"),
        code => panic!("{code:?}: {run}"),
    }
}

#[test]
fn search_says_a_refusal_once() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let spins = "print('ready', flush=True)\nwhile True: pass";
    let mut target = Tool::new(&python.path).args(["-c", spins]).start();
    target.wait_line("ready");
    let args = ["--leaks", "--for", "4s"];
    let Some(run) = without_ptrace(&args, target.pid()) else { crate::skip!("no seccomp here") };
    let run = run.expect_code(2);
    let records = run.records();
    assert!(records.len() == 1 && records[0]["type"] == "error", "{run}");
}
