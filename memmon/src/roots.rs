//! Finds the processes that the user named.

use common::cli::Failure;
use common::stdio::say;

use crate::cli::TOOL;
use crate::process_forest;
use crate::source::{ProcessDetails, ProcessEntry, ProcessSource, ReadError};

/// Finds the processes with these pids, and all with these names. Those below another one are left out, and reported on stderr.
///
/// # Errors
/// No process has a pid or name, or it cannot be read.
pub fn find_roots(
    source: &mut dyn ProcessSource,
    pids: &[u32],
    names: &[String],
) -> Result<Vec<ProcessEntry>, Failure> {
    let listing_failed = |error| Failure::new(format!("cannot list processes: {error}"), "is /proc mounted?");
    let all = source.new_processes().map_err(listing_failed)?;
    let mut wanted = Vec::new();
    for &pid in pids {
        wanted.push(source.find(pid).map_err(|error| explain(pid, &error))?);
    }
    if !names.is_empty() {
        let us = std::process::id();
        let mut named = vec![false; names.len()];
        for found in all.iter().filter(|found| found.id.pid != us) {
            let Ok(details) = source.details(found.id) else { continue };
            for (name, hit) in names.iter().zip(&mut named) {
                if matches_name(&details, name) {
                    *hit = true;
                    wanted.push(*found);
                }
            }
        }
        if let Some((name, _)) = names.iter().zip(named).find(|(_, hit)| !hit) {
            let hint = "list names with 'ps -eo pid,comm,args', or give a pid with -p";
            return Err(Failure::new(format!("no process is named '{name}'"), hint));
        }
    }
    let (roots, inner) = process_forest::outermost_roots(&wanted, &all);
    for (inner, outer) in inner {
        say(TOOL, &format!("pid {} is below pid {} and is watched there", inner.id.pid, outer.id.pid));
    }
    Ok(roots)
}

fn explain(pid: u32, error: &ReadError) -> Failure {
    match error {
        ReadError::Exited { wait_status: None } | ReadError::Exiting => Failure::new(
            format!("no process has pid {pid}"),
            "list pids with 'ps -e', or give a name with -n",
        ),
        ReadError::Exited { wait_status: Some(_) } => Failure::new(
            format!("pid {pid} is a zombie: it has exited, and its parent has not reaped it"),
            "watch its parent ('ps -o ppid= -p PID')",
        ),
        ReadError::Failed(error) => Failure::new(
            format!("pid {pid} cannot be read: {error}"),
            "run memmon as the same user or as root",
        ),
    }
}

/// Whether a process has this name: its own, its command's, or, for an interpreter, its script's or module's.
fn matches_name(details: &ProcessDetails, name: &str) -> bool {
    if *details.sample.name == *name || *details.full_name() == *name {
        return true;
    }
    let mut args = details.sample.cmdline.iter().flat_map(|cmdline| cmdline.iter());
    let Some(command) = args.next().map(|arg| file_name(arg)) else { return false };
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
            "-m" | "-jar" => args.next().is_some_and(|module| file_name(module) == name),
            // These options of python take a value.
            "-X" | "-W" => {
                args.next();
                continue;
            }
            option if option.starts_with('-') => continue,
            script => file_name(script) == name,
        };
    }
    false
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use common::record::ProcessSample;

    use super::*;

    fn details(name: &str, args: &[&str]) -> ProcessDetails {
        let cmdline = Some(args.iter().map(|&arg| arg.to_owned()).collect());
        let sample = ProcessSample { cmdline, ..ProcessSample::unread(1, name) };
        ProcessDetails { sample, ..<_>::default() }
    }

    #[test]
    fn names_match_command_and_script() {
        let bot = details("python3.11", &["/venv/bin/python3.11", "-u", "-X", "dev", "src/bot.py", "serve"]);
        for (name, hit) in [("python3.11", true), ("bot.py", true), ("serve", false), ("python", false)] {
            assert_eq!(matches_name(&bot, name), hit, "{name}");
        }
        let bot = details("python3", &["python3", "-u", "src/bot.py", "worker.py"]);
        assert!(matches_name(&bot, "bot.py") && !matches_name(&bot, "worker.py"));
        assert!(matches_name(&details("python3", &["python3", "-m", "celery", "worker"]), "celery"));
        assert!(!matches_name(&details("python3", &["python3", "-c", "celery"]), "celery"));
        assert!(matches_name(&details("MainThread", &["/usr/bin/gunicorn"]), "gunicorn"));
        assert!(
            !matches_name(&details("vim", &["vim", "bot.py"]), "bot.py"),
            "an editor of a script is not the script"
        );
        assert!(!matches_name(&details("kthreadd", &[]), "bot.py"));
    }
}
