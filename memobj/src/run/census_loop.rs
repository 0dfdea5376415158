//! The loop of a run: a census of each process per iteration, the events between them, and the end.

mod capture;
mod leak_watch;
mod write_watch;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::cli::Failure;
use common::launch::{Launched, Reaped};
use common::record::{ErrorRecord, EventKind, Header, ProcessEvent, Record, Run};
use common::session::{Session, SessionEvent, set_exit};
use common::stdio::{StatusLine, say};
use common::time::{Span, Ticker};
use common::units::counted;
use common::wait::{Ready, Sources};

use super::TOOL;
use super::census_worker::CensusWorker;
use super::iteration::{Iteration, nothing_counted, reason_of};
use super::leak_search::LeakSearch;
use super::missing_types::MissingTypes;
use super::next_step::next_step;
use super::outputs::Outputs;
use super::processes::{ProcessSet, ProcessSummary};
use super::tracker::Tracker;
use crate::census::Census;
use crate::config::{Config, Targets};
use crate::emit::summary::CensusSummary;
use memobj_cpython::stage;
use memobj_process::error::{Error, Stage};
use memobj_process::target::watchdog_pid;

/// The first and the longest pause between two attempts to count a command that is starting.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How long a starting command may be without an interpreter before the reason is reported, and how long a process that runs
/// another program now may be without one before it is given up.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// A run of memobj.
pub(super) struct CensusLoop<'a> {
    config: &'a Config,
    /// `None` during a census.
    worker: Option<CensusWorker<'a>>,
    outputs: Outputs,
    session: Session,
    run: Run,
    processes: ProcessSet,
    /// Processes below the roots that there was no time for, or whose census failed.
    unchecked: BTreeSet<u32>,
    /// The number of the last iteration; 0 before the first.
    iteration: u64,
    /// Censuses of all processes.
    censuses: u64,
    last_error: Option<Error>,
    stopped: bool,
    /// Whether a child may have exited.
    child_exited: bool,
    /// Whether the user asked for the end.
    interrupted: bool,
    /// Exits of children that are not reported yet.
    reaped: Vec<Reaped>,
    command_exit_reported: bool,
    leaks: Option<LeakSearch>,
    missing_types: MissingTypes,
    /// Shows the progress of a run whose output goes to files.
    status: StatusLine,
    /// The holder of the first leak that was found.
    leaking_holder: Option<Arc<str>>,
}

impl<'a> CensusLoop<'a> {
    pub fn new(config: &'a Config, worker: CensusWorker<'a>, outputs: Outputs, mut session: Session) -> Self {
        session.begin();
        let command = session.command().map(Launched::pid);
        let roots = match &config.targets {
            Targets::Processes(pids) => pids.clone(),
            Targets::Command(_) | Targets::File(_) => command.into_iter().collect(),
        };
        Self {
            processes: ProcessSet::new(&roots, config.tree || config.children, command.is_some()),
            unchecked: BTreeSet::new(),
            missing_types: MissingTypes::new(
                config.census.holders.as_ref().map_or(&[], |options| &options.why),
            ),
            leaks: config.leaks.then(|| LeakSearch::new(config.max_censuses, command.is_none())),
            config,
            worker: Some(worker),
            outputs,
            session,
            run: Run::start(),
            iteration: 0,
            censuses: 0,
            last_error: None,
            stopped: false,
            child_exited: false,
            interrupted: false,
            reaped: Vec::new(),
            command_exit_reported: false,
            status: StatusLine::new(config.output.is_some() && !config.leaks && command.is_none()),
            leaking_holder: None,
        }
    }

    /// Counts until there is a reason to stop; returns the exit code.
    pub fn run(mut self) -> Result<u8, Failure> {
        if let Some(files) = self.outputs.announce().filter(|_| io::stderr().is_terminal()) {
            say(TOOL, &files);
        }
        let counted = self.count_all();
        self.finish(counted)
    }

    fn count_all(&mut self) -> Result<(), Failure> {
        if let Some(options) = &self.config.watch {
            return self.watch_writes(options);
        }
        let first = match &self.config.targets {
            Targets::File(file) => return self.count_file(file),
            Targets::Processes(_) => self.count_first()?,
            Targets::Command(_) => self.wait_for_interpreter()?,
        };
        let Some(interval) = self.config.interval else { return Ok(()) };
        let mut ticker = Ticker::new(first, interval);
        ticker.fire(first);
        let mut due = self.next_census(&ticker, interval);
        self.watch_exits();
        while !self.stopped {
            let now = Instant::now();
            let counts = self.goes_on(&ticker, now);
            if self.session.command().is_none() && (!counts || self.processes.is_empty()) {
                return Ok(());
            }
            if !counts {
                self.watch_last_additions();
                self.conclude_leaks();
            }
            if counts && now >= due && ticker.fire(now).is_some() {
                let found = self.iterate();
                due = self.next_census(&ticker, interval.max(now.elapsed()));
                self.report_errors(&found, false);
                self.watch_exits();
                // If censuses take longer than the interval, there is no other moment for events.
                self.wait(Some(Instant::now()))?;
                continue;
            }
            if counts {
                self.watch_additions_until(due);
            }
            self.wait([Some(due), self.session.end_time()].into_iter().flatten().min().filter(|_| counts))?;
        }
        Ok(())
    }

    /// The first iteration of a run without a command, and its moment. Ends the run if it failed and later ones would, too.
    fn count_first(&mut self) -> Result<Instant, Failure> {
        let first = Instant::now();
        let found = self.iterate();
        let is_lasting = |error: &Error| {
            error.exited || matches!(error.stage, Stage::ATTACH | stage::LOCATE | stage::LAYOUT)
        };
        let may_succeed = self.config.interval.is_some() && !self.processes.is_empty();
        let error = found.errors.first().map(|(_, error)| error);
        let fatal = error.filter(|error| {
            found.censuses == 0 && !(may_succeed && (self.config.tree || !is_lasting(error)))
        });
        self.report_errors(&found, fatal.is_some());
        fatal.map_or(Ok(first), |error| Err(error.clone().into()))
    }

    /// Waits until a first census of the command succeeds; returns its moment.
    fn wait_for_interpreter(&mut self) -> Result<Instant, Failure> {
        let began = Instant::now();
        let (mut pause, max_pause) = RETRY_PAUSES;
        let mut reported = false;
        while !self.stopped && self.session.is_within_bounds(0, Instant::now()) {
            self.processes.refresh();
            let mut reason = None;
            for pid in self.processes.pids() {
                let first = Instant::now();
                match self.capture(pid) {
                    Ok(census) => {
                        let header = self.next_header();
                        self.write_process_census(header, pid, &census);
                        return Ok(first);
                    }
                    Err(error) => reason = reason.or(Some(error)),
                }
            }
            if let Some(reason) = reason.filter(|reason| !reason.exited) {
                if !reported && began.elapsed() >= GRACE_PERIOD {
                    say(TOOL, &format!("no Python to count yet: {}", reason_of(&reason)));
                    reported = true;
                }
                self.last_error = Some(reason);
            }
            self.wait(Some(Instant::now() + pause))?;
            pause = (pause * 2).min(max_pause);
        }
        Ok(began)
    }

    /// One iteration: a record for each process.
    fn iterate(&mut self) -> Iteration {
        let header = self.next_header();
        let mut found = Iteration::default();
        if self.iteration > 1 {
            self.refresh_processes(&header, &mut found);
        }
        let begun = Instant::now();
        for pid in self.processes.pids() {
            if self.interrupted {
                return found;
            }
            if self.has_time_for(pid, begun) {
                self.count_process(&header, pid, &mut found);
            } else {
                self.unchecked.insert(pid);
            }
        }
        if self.config.children && found.censuses > 0 {
            // The user may have named a shell or a server that only starts Python.
            found.errors.retain(|(_, error)| error.stage != stage::LOCATE);
        }
        if found.records == 0 && found.errors.is_empty() && !self.interrupted {
            // Each iteration has a record, even if nothing in the tree runs Python at the moment.
            let roots: Vec<String> = self.processes.roots().iter().map(u32::to_string).collect();
            let what = format!("no process at or below pid {} runs Python", roots.join(", "));
            let error = Error::new(stage::LOCATE, what, "see 'ps -ef --forest' for the processes there");
            found.errors.push((None, error));
        }
        found
    }

    /// Whether a process is counted in an iteration that began at `begun`. Its root, and what was counted before, always is.
    fn has_time_for(&mut self, pid: u32, begun: Instant) -> bool {
        let Some(process) = self.processes.get_mut(pid).filter(|_| self.config.children) else { return true };
        let is_known = process.info.counted || process.info.root == pid;
        is_known || self.config.interval.is_none_or(|interval| begun.elapsed() < interval / 2)
    }

    /// Counts one process; if that fails, finds out whether it exited or runs another program.
    fn count_process(&mut self, header: &Header, pid: u32, found: &mut Iteration) {
        let Some(before) = self.processes.get_mut(pid).map(|process| process.info.clone()) else { return };
        let mut census = self.capture(pid);
        if self.interrupted
            && let Err(error) = census
        {
            // Nothing is wrong with the process.
            self.last_error = Some(error);
            return;
        }
        if let Err(error) = &census {
            let (records, gone) = (found.records, error.exited);
            self.refresh_processes(header, found);
            match self.processes.get_mut(pid) {
                Some(_) if gone => census = self.capture(pid),
                Some(_) => {}
                // Its exit was reported, or is of no interest.
                None if found.records > records && self.iteration > 1 => return,
                None if pid != before.root => return,
                None => {}
            }
        }
        match census {
            Ok(census) => {
                self.write_process_census(header.clone(), pid, &census);
                found.censuses += 1;
                found.records += 1;
            }
            // A tree may contain any program.
            Err(error)
                if !before.counted
                    && error.stage == stage::LOCATE
                    && (self.config.tree || pid != before.root) => {}
            Err(_) if self.config.children && !before.counted && pid != before.root => {
                self.unchecked.insert(pid);
            }
            Err(error) => {
                let replaced = self.processes.get_mut(pid).and_then(|process| process.replaced);
                let is_late = replaced.is_some_and(|since| since.elapsed() >= GRACE_PERIOD);
                if is_late && error.stage == stage::LOCATE && self.session.command().is_none() {
                    // Its program is not Python any more.
                    let process = self.processes.remove(pid);
                    self.finish_leaks(process.map(|process| process.tracker));
                }
                found.errors.push((Some(pid), error));
            }
        }
    }

    fn write_process_census(&mut self, header: Header, pid: u32, census: &Census) {
        self.censuses += 1;
        let Some(process) = self.processes.get_mut(pid) else { return };
        (process.info.counted, process.replaced) = (true, None);
        self.unchecked.remove(&pid);
        let root = Some(process.info.root);
        let mut tracker = std::mem::take(&mut process.tracker);
        self.write_census(header, root, census, &mut tracker);
        if let Some(process) = self.processes.get_mut(pid) {
            process.tracker = tracker;
        }
    }

    fn write_census(&mut self, header: Header, root: Option<u32>, census: &Census, tracker: &mut Tracker) {
        if let Some(leaks) = &mut self.leaks {
            return leaks.note(root, census, tracker, self.config.census.cmdline);
        }
        self.missing_types.note(census);
        let summary = CensusSummary::new(census);
        let cmdline = self.config.census.cmdline;
        let record = tracker.recorder.record(header, census, &summary, root, cmdline);
        self.outputs.census(record, census, summary, &mut tracker.text);
        let number = counted(self.censuses, "census", "censuses");
        self.status.show(&format!("{TOOL}: {number} in {} …", Span(self.session.began().elapsed())));
    }

    /// Writes the verdicts on leaks, once; returns their exit code, or 0 without a search.
    fn conclude_leaks(&mut self) -> u8 {
        let Some(leaks) = &mut self.leaks else { return 0 };
        let trackers = self.processes.iter().map(|process| &process.tracker);
        let header = || Header::now(&self.run, self.iteration.max(1));
        let unchecked = self.processes.count_python(&self.unchecked);
        let records = leaks.conclude(trackers, header, &unchecked, self.config.children);
        let found = records.iter().flat_map(|record| &record.leaks).map(|leak| &leak.holder).next();
        self.leaking_holder = self.leaking_holder.take().or_else(|| found.cloned());
        self.outputs.leaks(records);
        leaks.exit_code()
    }

    fn finish_leaks(&mut self, trackers: impl IntoIterator<Item = Tracker>) {
        if let Some(leaks) = &mut self.leaks {
            trackers.into_iter().for_each(|tracker| leaks.finish(tracker));
        }
    }

    fn next_header(&mut self) -> Header {
        self.iteration += 1;
        self.header()
    }

    fn header(&self) -> Header {
        Header::now(&self.run, self.iteration.max(1))
    }

    fn report_errors(&mut self, found: &Iteration, ends_run: bool) {
        found.errors.iter().for_each(|(pid, error)| self.report_error(*pid, error, ends_run));
    }

    /// Writes an error record for a census that failed; in a search for leaks the first time only.
    fn report_error(&mut self, pid: Option<u32>, error: &Error, ends_run: bool) {
        self.last_error = Some(error.clone());
        if self.leaks.as_mut().is_none_or(|leaks| leaks.is_first(pid, &error.message)) {
            let hint = Some(error.hint.clone()).filter(|hint| !hint.is_empty());
            let record = ErrorRecord::new(self.header(), error.stage.as_str(), error.message.clone());
            self.outputs.error(ErrorRecord { hint, pid, ..record }, ends_run);
        }
    }

    /// Finds out which processes exited or run another program, and writes events for them.
    fn refresh_processes(&mut self, header: &Header, found: &mut Iteration) {
        let changes = self.processes.refresh();
        if !changes.ended.is_empty() {
            self.reap();
        }
        for process in &changes.ended {
            self.report_change(header, EventKind::Exited, &process.info, found);
        }
        for info in &changes.replaced {
            self.report_change(header, EventKind::Replaced, info, found);
        }
        // A process number may be used again once its exit is reported.
        self.reaped.retain(|reaped| changes.ended.iter().all(|process| process.info.id.pid != reaped.pid));
        self.finish_leaks(changes.ended.into_iter().map(|process| process.tracker));
    }

    fn report_change(
        &mut self,
        header: &Header,
        kind: EventKind,
        info: &ProcessSummary,
        found: &mut Iteration,
    ) {
        let pid = info.id.pid;
        // In a tree there are many short-lived programs other than Python; and what never existed does not exit. Children that the user
        // did not ask for come and go in silence.
        let is_aside = self.config.children && pid != info.root;
        if (self.config.tree && !info.counted) || is_aside || info.id.start == 0 {
            return;
        }
        let mut event = ProcessEvent::new(header.clone(), kind, pid, info.root);
        event.start_ticks = Some(info.id.start);
        event.name = Some(info.name.clone());
        if kind == EventKind::Exited {
            if let Some(reaped) = self.reaped.iter().find(|reaped| reaped.pid == pid) {
                set_exit(&mut event, reaped.status);
            }
            self.command_exit_reported |= self.session.command().is_some_and(|command| command.pid() == pid);
        }
        self.outputs.record(&Record::ProcessEvent(Box::new(event)));
        found.records += 1;
    }

    /// Reports exits between two censuses as part of the iteration before; later ones wake the loop.
    fn watch_exits(&mut self) {
        self.session.watch_exits(self.processes.iter().map(|process| process.info.id));
        // One that exited already and left no zombie wakes nothing.
        self.report_exits();
    }

    fn report_exits(&mut self) {
        let header = self.header();
        self.refresh_processes(&header, &mut Iteration::default());
    }

    /// Waits for the next event or the deadline, and handles it.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.outputs.end_round();
        let ready = self.wait_for_signals(deadline)?;
        if ready.process_exited || std::mem::take(&mut self.child_exited) {
            self.reap();
        }
        if ready.process_exited {
            self.watch_exits();
        }
        Ok(())
    }

    /// The same, but leaves the exits of processes for later: they are reported after a census that is under way. While a
    /// thread of ours traces a child, waitid(2) may say that there is no such child.
    fn wait_for_signals(&mut self, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let ready = self.session.wait(Sources::default(), deadline)?;
        if ready.stdout_closed {
            self.outputs.close();
        }
        while let Some(event) = self.session.next_event() {
            match event {
                SessionEvent::ChildExited => self.child_exited = true,
                SessionEvent::StopRequested => (self.stopped, self.interrupted) = (true, true),
                SessionEvent::Resized | SessionEvent::SuspendRequested => {}
            }
        }
        Ok(ready)
    }

    fn reap(&mut self) {
        self.reaped.extend(self.session.reap());
        self.stopped |= self.session.command_has_exited();
    }

    /// Ends the run; returns the exit code.
    fn finish(mut self, counted: Result<(), Failure>) -> Result<u8, Failure> {
        let is_launch = self.session.command().is_some();
        if is_launch && counted.is_ok() {
            self.report_exits();
            // The command exited before it was seen, or never ran Python.
            if !self.command_exit_reported
                && let Some(event) = self.session.command_exit(self.header())
            {
                self.outputs.record(&Record::ProcessEvent(Box::new(event)));
            }
        }
        if counted.is_ok() {
            self.watch_last_additions();
        }
        self.status.clear();
        self.session.restore_default_signals();
        let verdict = if counted.is_ok() { self.conclude_leaks() } else { 0 };
        self.session.report_leftovers(watchdog_pid());
        if let Some(warning) = self.worker.as_ref().and_then(CensusWorker::warning) {
            say(TOOL, &warning);
        }
        counted?;
        let is_repeated = self.config.interval.is_some() && !self.config.leaks;
        let mut failure = self.outputs.finish();
        let shows = self.outputs.to_terminal() || self.status.is_enabled();
        if !is_launch && shows && is_repeated {
            self.session.report_summary(self.censuses, ["census", "censuses"], "");
        }
        if self.outputs.to_terminal() || self.outputs.announce().is_some() {
            let step = next_step(self.config, &self.processes.living_roots(), self.leaking_holder.as_deref());
            if let Some(step) = step.filter(|_| self.censuses > 0 && io::stderr().is_terminal()) {
                say(TOOL, &step);
            }
        }
        if self.censuses == 0 {
            if is_launch {
                say(TOOL, &nothing_counted(self.last_error.as_ref()));
            } else {
                failure = failure.or(self.last_error.map(Failure::from));
            }
        }
        let failure = failure.or_else(|| self.missing_types.failure().filter(|_| self.censuses > 0));
        self.session.exit_code(verdict, failure)
    }
}
