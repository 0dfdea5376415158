//! The flow: arguments, a command or processes or a file, censuses until the end, and the exit code.

mod counting;
mod leaking;
mod members;
mod outputs;

use common::cli::Failure;
use common::launch::{self, Launched, Output};
use common::record::Run;
use common::signal::Signals;
use common::stdio::say;
use rustix::process::Signal;

use self::counting::{Counting, Plan};
use self::outputs::Outputs;
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
        leaking::check(args.most())?;
    }
    let outputs = Outputs::open(args)?;
    let launching = !args.command.is_empty();
    // Before the command is started, so that no signal finds us unprepared with a child to answer for.
    let ending: &[i32] = if launching { &[] } else { &ENDING };
    let signals = Signals::catch(&caught(launching), ending)
        .map_err(|error| Failure::new(format!("signals cannot be caught: {error}"), ""))?;
    let launched = if launching { Some(start(args)?) } else { None };
    let roots = launched.as_ref().map_or_else(|| args.pid.clone(), |launched| vec![launched.pid()]);
    let plan = match file {
        Some(source) => Plan::File(source),
        None => Plan::Processes { roots, tree: args.tree },
    };
    Counting::new(args, plan, taker, outputs, signals, launched, Run::start()).run()
}

/// What the user asks for an end with.
const ENDING: [i32; 3] = [Signal::INT.as_raw(), Signal::TERM.as_raw(), Signal::HUP.as_raw()];

/// What is to be caught: the user's wishes, and with a command what it is to get of them.
fn caught(launching: bool) -> Vec<i32> {
    let mut numbers = ENDING.to_vec();
    if launching {
        numbers.extend(launch::FORWARDED);
        numbers.push(Signal::CHILD.as_raw());
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn start(args: &Args) -> Result<Launched, Failure> {
    let plan = launch::resolve(&args.command, &launch::Environment::current())?;
    if let Some(note) = &plan.note {
        say(TOOL, note);
    }
    let output = if args.output.is_some() { Output::Inherit } else { Output::ToStderr };
    Launched::spawn(&plan, output)
}

#[cfg(test)]
mod tests;
