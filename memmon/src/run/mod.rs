//! The flow: arguments, a command or roots, samples until the end, and the exit code.

mod guard;
mod outputs;
mod watching;

use std::io;

use common::cli::Failure;
use common::record::Run;
use common::signal::{ENDING, Signals};
use common::stdio::say;
use rustix::process::Signal;

use self::outputs::Outputs;
use self::watching::Watching;
use crate::cli::{Args, Metric, Pss, SourceKind};
use crate::limit::Limits;
use crate::roots;
use crate::sample::{Options, Sampler};
#[cfg(target_os = "linux")]
use crate::source::linux::{Connector, LinuxSource};
use crate::source::sysinfo::SysinfoSource;
use crate::source::{Found, Source};
use common::launch::{self, Launched, Output, RelayOptions};
use common::wait::Waiter;

const TOOL: &str = "memmon";

/// Runs memmon with these arguments; the exit code.
///
/// # Errors
/// What cannot work here, in one line with a hint.
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
                    "--fail-above pss: cannot be held with --pss never",
                    "leave --pss out",
                ));
            }
            // A limit is no use if it looks at every tenth sample only.
            Pss::Auto | Pss::Always => args.pss = Pss::Always,
        }
    }
    let mut outputs = Outputs::open(&args)?;
    let trouble = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| Failure::new(format!("{what}: {error}"), "")
    };
    let launching = !args.command.is_empty();
    // Before the command is started, so that no signal finds us unprepared with a child to answer for.
    let signals =
        Signals::catch(&caught(&args), ending(&args)).map_err(trouble("signals cannot be caught"))?;
    #[cfg(target_os = "linux")]
    let connector = if args.no_connector || args.source == Some(SourceKind::Sysinfo) {
        None
    } else {
        Connector::open().ok()
    };
    let launched = if launching { Some(start(&args)?) } else { None };
    #[cfg(target_os = "linux")]
    let source = open_source(&args, connector)?;
    #[cfg(not(target_os = "linux"))]
    let source = open_source(&args)?;
    let (source, roots) = match &launched {
        Some(launched) => with_command(source, launched),
        None => with_roots(&args, source)?,
    };
    let first =
        roots.first().map_or_else(|| launched.as_ref().map_or(0, Launched::pid), |found| found.id.pid);
    if let Some(note) = outputs.open_save(&args, first)? {
        say(TOOL, &note);
    }
    if args.watch {
        outputs.open_screen(!launching)?;
    }
    let options = Options {
        interval: args.interval(),
        pss: args.pss,
        cmdline: !args.no_cmdline,
        start_ticks: cfg!(target_os = "linux") && args.source != Some(SourceKind::Sysinfo),
        adopts: cfg!(target_os = "linux") && launched.is_some(),
    };
    let waiter = Waiter::new(outputs.stdout());
    let limits = Limits::new(args.warn_growth, args.warn_rss, args.fail_above.clone());
    let sampler = Sampler::new(source, options, Run::start(), &roots);
    let mut watching = Watching::new(&args, signals, launched, sampler, outputs, limits, waiter);
    let ended = watching.watch(args.interval());
    watching.finish(ended)
}

/// What takes effect by itself if it comes twice: nothing, if it is a command's to decide, or if a terminal has to be given
/// back before.
fn ending(args: &Args) -> &'static [i32] {
    if args.watch || !args.command.is_empty() { &[] } else { &ENDING }
}

/// What is to be caught: the terminal's and the user's wishes, and with a command what it is to get of them.
fn caught(args: &Args) -> Vec<i32> {
    let mut numbers = launch::caught(!args.command.is_empty());
    if args.watch {
        numbers.extend([Signal::WINCH, Signal::TSTP].map(Signal::as_raw));
    }
    numbers
}

fn start(args: &Args) -> Result<Launched, Failure> {
    let prefix = args.prefix || args.record_output;
    launch::start(TOOL, &args.command, |plan| {
        if args.watch || prefix {
            Output::Relay(RelayOptions {
                tool: TOOL,
                to_stderr: !args.watch,
                name: prefix.then(|| plan.name.clone()),
                keep: args.watch || args.record_output,
            })
        } else if args.output.is_some() {
            Output::Inherit
        } else {
            Output::ToStderr
        }
    })
}

#[cfg(target_os = "linux")]
fn open_source(args: &Args, connector: Option<Connector>) -> Result<Box<dyn Source>, Failure> {
    if args.source == Some(SourceKind::Sysinfo) {
        return open_sysinfo();
    }
    match LinuxSource::open(connector) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::new(format!("/proc: {error}"), "mount it: mount -t proc proc /proc")),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_source(args: &Args) -> Result<Box<dyn Source>, Failure> {
    if args.source == Some(SourceKind::Linux) {
        return Err(Failure::new("this is not Linux", "leave --source out"));
    }
    open_sysinfo()
}

fn open_sysinfo() -> Result<Box<dyn Source>, Failure> {
    match SysinfoSource::open() {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(Failure::new(format!("processes cannot be seen: {error}"), "")),
    }
}

fn with_command(mut source: Box<dyn Source>, launched: &Launched) -> (Box<dyn Source>, Vec<Found>) {
    // One that has ended already leaves no root; its end is told when it is reaped.
    let roots = source.find(launched.pid()).into_iter().collect();
    (source, roots)
}

fn with_roots(args: &Args, mut source: Box<dyn Source>) -> Result<(Box<dyn Source>, Vec<Found>), Failure> {
    // By a source of its own: what this look finds, the first sample must find as well.
    let mut looking = {
        #[cfg(target_os = "linux")]
        {
            open_source(args, None)?
        }
        #[cfg(not(target_os = "linux"))]
        {
            open_source(args)?
        }
    };
    let roots = roots::find(looking.as_mut(), &args.pid, &args.name)?;
    for note in &roots.notes {
        say(TOOL, note);
    }
    // What happened so far is not news.
    let _ = source.happened();
    Ok((source, roots.found))
}
