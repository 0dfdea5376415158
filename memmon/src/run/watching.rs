//! Watching: what is attended to as it comes, and how it ends.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::cli::Failure;
use common::record::{EventKind, Header, OutputRecord, ProcessEvent, Record};
use common::signal::Signals;
use common::stdio::{escape_controls, say};
use common::time::{Span, Stamp, Tick, Ticker};
use common::units::{Bytes, Change};
use rustix::process::Signal;

use super::TOOL;
use super::guard::{self, Guard};
use super::outputs::Outputs;
use crate::cli::Args;
use crate::limit::Limits;
use crate::sample::Sampler;
use crate::watch::{Action, Screen};
use common::launch::{self, Ended, Launched, Reaped};
use common::wait::{Ready, Sources, Waiter};

/// Exit code for a crossed limit of `--fail-above`.
const EXIT_LIMIT: u8 = 1;

/// How long what a command printed may take to reach stderr after its end.
const RELAY_PATIENCE: Duration = Duration::from_secs(2);

/// Why the watching ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The target ended, the user asked, or enough was seen.
    Done,
    /// A limit was crossed.
    Limit,
}

/// A run of memmon from its first sample on.
pub(super) struct Watching {
    record_output: bool,
    most: u64,
    until: Option<Instant>,
    signals: Signals,
    launched: Option<Launched>,
    sampler: Sampler,
    outputs: Outputs,
    limits: Limits,
    guard: Guard,
    waiter: Waiter,
    began: Instant,
    samples: u64,
    peak: Option<(u64, Stamp)>,
    stop: Option<Stop>,
    /// How the command ended.
    end: Option<ProcessEvent>,
    /// For stderr once the screen is gone.
    notes: Vec<String>,
}

impl Watching {
    pub(super) fn new(
        args: &Args,
        signals: Signals,
        launched: Option<Launched>,
        sampler: Sampler,
        outputs: Outputs,
        limits: Limits,
        waiter: Waiter,
    ) -> Self {
        let began = Instant::now();
        Self {
            record_output: args.record_output,
            most: args.repeat.count.unwrap_or(u64::MAX),
            until: args.repeat.duration.and_then(|duration| began.checked_add(duration)),
            signals,
            launched,
            sampler,
            outputs,
            limits,
            guard: Guard::new(!args.fail_above.is_empty(), args.interval()),
            waiter,
            began,
            samples: 0,
            peak: None,
            stop: None,
            end: None,
            notes: Vec::new(),
        }
    }

    /// Samples and attends to everything until there is a reason to stop.
    pub(super) fn watch(&mut self, interval: Duration) -> Result<(), Failure> {
        let mut ticker = Ticker::new(Instant::now(), interval);
        while self.stop.is_none() {
            let now = Instant::now();
            if self.is_sampling(now) {
                if let Some(tick) = ticker.fire(now) {
                    self.sample(&tick)?;
                    continue;
                }
                if self.guard.is_due(now) {
                    self.probe(ticker.deadline())?;
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
                [Some(ticker.deadline()), self.until, self.guard.deadline()].into_iter().flatten().min()
            } else {
                None
            };
            let ready = self.wait(deadline)?;
            self.attend(ready);
        }
        Ok(())
    }

    fn sample(&mut self, tick: &Tick) -> Result<(), Failure> {
        let records = self.sampler.sample(tick).map_err(unlisted)?;
        self.samples += 1;
        self.take_sampled(records);
        self.outputs.draw();
        Ok(())
    }

    /// Looks between two samples whether a limit is crossed; if so, the next sample is taken now.
    fn probe(&mut self, due: Instant) -> Result<(), Failure> {
        let (records, heavy) = self.sampler.probe().map_err(unlisted)?;
        self.take_sampled(records);
        if self.stop.is_none() && guard::is_above(&self.limits, &heavy) {
            let due = due.saturating_duration_since(self.began);
            self.sample(&Tick { due, late: Duration::ZERO, missed: 0 })?;
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
            // Once enough was seen nothing more is told but the command's end.
            kernel: self.sampler.wake().filter(|_| deadline.is_some()),
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
            self.waiter.forget_stdout();
        }
        if ready.kernel {
            let records = self.sampler.listen();
            self.take_sampled(records);
        }
        if ready.output {
            self.take_output();
        }
        if ready.root_ended {
            let records = self.sampler.look_for_ends();
            self.take_sampled(records);
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
                self.stop = Some(Stop::Done);
            }
        }
        if ready.key {
            match self.outputs.screen().map(Screen::keys) {
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
        let reaped = self.reaped();
        self.note(&reaped);
    }

    fn reaped(&mut self) -> Vec<Reaped> {
        let Some(launched) = &mut self.launched else { return Vec::new() };
        let reaped = launched.reap(|_| {});
        if launched.ended().is_some() {
            // A limit that was crossed stays crossed.
            self.stop.get_or_insert(Stop::Done);
        }
        reaped
    }

    /// Gives out what the sampler found. It may have seen the end of a child of ours before we were told of it, and then not
    /// how it ended: that is only for the one who reaps it.
    fn take_sampled(&mut self, mut records: Vec<Record>) {
        let mut untold: Vec<&mut ProcessEvent> = records.iter_mut().filter_map(end_of_unknown_kind).collect();
        let mut reaped = if untold.is_empty() { Vec::new() } else { self.reaped() };
        reaped.retain(|ended| match untold.iter_mut().find(|event| event.pid == ended.pid) {
            Some(event) => {
                tell(event, ended.status);
                false
            }
            None => true,
        });
        self.take(records);
        if !reaped.is_empty() {
            self.note(&reaped);
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
            tell(&mut event, ended.status);
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
        if let Some(command) = self.launched.as_ref().map(Launched::pid) {
            self.end = guard::end_of(&records, command).cloned().or(self.end.take());
        }
        records.append(&mut events);
        for line in self.outputs.record(&records) {
            self.notes.push(line);
        }
        self.say_notes();
    }

    /// Whether the command, now that it has ended, had crossed a limit when nobody looked.
    fn look_back(&mut self) {
        let (Some(launched), Some(end)) = (&self.launched, self.end.take()) else { return };
        let (largest, own) = (launched.max_rss_bytes(), launch::own_peak_bytes());
        if let Some(event) = guard::crossed_unseen(&self.limits, largest, own, end) {
            self.notes.push(crossed_limit(&event));
            self.take(vec![Record::ProcessEvent(Box::new(event))]);
            self.stop = Some(Stop::Limit);
        }
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
    pub(super) fn finish(mut self, watched: Result<(), Failure>) -> Result<u8, Failure> {
        if self.stop == Some(Stop::Limit) || watched.is_err() {
            self.end_command();
        }
        if self.stop == Some(Stop::Done) {
            self.look_back();
        }
        self.outputs.close_screen();
        if self.launched.is_none() {
            // Only now that the terminal is given back: who asks twice gets an end at once.
            self.signals.lose_patience();
        }
        if let Some(relay) = self.launched.as_mut().and_then(Launched::take_relay) {
            self.finish_relay(relay);
        }
        let saved = self.outputs.finish();
        self.say_notes();
        if let Some(launched) = &self.launched {
            let left = launched.leftovers().len();
            if left > 0 {
                say(TOOL, &left_alone(left));
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

fn unlisted(error: io::Error) -> Failure {
    Failure::new(format!("processes cannot be listed: {error}"), "is /proc mounted?")
}

fn left_alone(processes: usize) -> String {
    match processes {
        1 => "1 process that the command started still runs; it was left alone".into(),
        _ => format!("{processes} processes that the command started still run; they were left alone"),
    }
}

fn crossed_limit(event: &ProcessEvent) -> String {
    let metric = event.metric.as_deref().unwrap_or_default();
    let name = event.name.as_deref().unwrap_or_default();
    let bytes = |value: Option<u64>| Bytes(value.unwrap_or(0));
    let growth = event.growth_bytes.map_or(String::new(), |growth| format!(", {} of growth", Change(growth)));
    format!(
        "limit crossed: {metric} {} is above {}; most by {} (pid {}): {}{growth}",
        bytes(event.value_bytes),
        bytes(event.limit_bytes),
        escape_controls(name),
        event.pid,
        bytes(event.own_bytes),
    )
}

fn end_of_unknown_kind(record: &mut Record) -> Option<&mut ProcessEvent> {
    let Record::ProcessEvent(event) = record else { return None };
    let is_told = event.exit_code.is_some() || event.signal.is_some();
    (event.event == EventKind::Exited && !is_told).then_some(event)
}

fn tell(event: &mut ProcessEvent, ended: Ended) {
    match ended {
        Ended::Exited(code) => event.exit_code = Some(code),
        Ended::Signaled { signal, .. } => event.signal = Some(signal),
        Ended::Unknown => {}
    }
}

/// As wait(2) encodes it.
fn wait_status(ended: Ended) -> Option<i32> {
    match ended {
        Ended::Exited(code) => Some((code & 0xff) << 8),
        Ended::Signaled { signal, .. } => Some(signal & 0x7f),
        Ended::Unknown => None,
    }
}
