//! Finds the processes that the user named, in `/proc`.

use std::collections::BTreeSet;
use std::fs;

use common::cli::Failure;
use common::process::{ProcessId, Stat, decimal};
use common::process_search::{NameAndArguments, find_named, outermost};
use common::stdio::say;

/// The longest list of processes that share a name.
const LISTED: usize = 20;

/// The part of the list of processes below a found one.
#[derive(Debug, Clone, Copy)]
pub struct Below {
    /// The run includes the processes below a found one: one that is below another is not a second one.
    pub included: bool,
    /// Several processes are wanted.
    pub all: bool,
}

/// The pids of the processes that have one of `names`. If only one is wanted and several were found, they are listed on stderr, with
/// their arguments if `cmdline`.
///
/// # Errors
/// No process has one of the names, or several have.
pub fn find(names: &[String], below: Below, cmdline: bool) -> Result<Vec<u32>, Failure> {
    let all = read_places();
    let mut found = find_named(names, &all, |(id, _)| read_program(id.pid))?;
    if below.included {
        found = outermost(&found, &all, |place| *place).0;
    }
    let pids: BTreeSet<u32> = found.iter().map(|(id, _)| id.pid).collect();
    if pids.len() > names.len() && !below.all {
        for &pid in pids.iter().take(LISTED) {
            say("memobj", &format!("  -p {pid:<8} {}", describe(pid, cmdline)));
        }
        if pids.len() > LISTED {
            say("memobj", &format!("  and {} more", pids.len() - LISTED));
        }
        let what = format!("{} processes are named '{}'", pids.len(), names.join("' or '"));
        return Err(Failure::new(what, "give one of them with -p, or all with --tree"));
    }
    Ok(pids.into_iter().collect())
}

/// The command of a process, or its name.
fn describe(pid: u32, cmdline: bool) -> String {
    match read_program(pid) {
        Some((_, Some(arguments))) if cmdline && !arguments.is_empty() => arguments.join(" "),
        Some((name, _)) => name.to_string(),
        None => "(it has exited)".to_owned(),
    }
}

/// All running processes with the pids of their parents, without this one.
fn read_places() -> Vec<(ProcessId, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids =
        entries.filter_map(|entry| u32::try_from(decimal(entry.ok()?.file_name().as_encoded_bytes())?).ok());
    let us = std::process::id();
    let place = |pid: u32| {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&text)?;
        (!stat.has_exited() && !stat.is_kernel_thread)
            .then_some((ProcessId { pid, start: stat.start_ticks }, stat.ppid))
    };
    pids.filter(|&pid| pid != us).filter_map(place).collect()
}

fn read_program(pid: u32) -> Option<NameAndArguments> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let name = String::from_utf8_lossy(Stat::parse(&text)?.comm).into();
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    let arguments = text.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Some((name, (!text.is_empty()).then(|| arguments.collect())))
}
