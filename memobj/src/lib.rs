//! `memobj`: counts every Python object of a running CPython process, from outside.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | config | [`config`] | the configuration of a run, resolved once from the arguments |
//! | parts | [`arguments`], [`open_descriptors`], [`object_sum`], `low_priority` | the arguments and file descriptors of a process; objects summed up by name; the priority of an analysis |
//! | graph | [`graph`] | objects as numbers, references as edges: dominators, shortest paths; knows nothing of Python |
//! | object graph | [`object_graph`] | the objects of a heap as a graph, and its roots |
//! | survivors | [`survivors`] | which objects were there in the censuses before; knows nothing of names |
//! | names | [`names`] | references from object to object, by the names in the program |
//! | holders | [`holders`] | who holds each object, and what would be freed without it |
//! | caches | [`caches`] | the caches of the program: entries, sizes and problems |
//! | account | [`account`] | the owner of each resident byte, once: Python, malloc, files, stacks, or unknown |
//! | watch | [`watch`] | who writes to the count of a container: hardware watchpoints, and the code that runs at each hit |
//! | leaks | [`leaks`] | growth from census to census, its holders, and whether anything is freed |
//! | export | [`export`] | files that other tools open |
//! | census | [`census`] | from a heap to the census of its objects |
//! | partial copies | `partial_copy` | copies without the pages that a census does not read, and what becomes of a census that misses one |
//! | live counts | `live_count` | the census of a process that runs while its memory is read |
//! | capture | [`capture`] | from a process or a file to its census: attach, stop and copy, resume, find the layout, count |
//! | targets | [`named_processes`] | from the name of a program or script to its pid |
//! | edge | [`cli`], [`emit`] | the arguments; censuses as records and as tables for people |
//! | flow | [`run`] | the loop of a run, from its configuration to its exit code |

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod account;
pub mod arguments;
pub mod caches;
pub mod capture;
pub mod census;
pub mod cli;
pub mod config;
pub mod emit;
pub mod export;
pub mod graph;
pub mod holders;
pub mod leaks;
mod live_count;
mod low_priority;
pub mod named_processes;
pub mod names;
pub mod object_graph;
pub mod object_sum;
pub mod open_descriptors;
mod partial_copy;
pub mod run;
pub mod survivors;
pub mod watch;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use common::cli::Failure;
use memobj_process::target::{end_watchdog, run_watchdog, set_watchdog};

/// The argument that makes this program the watchdog of another memobj, whose pid follows. Not for users, so not in the help.
const WATCHDOG: &str = "--watchdog-of";

/// The `memobj` command.
pub fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == WATCHDOG) {
        let parent = args.next().unwrap_or_default();
        return common::cli::run("memobj", || match run_watchdog(&parent.to_string_lossy()) {
            Ok(()) => Ok(0),
            Err(error) => Err(Failure::new(format!("watchdog: {error}"), "memobj starts it itself")),
        });
    }
    // The path of the program may lead to another version by now.
    set_watchdog(|| {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("memobj").arg(WATCHDOG);
        command
    });
    let code = match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(mut args) => common::cli::run("memobj", || {
            args.find_processes()?;
            let config = args.into_config()?;
            run::run(&config, || run::CensusWorker::spawn(Box::new(capture::Capturer::default())))
        }),
        Err(code) => code,
    };
    end_watchdog();
    code
}
