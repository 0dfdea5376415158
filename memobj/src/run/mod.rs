//! Runs memobj: from a resolved configuration to censuses, leaks and an exit code.

mod census_loop;
mod census_worker;
mod iteration;
mod leak_search;
mod missing_types;
mod next_step;
mod outputs;
mod processes;
mod tracker;

use common::cli::Failure;
use common::launch::Output;
use common::session::{Session, SessionOptions};

use self::census_loop::CensusLoop;
pub use self::census_worker::CensusWorker;
use self::outputs::Outputs;
use crate::config::{Config, Targets};
use memobj_process::target::without_stops;

/// The name of the tool in messages.
const TOOL: &str = "memobj";

/// Runs memobj; the worker that `worker` returns takes the censuses. Returns the exit code.
///
/// # Errors
/// The failure that ended the run.
pub fn run<'a>(
    config: &'a Config,
    worker: impl FnOnce() -> Result<CensusWorker<'a>, Failure>,
) -> Result<u8, Failure> {
    let outputs = Outputs::open(config)?;
    let command = match &config.targets {
        Targets::Command(command) => Some(command),
        Targets::File(_) | Targets::Processes(_) => None,
    };
    // Before other threads start, and before the command is launched: no signal may be lost, and none may end memobj while a command depends on it.
    let mut session = Session::open(SessionOptions {
        tool: TOOL,
        launches: command.is_some(),
        draws: false,
        writes_stdout: config.output.is_none(),
        count: Some(config.max_censuses),
        duration: config.duration,
    })?;
    // Who suspends memobj does not want to suspend the target with it.
    common::signal::on_suspend(|suspend| without_stops(suspend))
        .map_err(|error| Failure::new(format!("cannot catch signals: {error}"), ""))?;
    let worker = worker()?;
    if let Some(command) = command {
        session.launch(
            command,
            |_| {
                if config.output.is_some() { Output::Inherit } else { Output::ToStderr }
            },
        )?;
    }
    CensusLoop::new(config, worker, outputs, session).run()
}

#[cfg(test)]
mod tests;
