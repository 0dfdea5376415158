//! The flow: arguments → a command or roots → samples until the end → exit code.

mod action;
mod event_limiter;
mod limit_guard;
mod monitor;
mod next_step;
mod outputs;

use common::cli::Failure;
use common::launch::{Launched, Output, RelayOptions};
use common::record::{Metric, Run};
use common::session::{Session, SessionOptions};
use common::stdio::say;

use self::monitor::Monitor;
use self::outputs::Outputs;
use crate::cli::{Args, Pss, SourceKind, TOOL, Trigger};
use crate::roots;
use crate::sample::{Sampler, SamplerOptions};
#[cfg(target_os = "linux")]
use crate::source::linux::{Connector, LinuxSource};
use crate::source::sysinfo::SysinfoSource;
use crate::source::{ProcessEntry, ProcessSource};
use crate::triggers::Needs;

#[cfg(not(target_os = "linux"))]
type Connector = std::convert::Infallible;

/// Runs memmon with these arguments. Returns the exit code.
///
/// # Errors
/// The run cannot start, or a limit of the system ends it.
pub fn run(mut args: Args) -> Result<u8, Failure> {
    if args.pid.is_empty() && args.name.is_empty() && args.command.is_empty() {
        return Err(Failure::new(
            "nothing to watch",
            "give -p PID, -n NAME, or -- COMMAND; see memmon --help",
        ));
    }
    if args.fail_above.iter().any(|limit| limit.metric == Metric::Pss) {
        match args.pss {
            Pss::Never => {
                return Err(Failure::new(
                    "--fail-above pss needs PSS, which --pss never does not read",
                    "leave --pss out",
                ));
            }
            // The limit must be checked at every sample.
            Pss::Auto | Pss::Always => args.pss = Pss::Always,
        }
    }
    let mut outputs = Outputs::open(&args)?;
    // Before the command is launched: no signal may end memmon while a command depends on it.
    let mut session = Session::open(SessionOptions {
        tool: TOOL,
        launches: !args.command.is_empty(),
        draws: args.watch,
        writes_stdout: args.output.is_none() && !args.watch,
        count: args.repeat.count,
        duration: args.repeat.duration,
    })?;
    let uses_proc = cfg!(target_os = "linux") && args.source != Some(SourceKind::Sysinfo);
    // Before the launch, to see the command's first children.
    let connector = if args.no_connector || !uses_proc { None } else { connect() };
    if !args.command.is_empty() {
        session.launch(&args.command, |plan| command_output(&args, &plan.name))?;
    }
    let mut source = open_source(&args, connector)?;
    let launched = session.command().map(Launched::pid);
    let roots = match launched {
        // A command that exited already is no root; its exit is reported when it is reaped.
        Some(pid) => source.find(pid).into_iter().collect(),
        None => find_roots(&args, source.as_mut())?,
    };
    let first = roots.first().map(|found| found.id.pid).or(launched).unwrap_or(0);
    if let Some(note) = outputs.open_save(&args, first)? {
        say(TOOL, &note);
    }
    if args.watch {
        outputs.open_screen(launched.is_none())?;
    }
    let interval = args.repeat.interval;
    let options = SamplerOptions {
        interval,
        pss: args.pss,
        cmdline: !args.no_cmdline,
        start_ticks: uses_proc,
        adopts: cfg!(target_os = "linux") && launched.is_some(),
    };
    check_conditions(&args.at, source.as_mut(), &roots)?;
    let sampler = Sampler::new(source, options, Run::start(), &roots);
    Monitor::new(&args, session, sampler, outputs).run(interval)
}

/// Checks that the system has the values that conditions need: otherwise they would never become true.
fn check_conditions(
    at: &[Trigger],
    source: &mut dyn ProcessSource,
    roots: &[ProcessEntry],
) -> Result<(), Failure> {
    let needs = Needs::of(at.iter());
    for root in roots {
        if needs.pressure && source.pressure_of(root.id).is_none() {
            return Err(Failure::new(
                "--at pressure: this kernel does not measure memory pressure (PSI)",
                "boot it with psi=1, or use a share of the limit: --at 80%",
            ));
        }
        if needs.counts && source.counts(root.id).fds.is_none() && source.find(root.id.pid).is_ok() {
            return Err(Failure::new(
                format!("--at fds, threads: the descriptors of pid {} are not readable", root.id.pid),
                "run memmon as the user of the process, or as root (sudo)",
            ));
        }
    }
    Ok(())
}

/// Where the output of a command named `name` goes.
fn command_output(args: &Args, name: &str) -> Output {
    let prefix = args.prefix || args.record_output;
    if args.watch || prefix {
        Output::Relay(RelayOptions {
            tool: TOOL,
            to_stderr: !args.watch,
            name: prefix.then(|| name.to_owned()),
            keep: args.watch || args.record_output,
        })
    } else if args.output.is_some() {
        Output::Inherit
    } else {
        Output::ToStderr
    }
}

/// Subscribes to the kernel's process events, if that is permitted here.
fn connect() -> Option<Connector> {
    #[cfg(target_os = "linux")]
    return Connector::open().ok();
    #[cfg(not(target_os = "linux"))]
    None
}

fn open_source(args: &Args, connector: Option<Connector>) -> Result<Box<dyn ProcessSource>, Failure> {
    #[cfg(target_os = "linux")]
    if args.source != Some(SourceKind::Sysinfo) {
        let hint = "mount it: mount -t proc proc /proc";
        let source = LinuxSource::open(connector);
        return Ok(Box::new(source.map_err(|error| Failure::new(format!("/proc: {error}"), hint))?));
    }
    #[cfg(not(target_os = "linux"))]
    if args.source == Some(SourceKind::Linux) {
        return Err(Failure::new("this is not Linux", "leave --source out"));
    }
    let source = SysinfoSource::open();
    Ok(Box::new(source.map_err(|error| Failure::new(format!("cannot read processes: {error}"), ""))?))
}

fn find_roots(args: &Args, source: &mut dyn ProcessSource) -> Result<Vec<ProcessEntry>, Failure> {
    // From a source of its own: the first sample must find as new all that this search finds.
    let mut search = open_source(args, None)?;
    let roots = roots::find_roots(search.as_mut(), &args.pid, &args.name)?;
    // Events before the first sample do not belong to the run.
    let _ = source.kernel_events();
    Ok(roots)
}
