//! The flow: arguments, a command or processes or a file, censuses until the end, and the exit code.

mod leak_search;
mod outputs;
mod processes;
mod session;

use common::cli::Failure;
use common::launch::{self, Output};
use common::record::Run;
use common::signal::{ENDING, Signals};

use self::outputs::Outputs;
use self::session::{Session, Targets};
use crate::census::Taker;
use crate::cli::Args;
use crate::request::Source;

const TOOL: &str = "memobj";

/// Runs memobj with these arguments, each census by `taker`; the exit code.
///
/// # Errors
/// What cannot work here, in one line with a hint.
pub fn run(args: &Args, taker: &mut dyn Taker) -> Result<u8, Failure> {
    let file = match (&args.core, &args.snapshot) {
        (Some(core), _) => Some(Source::Core(core.clone())),
        (None, Some(snapshot)) => Some(Source::Snapshot(snapshot.clone())),
        (None, None) => None,
    };
    if file.is_none() && args.pid.is_empty() && args.command.is_empty() {
        return Err(Failure::new(
            "nothing to look at",
            "give -p PID, --core FILE, --snapshot FILE, or -- COMMAND; see memobj --help",
        ));
    }
    if args.pid.len() > 1 && args.save_snapshot.is_some() {
        return Err(Failure::new("a snapshot is of one process", "give one -p PID"));
    }
    if args.tree && args.pid.is_empty() && args.command.is_empty() {
        return Err(Failure::new("--tree needs a running process", "give -p PID or -- COMMAND"));
    }
    if args.leaks {
        leak_search::check(args.most())?;
    }
    let outputs = Outputs::open(args)?;
    let launching = !args.command.is_empty();
    // Before the command is started, so that no signal finds us unprepared with a child to answer for.
    let ending: &[i32] = if launching { &[] } else { &ENDING };
    let signals = Signals::catch(&launch::caught(launching), ending)
        .map_err(|error| Failure::new(format!("signals cannot be caught: {error}"), ""))?;
    let launched = launching
        .then(|| {
            let output = if args.output.is_some() { Output::Inherit } else { Output::ToStderr };
            launch::start(TOOL, &args.command, |_| output)
        })
        .transpose()?;
    let roots = launched.as_ref().map_or_else(|| args.pid.clone(), |launched| vec![launched.pid()]);
    let targets = match file {
        Some(source) => Targets::File(source),
        None => Targets::Processes { roots, tree: args.tree },
    };
    Session::new(args, targets, taker, outputs, signals, launched, Run::start()).run()
}

#[cfg(test)]
mod tests;
