//! Finds the processes that the user named.

use common::cli::Failure;
use common::process_search::{find_named, outermost};
use common::stdio::say;

use crate::cli::TOOL;
use crate::source::{ProcessEntry, ProcessSource, ReadError};

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
    let us = std::process::id();
    let others: Vec<ProcessEntry> = all.iter().filter(|found| found.id.pid != us).copied().collect();
    wanted.extend(find_named(names, &others, |found| {
        let sample = source.details(found.id).ok()?.sample;
        Some((sample.name, sample.cmdline))
    })?);
    let (roots, inner) = outermost(&wanted, &all, |entry| (entry.id, entry.ppid));
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
