//! The monitor: takes samples, handles events as they come, and ends the run.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::cli::Failure;
use common::launch::{self, Launched, Reaped};
use common::record::{EventKind, Header, MetricValue, OutputRecord, ProcessEvent, Record};
use common::session::{Session, SessionEvent, set_exit};
use common::stdio::{StatusLine, escape_controls, say};
use common::time::{Span, Stamp, Tick, Ticker};
use common::units::{Bytes, Change, counted};
use common::wait::{Ready, Sources};
use rustix::process::Signal;

use super::action::Action;
use super::event_limiter::EventLimiter;
use super::limit_guard::{missed_crossing, probe_ticker};
use super::next_step::{judge, search};
use super::outputs::Outputs;
use crate::cli::{Args, TOOL};
use crate::limits::Limits;
use crate::sample::Sampler;
use crate::triggers::Triggers;
use crate::watch::TerminalScreen;

/// Exit code for a crossed limit of `--fail-above`.
const EXIT_LIMIT: u8 = 1;

/// How long the output of a command that exited may take to reach stderr.
const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The target ended, the user asked, or the bounds were reached.
    Done,
    /// A limit was crossed.
    Limit,
}

/// A run of memmon from its first sample on.
pub(super) struct Monitor {
    record_output: bool,
    session: Session,
    sampler: Sampler,
    outputs: Outputs,
    limits: Limits,
    events: EventLimiter,
    triggers: Triggers,
    /// The command of `--run`.
    action: Option<Action>,
    /// When to read sizes between two samples.
    probes: Option<Ticker>,
    samples: u64,
    peak: Option<(u64, Stamp)>,
    stop: Option<Stop>,
    /// How the command ended.
    end: Option<ProcessEvent>,
    /// Messages for stderr, kept while a screen is shown.
    notes: Vec<String>,
    /// Shows the progress of a run whose samples go to a file.
    status: StatusLine,
    /// The first and the last line of such a run.
    file_notes: Option<(String, Option<String>)>,
}

impl Monitor {
    pub(super) fn new(args: &Args, session: Session, sampler: Sampler, outputs: Outputs) -> Self {
        Self {
            record_output: args.record_output,
            session,
            sampler,
            outputs,
            limits: Limits::new(args.warn_growth, args.warn_rss, args.fail_above.clone()),
            events: EventLimiter::new(Instant::now()),
            triggers: Triggers::new(args.at.clone(), args.every, Instant::now()),
            action: args.run.clone().map(|command| Action::new(command, args.output.clone())),
            probes: probe_ticker(!(args.fail_above.is_empty() && args.at.is_empty()), args.repeat.interval),
            samples: 0,
            peak: None,
            stop: None,
            end: None,
            notes: Vec::new(),
            status: StatusLine::new(args.output.is_some() && args.command.is_empty()),
            file_notes: args.output.as_ref().map(|path| {
                (format!("writes samples to {}", path.display()), judge(path, args.chosen_format()))
            }),
        }
    }

    /// Takes samples and handles events until there is a reason to stop. Returns the exit code.
    pub(super) fn run(mut self, interval: Duration) -> Result<u8, Failure> {
        self.session.begin();
        if let Some((begin, _)) = self.file_notes.as_ref().filter(|_| io::stderr().is_terminal()) {
            say(TOOL, begin);
        }
        let result = self.monitor(interval);
        self.finish(result)
    }

    fn monitor(&mut self, interval: Duration) -> Result<(), Failure> {
        let mut ticker = Ticker::new(Instant::now(), interval);
        while self.stop.is_none() {
            self.note_end_of_action();
            let now = Instant::now();
            let is_sampling = self.session.is_within_bounds(self.samples, now);
            if is_sampling {
                if let Some(tick) = ticker.fire(now) {
                    self.sample(&tick)?;
                    continue;
                }
                if self.probes.as_mut().and_then(|probes| probes.fire(now)).is_some() {
                    self.probe(ticker.deadline())?;
                    continue;
                }
            }
            let is_over = !is_sampling || self.sampler.has_ended() || !self.outputs.is_open();
            if self.session.command().is_none() && is_over {
                self.stop = Some(Stop::Done);
                continue;
            }
            self.session.watch_exits(self.sampler.living_roots());
            let next_probe = self.probes.as_ref().map(Ticker::deadline);
            let times = [Some(ticker.deadline()), self.session.end_time(), next_probe];
            let deadline = times.into_iter().flatten().min().filter(|_| is_sampling);
            let ready = self.wait(deadline)?;
            self.handle(ready);
        }
        Ok(())
    }

    fn sample(&mut self, tick: &Tick) -> Result<(), Failure> {
        let records = self.sampler.sample(tick).map_err(listing_failed)?;
        self.samples += 1;
        let total = records.iter().filter_map(|record| match record {
            Record::Process(process) => Some(process.total_rss_bytes),
            _ => None,
        });
        let total = Bytes(total.fold(0, u64::saturating_add));
        self.take_sampled(records);
        self.check_triggers();
        let number = counted(self.samples, "sample", "samples");
        self.status.show(&format!("{TOOL}: {number} in {}, {total} …", Span(self.session.began().elapsed())));
        self.outputs.draw();
        Ok(())
    }

    /// Checks between two samples whether a limit is crossed. If so, the next sample is taken now.
    fn probe(&mut self, due: Instant) -> Result<(), Failure> {
        let (records, usage) = self.sampler.probe_usage().map_err(listing_failed)?;
        self.take_sampled(records);
        if self.stop.is_none() && self.limits.is_above(&usage) {
            let due = due.saturating_duration_since(self.session.began());
            self.sample(&Tick { due, late: Duration::ZERO, missed: 0 })?;
        } else {
            self.check_triggers();
        }
        Ok(())
    }

    /// Starts the command of `--run` if a condition of `--at` became true.
    fn check_triggers(&mut self) {
        let Some(action) = self.action.as_mut() else { return };
        let may_fire = action.running().is_none() && self.stop.is_none();
        let sizes = self.sampler.tree_sizes(self.triggers.needs());
        if let Some(fired) = self.triggers.check(&sizes, Instant::now(), may_fire) {
            self.notes.push(action.start(&fired));
            let event = fired.event(self.sampler.header());
            self.take(vec![Record::ProcessEvent(Box::new(event))]);
        }
    }

    fn note_end_of_action(&mut self) {
        if let Some(note) = self.action.as_mut().and_then(Action::ended) {
            self.notes.push(note);
            self.print_notes();
        }
    }

    /// Waits for a command of `--run` that still runs.
    fn wait_for_action(&mut self) {
        let Some(action) = self.action.as_mut() else { return };
        let Some(pid) = action.running() else { return };
        say(TOOL, &format!("waits for the command of --run (pid {pid}); Ctrl-C leaves it alone"));
        self.notes.extend(action.wait());
        self.print_notes();
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let stdin = io::stdin();
        let reads_keys = self.outputs.screen.writer().is_some() && self.session.command().is_none();
        let sources = Sources {
            // After the last sample only the command's exit matters.
            kernel: self.sampler.event_fd().filter(|_| deadline.is_some()),
            keys: reads_keys.then(|| stdin.as_fd()),
            ..Sources::default()
        };
        self.session.wait(sources, deadline)
    }

    fn handle(&mut self, ready: Ready) {
        if ready.stdout_closed {
            self.outputs.log.close();
        }
        if ready.kernel {
            let records = self.sampler.read_kernel_events();
            self.take_sampled(records);
        }
        if ready.output {
            let lines = self.session.command().and_then(Launched::relay).map(launch::Relay::lines);
            lines.into_iter().for_each(|lines| self.take_lines(lines));
        }
        if ready.process_exited {
            let records = self.sampler.collect_exits();
            self.take_sampled(records);
        }
        while let Some(event) = self.session.next_event() {
            match event {
                SessionEvent::ChildExited => {
                    let reaped = self.reap();
                    self.take_reaped(&reaped);
                }
                SessionEvent::Resized => self.outputs.draw(),
                SessionEvent::SuspendRequested => self.suspend(),
                SessionEvent::StopRequested => self.stop = Some(Stop::Done),
            }
        }
        if ready.key {
            match self.outputs.screen.writer().map(TerminalScreen::keys) {
                Some(Ok(true) | Err(_)) => self.stop = Some(Stop::Done),
                _ => self.outputs.draw(),
            }
        }
    }

    /// Restores the terminal while memmon is suspended.
    fn suspend(&mut self) {
        if let Some(screen) = self.outputs.screen.writer() {
            let _ = screen.suspend();
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        // Continued.
        if let Some(screen) = self.outputs.screen.writer() {
            let _ = screen.resume();
        }
        self.outputs.draw();
    }

    fn reap(&mut self) -> Vec<Reaped> {
        let reaped = self.session.reap();
        if self.session.command_has_exited() {
            // A limit that was crossed stays crossed.
            self.stop.get_or_insert(Stop::Done);
        }
        reaped
    }

    /// Writes records of the sampler. It may see the exit of a child before SIGCHLD arrives: then only reaping gives the status.
    fn take_sampled(&mut self, mut records: Vec<Record>) {
        let mut unknown: Vec<&mut ProcessEvent> =
            records.iter_mut().filter_map(exit_without_status).collect();
        let mut reaped = if unknown.is_empty() { Vec::new() } else { self.reap() };
        reaped.retain(|child| match unknown.iter_mut().find(|event| event.pid == child.pid) {
            Some(event) => {
                set_exit(event, child.status);
                false
            }
            None => true,
        });
        self.take(records);
        self.take_reaped(&reaped);
    }

    fn take_reaped(&mut self, reaped: &[Reaped]) {
        let Some(command) = self.session.command().map(Launched::pid).filter(|_| !reaped.is_empty()) else {
            return;
        };
        let was_seen = self.sampler.has_root(command);
        reaped.iter().for_each(|child| self.sampler.reaped(child));
        let mut records = self.sampler.collect_exits();
        if !was_seen && reaped.iter().any(|child| child.pid == command) {
            // It exited before the first sample: only its status is known.
            let event = self.session.command_exit(self.sampler.header());
            records.extend(event.map(|event| Record::ProcessEvent(Box::new(event))));
        }
        self.take(records);
    }

    /// Takes the command's output, as records and for the screen.
    fn take_lines(&mut self, lines: launch::Lines) {
        let mut records = Vec::new();
        for line in lines.lines {
            let text = String::from_utf8_lossy(&line.bytes).into_owned();
            if let Some(screen) = self.outputs.screen.writer() {
                screen.take_output(&text);
            }
            if self.record_output {
                let header = Header { timestamp: line.read_at(), ..self.sampler.header() };
                records.push(Record::Output(OutputRecord::new(header, line.stream, text)));
            }
        }
        if lines.lost.bytes > 0 {
            self.notes
                .push(format!("{} lines of the command's output are missing from the log", lines.lost.lines));
        }
        self.take(records);
    }

    /// Writes records, and checks whether they cross a limit.
    fn take(&mut self, mut records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let command = self.session.command().map(Launched::pid);
        let mut events = Vec::new();
        for record in &records {
            let process = match record {
                Record::Process(process) => process,
                Record::ProcessEvent(event) => {
                    match event.event {
                        EventKind::Replaced => self.limits.replaced(event.root_pid, event.pid),
                        EventKind::Exited if Some(event.pid) == command => self.end = Some((**event).clone()),
                        _ => {}
                    }
                    continue;
                }
                _ => continue,
            };
            let total = process.total_rss_bytes;
            if self.peak.is_none_or(|(peak, _)| total > peak) {
                self.peak = Some((total, process.timestamp));
            }
            let check = self.limits.check(process);
            if check.failed {
                self.stop = Some(Stop::Limit);
                if let Some(crossed) = check.events.last() {
                    self.notes.push(crossed_limit(crossed));
                }
            }
            events.extend(check.events.into_iter().map(|event| Record::ProcessEvent(Box::new(event))));
        }
        records.append(&mut events);
        let records = self.events.limit(records, Instant::now());
        self.write(&records);
    }

    fn write(&mut self, records: &[Record]) {
        self.notes.extend(self.outputs.record(records));
        self.print_notes();
    }

    /// Checks whether the exited command crossed a limit between two readings.
    fn check_missed_peak(&mut self) {
        let (Some(command), Some(end)) = (self.session.command(), self.end.take()) else { return };
        let (largest, own) = (command.max_rss_bytes(), launch::own_peak_bytes());
        if let Some(event) = missed_crossing(&self.limits, largest, own, end) {
            self.notes.push(crossed_limit(&event));
            self.take(vec![Record::ProcessEvent(Box::new(event))]);
            self.stop = Some(Stop::Limit);
        }
    }

    /// Prints messages to stderr, unless a screen is shown.
    fn print_notes(&mut self) {
        if self.outputs.screen.writer().is_none() {
            if !self.notes.is_empty() {
                self.status.clear();
            }
            for note in self.notes.drain(..) {
                say(TOOL, &note);
            }
        }
    }

    /// Ends the run, and the command if it must not go on. Returns the exit code.
    fn finish(mut self, result: Result<(), Failure>) -> Result<u8, Failure> {
        if self.stop == Some(Stop::Limit) || result.is_err() {
            self.end_command();
        }
        if self.stop == Some(Stop::Done) {
            self.check_missed_peak();
        }
        let omitted = self.events.finish(&self.sampler.header());
        self.write(&omitted);
        self.outputs.screen.close();
        self.status.clear();
        // Only after the terminal was given back: a second Ctrl-C now ends memmon at once.
        self.session.restore_default_signals();
        self.wait_for_action();
        if let Some(mut relay) = self.session.command_mut().and_then(Launched::take_relay) {
            let lost = relay.finish(RELAY_TIMEOUT).lost;
            if lost.bytes > 0 {
                let lines = lost.lines;
                self.notes.push(format!(
                    "{lines} lines of the command's output were not shown: stderr was not read"
                ));
            }
            self.take_lines(relay.lines());
        }
        let (saved, problem) = self.outputs.finish();
        self.notes.extend(problem);
        self.print_notes();
        self.session.report_leftovers(None);
        if (self.outputs.to_terminal || self.status.is_enabled()) && self.samples > 0 {
            let peak = self
                .peak
                .map(|(peak, at)| format!(", at most {} in all, at {}", Bytes(peak), at.format("%H:%M:%S")));
            self.session.report_summary(self.samples, ["sample", "samples"], &peak.unwrap_or_default());
        }
        for path in saved {
            say(TOOL, &format!("saved {}", path.display()));
        }
        result?;
        if io::stderr().is_terminal() && self.samples > 0 {
            let (written, shown) = (self.file_notes.take(), self.outputs.to_terminal);
            let step = match written {
                Some((_, step)) => step,
                None if shown => self.sampler.living_roots().find_map(|root| search(root.pid)),
                None => None,
            };
            step.into_iter().for_each(|step| say(TOOL, &step));
        }
        if self.stop == Some(Stop::Limit) {
            return Ok(EXIT_LIMIT);
        }
        self.session.exit_code(0, self.outputs.take_failure())
    }

    /// Ends a command that still runs.
    fn end_command(&mut self) {
        if self.session.command_has_exited() {
            return;
        }
        let Some(command) = self.session.command_mut() else { return };
        let done = command.terminate(launch::GRACE, |_| {});
        self.take_reaped(&done.reaped);
        if !done.killed.is_empty() {
            let n = done.killed.len();
            self.notes
                .push(format!("{n} of the command's processes did not exit after SIGTERM and were killed"));
        }
        if !done.survivors.is_empty() {
            self.notes.push(format!("these processes could not be killed: {:?}", done.survivors));
        }
    }
}

fn listing_failed(error: io::Error) -> Failure {
    Failure::new(format!("cannot list processes: {error}"), "is /proc mounted?")
}

fn crossed_limit(event: &ProcessEvent) -> String {
    let metric = event.metric.map(|metric| metric.to_string()).unwrap_or_default();
    let name = event.name.as_deref().unwrap_or_default();
    let text = |value: Option<MetricValue>| value.map(|value| value.to_string()).unwrap_or_default();
    let growth = event.growth_bytes.map_or(String::new(), |growth| format!(", {} of growth", Change(growth)));
    // A number is that of one process.
    let own = event.own_bytes.map_or(String::new(), |own| format!(": {}{growth}", Bytes(own)));
    format!(
        "limit crossed: {metric} {} is above {}; most by {} (pid {}){own}",
        text(event.value()),
        text(event.limit()),
        escape_controls(name),
        event.pid,
    )
}

fn exit_without_status(record: &mut Record) -> Option<&mut ProcessEvent> {
    let Record::ProcessEvent(event) = record else { return None };
    let is_known = event.exit_code.is_some() || event.signal.is_some();
    (event.event == EventKind::Exited && !is_known).then_some(event)
}
