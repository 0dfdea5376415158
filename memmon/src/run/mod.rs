//! The flow: arguments, a command or roots, samples until the end, and the exit code.

mod outputs;
mod wait;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::cli::Failure;
use common::record::{EventKind, Header, OutputRecord, ProcessEvent, Record, Run};
use common::signal::Signals;
use common::stdio::{escape_controls, say};
use common::time::{Span, Stamp, Ticker};
use common::units::Bytes;
use rustix::process::Signal;

use self::outputs::Outputs;
use self::wait::{Ready, Sources, Waiter};
use crate::cli::{Args, Metric, Pss, SourceKind};
use crate::launch::{self, Ended, Launched, Output, Reaped, RelayOptions};
use crate::limit::Limits;
use crate::roots;
use crate::sample::{Options, Sampler};
#[cfg(target_os = "linux")]
use crate::source::linux::{Connector, LinuxSource};
use crate::source::sysinfo::SysinfoSource;
use crate::source::{Found, Source};
use crate::watch::Action;

const TOOL: &str = "memmon";

/// Exit code for a crossed limit of `--fail-above`.
const EXIT_LIMIT: u8 = 1;

/// How long what a command printed may take to reach stderr after its end.
const RELAY_PATIENCE: Duration = Duration::from_secs(2);

/// Runs memmon with these arguments; the exit code.
///
/// # Errors
/// What cannot work here, in one line with a hint.
pub fn run(mut args: Args) -> Result<u8, Failure> {
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
    let signals = Signals::catch(&caught(&args)).map_err(trouble("signals cannot be caught"))?;
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
    };
    let waiter = Waiter::new(outputs.stdout());
    let limits = Limits::new(args.warn_growth, args.warn_rss, args.fail_above.clone());
    let sampler = Sampler::new(source, options, Run::start(), &roots);
    let mut watching = Watching {
        record_output: args.record_output,
        most: args.repeat.count.unwrap_or(u64::MAX),
        until: args.repeat.duration.and_then(|duration| Instant::now().checked_add(duration)),
        signals,
        launched,
        sampler,
        outputs,
        limits,
        waiter,
        began: Instant::now(),
        samples: 0,
        peak: None,
        stop: None,
        notes: Vec::new(),
    };
    let ended = watching.watch(args.interval());
    watching.finish(ended)
}

/// What is to be caught: the terminal's and the user's wishes, and with a command what it is to get of them.
fn caught(args: &Args) -> Vec<i32> {
    let mut signals = vec![Signal::INT, Signal::TERM, Signal::HUP];
    if args.watch {
        signals.extend([Signal::WINCH, Signal::TSTP]);
    }
    let mut numbers: Vec<i32> = signals.iter().map(|signal| signal.as_raw()).collect();
    if !args.command.is_empty() {
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
    let prefix = args.prefix || args.record_output;
    let output = if args.watch || prefix {
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
    };
    Launched::spawn(&plan, output)
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

/// Why the watching ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The target ended, the user asked, or enough was seen.
    Done,
    /// A limit was crossed.
    Limit,
}

struct Watching {
    record_output: bool,
    most: u64,
    until: Option<Instant>,
    signals: Signals,
    launched: Option<Launched>,
    sampler: Sampler,
    outputs: Outputs,
    limits: Limits,
    waiter: Waiter,
    began: Instant,
    samples: u64,
    peak: Option<(u64, Stamp)>,
    stop: Option<Stop>,
    /// For stderr once the screen is gone.
    notes: Vec<String>,
}

impl Watching {
    fn watch(&mut self, interval: Duration) -> Result<(), Failure> {
        let mut ticker = Ticker::new(Instant::now(), interval);
        while self.stop.is_none() {
            let now = Instant::now();
            if self.is_sampling(now) {
                if let Some(tick) = ticker.fire(now) {
                    let listed = |error| {
                        Failure::new(format!("processes cannot be listed: {error}"), "is /proc mounted?")
                    };
                    let records = self.sampler.sample(&tick).map_err(listed)?;
                    self.samples += 1;
                    self.take(records);
                    self.outputs.draw();
                    continue;
                }
            } else if self.launched.is_none() {
                self.stop = Some(Stop::Done);
                continue;
            }
            if self.launched.is_none() && (self.sampler.has_ended() || !self.outputs.is_open()) {
                self.stop = Some(Stop::Done);
                continue;
            }
            self.waiter.watch_ends(self.sampler.living_roots());
            let deadline = if self.is_sampling(now) {
                Some(self.until.map_or(ticker.deadline(), |until| until.min(ticker.deadline())))
            } else {
                None
            };
            let ready = self.wait(deadline)?;
            self.attend(ready);
        }
        Ok(())
    }

    /// Whether samples are still wanted: a command may outlive them.
    fn is_sampling(&self, now: Instant) -> bool {
        self.samples < self.most && self.until.is_none_or(|until| now < until)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let relay = self.launched.as_ref().and_then(Launched::relay);
        let stdin = io::stdin();
        let keys = self.outputs.screen().is_some() && self.launched.is_none();
        let sources = Sources {
            signals: Some(self.signals.as_fd()),
            kernel: self.sampler.wake(),
            output: relay.map(AsFd::as_fd),
            keys: keys.then(|| stdin.as_fd()),
        };
        self.waiter
            .wait(&sources, deadline)
            .map_err(|error| Failure::new(format!("waiting failed: {error}"), ""))
    }

    fn attend(&mut self, ready: Ready) {
        if ready.stdout_closed {
            self.outputs.close_main();
        }
        if ready.kernel {
            let records = self.sampler.listen();
            self.take(records);
        }
        if ready.output {
            self.take_output();
        }
        if ready.root_ended {
            let records = self.sampler.look_for_ends();
            self.take(records);
        }
        while let Some(received) = self.signals.next() {
            let number = received.number;
            if number == Signal::CHILD.as_raw() {
                self.reap();
            } else if number == Signal::WINCH.as_raw() {
                self.outputs.draw();
            } else if number == Signal::TSTP.as_raw() {
                self.suspend();
            } else if let Some(launched) = &self.launched {
                // The command decides; we end when it does.
                launched.forward(received);
            } else {
                self.signals.lose_patience();
                self.stop = Some(Stop::Done);
            }
        }
        if ready.key {
            match self.outputs.screen().map(crate::watch::Screen::keys) {
                Some(Ok(Some(Action::Quit)) | Err(_)) => self.stop = Some(Stop::Done),
                _ => self.outputs.draw(),
            }
        }
    }

    /// Gives the terminal back while we are suspended.
    fn suspend(&mut self) {
        if let Some(screen) = self.outputs.screen() {
            let _ = screen.suspend();
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        // Continued.
        if let Some(screen) = self.outputs.screen() {
            let _ = screen.resume();
        }
        self.outputs.draw();
    }

    /// Takes note of processes that ended: the command, and orphans that became ours.
    fn reap(&mut self) {
        let Some(launched) = &mut self.launched else { return };
        let reaped = launched.reap(|_| {});
        let ended = launched.ended();
        self.note(&reaped);
        if ended.is_some() {
            self.stop = Some(Stop::Done);
        }
    }

    fn note(&mut self, reaped: &[Reaped]) {
        let Some(launched) = &self.launched else { return };
        let command = launched.pid();
        let known = self.sampler.has_root(command);
        for ended in reaped {
            if let Some(status) = wait_status(ended.status) {
                self.sampler.reaped(ended.pid, status);
            }
        }
        let mut records = self.sampler.look_for_ends();
        if !known && let Some(ended) = reaped.iter().find(|ended| ended.pid == command) {
            // It was over before the first sample: all that can be told is how.
            let mut event = ProcessEvent::new(self.sampler.header(), EventKind::Exited, command, command);
            match ended.status {
                Ended::Exited(code) => event.exit_code = Some(code),
                Ended::Signaled { signal, .. } => event.signal = Some(signal),
                Ended::Unknown => {}
            }
            records.push(Record::ProcessEvent(Box::new(event)));
        }
        self.take(records);
    }

    /// What the command printed, as records and on the screen.
    fn take_output(&mut self) {
        if let Some(relay) = self.launched.as_ref().and_then(Launched::relay) {
            let lines = relay.lines();
            self.take_lines(lines);
        }
    }

    fn take_lines(&mut self, lines: launch::Lines) {
        let mut records = Vec::new();
        for line in lines.lines {
            let text = String::from_utf8_lossy(&line.bytes).into_owned();
            if let Some(screen) = self.outputs.screen() {
                screen.take_output(&text);
            }
            if self.record_output {
                let header = Header { timestamp: line.read_at(), ..self.sampler.header() };
                records.push(Record::Output(OutputRecord::new(header, line.stream, text)));
            }
        }
        if lines.lost.bytes > 0 {
            self.notes
                .push(format!("{} lines of the command's output are missing in the log", lines.lost.lines));
        }
        self.take(records);
    }

    /// Gives records out, and looks whether they cross a limit.
    fn take(&mut self, mut records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let mut events = Vec::new();
        for record in &records {
            if let Record::ProcessEvent(event) = record
                && event.event == EventKind::Replaced
            {
                self.limits.replaced(event.root_pid, event.pid);
            }
            let Record::Process(process) = record else { continue };
            let total = process.total_rss_bytes;
            if self.peak.is_none_or(|(peak, _)| total > peak) {
                self.peak = Some((total, process.timestamp));
            }
            let verdict = self.limits.check(process);
            if verdict.failed {
                self.stop = Some(Stop::Limit);
                if let Some(crossed) = verdict.events.last() {
                    self.notes.push(crossed_limit(crossed));
                }
            }
            events.extend(verdict.events.into_iter().map(|event| Record::ProcessEvent(Box::new(event))));
        }
        records.append(&mut events);
        for line in self.outputs.record(&records) {
            self.notes.push(line);
        }
        self.say_notes();
    }

    /// Says on stderr what there is to say, unless a screen is in the way.
    fn say_notes(&mut self) {
        if self.outputs.screen().is_none() {
            for note in self.notes.drain(..) {
                say(TOOL, &note);
            }
        }
    }

    /// The end: the command's too, if it still runs. The exit code.
    fn finish(mut self, watched: Result<(), Failure>) -> Result<u8, Failure> {
        if self.stop == Some(Stop::Limit) || watched.is_err() {
            self.end_command();
        }
        if let Some(relay) = self.launched.as_mut().and_then(Launched::take_relay) {
            self.finish_relay(relay);
        }
        let saved = self.outputs.finish();
        self.say_notes();
        if let Some(launched) = &self.launched {
            let left = launched.leftovers().len();
            if left > 0 {
                let noun = if left == 1 { "process" } else { "processes" };
                say(TOOL, &format!("{left} {noun} that the command started still run; they were left alone"));
            }
        }
        if self.outputs.to_terminal() && self.samples > 0 {
            say(TOOL, &self.summary());
        }
        for path in saved.iter().flatten() {
            say(TOOL, &format!("saved {}", path.display()));
        }
        watched?;
        if self.stop == Some(Stop::Limit) {
            return Ok(EXIT_LIMIT);
        }
        match (&self.launched, self.outputs.take_failure()) {
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(0),
            (Some(launched), failure) => {
                // The command's status is what the caller asked for; that our own output failed is said, not returned.
                if let Some(failure) = failure {
                    say(TOOL, &failure.what);
                }
                Ok(launched.ended().map_or(common::cli::EXIT_TROUBLE, Ended::exit_status))
            }
        }
    }

    /// Ends a command that runs still.
    fn end_command(&mut self) {
        let Some(launched) = &mut self.launched else { return };
        if launched.ended().is_some() {
            return;
        }
        let done = launched.terminate(launch::GRACE, |_| {});
        self.note(&done.reaped);
        if !done.killed.is_empty() {
            let n = done.killed.len();
            self.notes.push(format!("{n} of the command's processes did not end at SIGTERM and were killed"));
        }
        if !done.survivors.is_empty() {
            self.notes.push(format!("these processes could not be ended: {:?}", done.survivors));
        }
    }

    fn finish_relay(&mut self, mut relay: launch::Relay) {
        let finished = relay.finish(RELAY_PATIENCE);
        if finished.lost.bytes > 0 {
            let lines = finished.lost.lines;
            self.notes
                .push(format!("{lines} lines of the command's output were not shown: stderr was not read"));
        }
        let lines = relay.lines();
        self.take_lines(lines);
    }

    fn summary(&self) -> String {
        let plural = if self.samples == 1 { "" } else { "s" };
        let mut text = format!("{} sample{plural} in {}", self.samples, Span(self.began.elapsed()));
        if let Some((peak, at)) = self.peak {
            text.push_str(&format!(", at most {} in all, at {}", Bytes(peak), at.format("%H:%M:%S")));
        }
        text
    }
}

fn crossed_limit(event: &ProcessEvent) -> String {
    let metric = event.metric.as_deref().unwrap_or_default();
    let name = event.name.as_deref().unwrap_or_default();
    let bytes = |value: Option<u64>| Bytes(value.unwrap_or(0));
    let growth = event
        .growth_bytes
        .map_or(String::new(), |growth| format!(", {} of growth", common::units::Change(growth)));
    format!(
        "limit crossed: {metric} {} is above {}; most by {} (pid {}): {}{growth}",
        bytes(event.value_bytes),
        bytes(event.limit_bytes),
        escape_controls(name),
        event.pid,
        bytes(event.own_bytes),
    )
}

/// As wait(2) encodes it.
fn wait_status(ended: Ended) -> Option<i32> {
    match ended {
        Ended::Exited(code) => Some((code & 0xff) << 8),
        Ended::Signaled { signal, .. } => Some(signal & 0x7f),
        Ended::Unknown => None,
    }
}
