//! What the user named, as processes.

use common::cli::Failure;

use crate::source::{Details, Found, Source, Unreadable};
use crate::tree;

/// The roots to watch, and what to tell the user about them.
#[derive(Debug)]
pub struct Roots {
    /// None is below another.
    pub found: Vec<Found>,
    /// Lines for stderr.
    pub notes: Vec<String>,
}

/// Finds the processes with these numbers, and all with these names.
///
/// # Errors
/// A number or name that no process has: what it is instead, and what to do.
pub fn find(source: &mut dyn Source, pids: &[u32], names: &[String]) -> Result<Roots, Failure> {
    let listing_failed =
        |error| Failure::new(format!("processes cannot be listed: {error}"), "is /proc mounted?");
    let all = source.appeared().map_err(listing_failed)?;
    let mut wanted = Vec::new();
    for &pid in pids {
        wanted.push(source.find(pid).map_err(|error| refuse(pid, &error))?);
    }
    if !names.is_empty() {
        let us = std::process::id();
        let mut named = vec![false; names.len()];
        for found in all.iter().filter(|found| found.id.pid != us) {
            let Ok(details) = source.details(found.id) else { continue };
            for (name, hit) in names.iter().zip(&mut named) {
                if goes_by(&details, name) {
                    *hit = true;
                    wanted.push(*found);
                }
            }
        }
        if let Some((name, _)) = names.iter().zip(named).find(|(_, hit)| !hit) {
            let hint = "see the names in 'ps -eo pid,comm,args', or give a number with -p";
            return Err(Failure::new(format!("no process is named '{name}'"), hint));
        }
    }
    let (found, inner) = tree::outermost(&wanted, &all);
    let notes = inner
        .iter()
        .map(|(inner, outer)| {
            format!("pid {} is below pid {} and is watched there", inner.id.pid, outer.id.pid)
        })
        .collect();
    Ok(Roots { found, notes })
}

fn refuse(pid: u32, error: &Unreadable) -> Failure {
    match error {
        Unreadable::Gone { wait_status: None } | Unreadable::Ending => Failure::new(
            format!("no process has the number {pid}"),
            "see the numbers in 'ps -e', or give a name with -n",
        ),
        Unreadable::Gone { wait_status: Some(_) } => Failure::new(
            format!("pid {pid} is a zombie: it has ended, and its parent has not taken notice"),
            "watch its parent ('ps -o ppid= -p PID')",
        ),
        Unreadable::Failed(error) => {
            Failure::new(format!("pid {pid} cannot be read: {error}"), "watch it as its own user or as root")
        }
    }
}

/// Whether a process answers to a name: its own, its command's, or, for an interpreter, its script's or module's.
fn goes_by(details: &Details, name: &str) -> bool {
    if *details.name == *name || *details.full_name() == *name {
        return true;
    }
    let mut args = details.cmdline.iter().flat_map(|cmdline| cmdline.iter());
    let Some(command) = args.next().map(|arg| base(arg)) else { return false };
    if command == name {
        return true;
    }
    let interpreters = ["python", "pypy", "node", "ruby", "perl", "php", "java", "bash", "sh", "dash", "zsh"];
    let stem = command.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !interpreters.contains(&stem) {
        return false;
    }
    while let Some(arg) = args.next() {
        return match arg.as_str() {
            // Program text is no name.
            "-c" | "-e" => false,
            "-m" | "-jar" => args.next().is_some_and(|module| base(module) == name),
            // These options of python take a value of their own.
            "-X" | "-W" => {
                args.next();
                continue;
            }
            option if option.starts_with('-') => continue,
            script => base(script) == name,
        };
    }
    false
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use common::process::{ProcessId, ProcessState};

    use super::*;

    fn details(name: &str, args: &[&str]) -> Details {
        let found = Found { id: ProcessId { pid: 1, start: 1 }, ppid: 0, group: 0, session: 0 };
        Details {
            cmdline: Some(args.iter().map(|&arg| arg.to_owned()).collect()),
            ..Details::bare(found, name.into(), ProcessState::Running)
        }
    }

    #[test]
    fn a_process_goes_by_its_name_its_command_and_its_script() {
        let bot = details("python3.11", &["/venv/bin/python3.11", "-u", "-X", "dev", "src/bot.py", "serve"]);
        for (name, hit) in [("python3.11", true), ("bot.py", true), ("serve", false), ("python", false)] {
            assert_eq!(goes_by(&bot, name), hit, "{name}");
        }
        let bot = details("python3", &["python3", "-u", "src/bot.py", "worker.py"]);
        assert!(goes_by(&bot, "bot.py") && !goes_by(&bot, "worker.py"));
        assert!(goes_by(&details("python3", &["python3", "-m", "celery", "worker"]), "celery"));
        assert!(!goes_by(&details("python3", &["python3", "-c", "celery"]), "celery"));
        assert!(goes_by(&details("MainThread", &["/usr/bin/gunicorn"]), "gunicorn"));
        assert!(
            !goes_by(&details("vim", &["vim", "bot.py"]), "bot.py"),
            "an editor of a script is not the script"
        );
        assert!(!goes_by(&details("kthreadd", &[]), "bot.py"));
    }
}
