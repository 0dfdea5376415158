//! One census after the other, what is attended to between them, and how it ends.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use common::cli::Failure;
use common::launch::{Ended, Launched, Reaped};
use common::record::{ErrorRecord, EventKind, Header, ProcessEvent, Record, Run};
use common::signal::Signals;
use common::stdio::say;
use common::time::{Span, Ticker};
use common::wait::{Ready, Sources, Waiter};
use rustix::process::Signal;

use super::TOOL;
use super::leak_search::LeakSearch;
use super::outputs::Outputs;
use super::processes::{self, ProcessSet, TargetProcess};
use crate::census::{Census, Taker};
use crate::cli::Args;
use crate::emit::census_record::CensusRecorders;
use crate::emit::summary::CensusSummary;
use crate::request::Source;
use memobj_cpython::stage;
use memobj_process::error::{Error, Stage};

/// The pause between two looks whether the interpreter of a command is up, at first and at most.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// After so long without an interpreter it is said why there is none yet; or, where another program took the place of one, it is taken
/// for the end.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Where censuses are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// Of what is in a file, once.
    File(Source),
    /// Of running processes.
    Processes {
        /// Those that were named.
        roots: Vec<u32>,
        /// And of everything below them.
        tree: bool,
    },
}

/// What came of an iteration.
#[derive(Debug, Default)]
struct Iteration {
    /// How many censuses were taken.
    censuses: u64,
    /// How many records tell of it.
    records: u64,
    /// Why there is not one more, by process.
    errors: Vec<(Option<u32>, Error)>,
}

/// A run of memobj.
pub(super) struct Session<'a> {
    args: &'a Args,
    targets: Targets,
    taker: &'a mut dyn Taker,
    outputs: Outputs,
    signals: Signals,
    launched: Option<Launched>,
    waiter: Waiter,
    run: Run,
    members: ProcessSet,
    recorders: CensusRecorders,
    /// Of the last record; 0 before the first.
    iteration: u64,
    /// Censuses taken in all.
    censuses: u64,
    last_error: Option<Error>,
    began: Instant,
    done: bool,
    /// What is known of processes that ended, from those who reaped them.
    reaped: Vec<Reaped>,
    /// Whether it was told how the command ended.
    exit_reported: bool,
    /// If leaks are looked for: what was seen.
    search: Option<LeakSearch>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        args: &'a Args,
        targets: Targets,
        taker: &'a mut dyn Taker,
        outputs: Outputs,
        signals: Signals,
        launched: Option<Launched>,
        run: Run,
    ) -> Self {
        let members = match &targets {
            Targets::File(_) => ProcessSet::new(&[], false, false),
            Targets::Processes { roots, tree } => ProcessSet::new(roots, *tree, launched.is_some()),
        };
        let waiter = Waiter::new(outputs.stdout());
        Self {
            args,
            targets,
            taker,
            outputs,
            signals,
            launched,
            waiter,
            run,
            members,
            recorders: CensusRecorders::default(),
            iteration: 0,
            censuses: 0,
            last_error: None,
            began: Instant::now(),
            done: false,
            reaped: Vec::new(),
            exit_reported: false,
            search: args.leaks.then(|| LeakSearch::new(args.most(), args.command.is_empty())),
        }
    }

    /// Counts until there is a reason to stop; the exit code.
    pub(super) fn run(mut self) -> Result<u8, Failure> {
        let counted = self.count();
        self.finish(counted)
    }

    fn count(&mut self) -> Result<(), Failure> {
        let until = self.args.duration.and_then(|duration| self.began.checked_add(duration));
        let first = if self.launched.is_some() {
            self.wait_for_interpreter(until)?
        } else {
            let first = Instant::now();
            self.first()?;
            first
        };
        let Some(interval) = self.args.repeat() else { return Ok(()) };
        let most = self.args.most();
        let mut ticker = Ticker::new(first, interval);
        ticker.fire(first);
        self.watch_ends();
        while !self.done {
            let now = Instant::now();
            let counts =
                self.iteration < most && until.is_none_or(|until| now < until) && self.outputs.is_open();
            if self.launched.is_none() && (!counts || self.members.is_empty()) {
                return Ok(());
            }
            if !counts {
                self.conclude();
            }
            if counts && ticker.fire(now).is_some() {
                let found = self.iterate();
                self.report_errors(&found, false);
                self.watch_ends();
                // Where each census takes longer than the interval there is no other moment to attend to anything.
                self.wait(Some(Instant::now()))?;
                continue;
            }
            let due = [Some(ticker.deadline()), until].into_iter().flatten().min();
            self.wait(due.filter(|_| counts))?;
        }
        Ok(())
    }

    /// The first iteration of a run that starts no command. If nothing comes of it, and nothing will, that is the end.
    fn first(&mut self) -> Result<(), Failure> {
        let found = self.iterate();
        let lasts = |error: &Error| {
            error.exited || matches!(error.stage, Stage::ATTACH | stage::LOCATE | stage::LAYOUT)
        };
        let may_come = self.args.repeat().is_some() && !self.members.is_empty();
        let error = found.errors.first().map(|(_, error)| error);
        let fatal =
            error.filter(|error| found.censuses == 0 && !(may_come && (self.is_tree() || !lasts(error))));
        self.report_errors(&found, fatal.is_some());
        fatal.map_or(Ok(()), |error| Err(error.clone().into()))
    }

    /// Waits until a census of the command succeeds, the first one, and says when it began. Until then there is no interpreter, or
    /// it is not up.
    fn wait_for_interpreter(&mut self, until: Option<Instant>) -> Result<Instant, Failure> {
        let began = Instant::now();
        let mut pause = RETRY_PAUSES.0;
        let mut reported = false;
        while !self.done && until.is_none_or(|until| Instant::now() < until) {
            self.members.refresh();
            let mut reason = None;
            for member in self.members.iter().cloned().collect::<Vec<_>>() {
                let first = Instant::now();
                match self.take(&member) {
                    Ok(census) => {
                        self.iteration += 1;
                        let header = Header::now(&self.run, self.iteration);
                        self.write_process_census(header, &member, &census);
                        return Ok(first);
                    }
                    Err(error) => reason = reason.or(Some(error)),
                }
            }
            if let Some(reason) =
                reason.filter(|reason| !reason.exited && !reported && began.elapsed() >= GRACE_PERIOD)
            {
                say(TOOL, &format!("no Python to count yet: {}", reason.message));
                reported = true;
            }
            self.wait(Some(Instant::now() + pause))?;
            pause = (pause * 2).min(RETRY_PAUSES.1);
        }
        Ok(began)
    }

    /// One iteration: a record of each member, or why there is none.
    fn iterate(&mut self) -> Iteration {
        self.iteration += 1;
        let header = Header::now(&self.run, self.iteration);
        let mut found = Iteration::default();
        if let Targets::File(source) = self.targets.clone() {
            match self.taker.take(&self.args.request(source)) {
                Ok(census) => {
                    self.write_file_census(header, &census);
                    found.censuses += 1;
                }
                Err(error) => found.errors.push((None, error)),
            }
            return found;
        }
        if self.iteration > 1 {
            self.refresh_processes(&header, &mut found);
        }
        for member in self.members.iter().cloned().collect::<Vec<_>>() {
            self.census(&header, &member, &mut found);
        }
        if found.records == 0 && found.errors.is_empty() {
            // Of a tree: nobody in it runs Python now. No iteration is without a record.
            let roots: Vec<String> = self.args.pid.iter().map(u32::to_string).collect();
            let what = format!("no process at or below pid {} runs Python", roots.join(", "));
            found.errors.push((None, Error::new(stage::LOCATE, what, "see 'ps -ef --forest' for what does")));
        }
        found
    }

    /// Gives out why there are no censuses; what ends the run with a failure is not said twice on a terminal.
    fn report_errors(&mut self, found: &Iteration, is_end: bool) {
        if let Some((_, error)) = found.errors.last() {
            self.last_error = Some(error.clone());
        }
        for (pid, error) in &found.errors {
            let header = Header::now(&self.run, self.iteration);
            let hint = Some(error.hint.clone()).filter(|hint| !hint.is_empty());
            let record = ErrorRecord {
                hint,
                pid: *pid,
                ..ErrorRecord::new(header, error.stage.as_str(), error.message.clone())
            };
            self.outputs.error(record, is_end);
        }
    }

    /// The census of a member in an iteration.
    fn census(&mut self, header: &Header, member: &TargetProcess, found: &mut Iteration) {
        let mut taken = self.take(member);
        if let Err(error) = &taken {
            // It may have ended, or become another program, which may be Python again.
            let (before, gone) = (found.records, error.exited);
            self.refresh_processes(header, found);
            match self.members.get_mut(member.id.pid).cloned() {
                Some(now) if gone => taken = self.take(&now),
                Some(_) => {}
                // Its end was told; or it was nobody's concern.
                None if found.records > before && self.iteration > 1 => return,
                None if self.is_tree() && member.id.pid != member.root => return,
                None => {}
            }
        }
        match taken {
            Ok(census) => {
                self.write_process_census(header.clone(), member, &census);
                found.censuses += 1;
                found.records += 1;
            }
            // Below a root anything may run.
            Err(error) if self.is_tree() && !member.counted && error.stage == stage::LOCATE => {}
            Err(error) => {
                let is_late = |since: Instant| since.elapsed() >= GRACE_PERIOD;
                let now = self.members.get_mut(member.id.pid);
                let was_python = now.is_some_and(|member| member.replaced.is_some_and(is_late));
                if was_python && error.stage == stage::LOCATE && self.launched.is_none() {
                    // What it runs now is not Python, and not about to be: for us that is its end.
                    self.members.drop(member.id.pid);
                }
                found.errors.push((Some(member.id.pid), error));
            }
        }
    }

    fn is_tree(&self) -> bool {
        matches!(self.targets, Targets::Processes { tree: true, .. })
    }

    fn take(&mut self, member: &TargetProcess) -> Result<Census, Error> {
        let mut census = self.taker.take(&self.args.request(Source::Process { pid: member.id.pid }))?;
        if census.process.cmdline.is_none() && !self.args.no_cmdline {
            census.process.cmdline = processes::read_cmdline(member.id.pid);
        }
        Ok(census)
    }

    fn write_process_census(&mut self, header: Header, member: &TargetProcess, census: &Census) {
        if let Some(member) = self.members.get_mut(member.id.pid) {
            (member.counted, member.replaced) = (true, None);
        }
        self.write_census(header, Some(member.root), census);
    }

    fn write_file_census(&mut self, header: Header, census: &Census) {
        self.write_census(header, None, census);
    }

    fn write_census(&mut self, header: Header, root: Option<u32>, census: &Census) {
        self.censuses += 1;
        if let Some(search) = &mut self.search {
            search.take(root, census);
            return;
        }
        let summary = CensusSummary::of(census);
        let cmdline = !self.args.no_cmdline;
        let record = self.recorders.of(census).record(header, census, &summary, root, cmdline);
        self.outputs.census(record, &summary);
    }

    /// Gives out the verdict, once; the exit code that it means, or 0 if none was wanted.
    fn conclude(&mut self) -> u8 {
        let Some(search) = &mut self.search else { return 0 };
        for record in search.conclude(&self.run, self.iteration.max(1), !self.args.no_cmdline) {
            self.outputs.record(&Record::Leaks(Box::new(record)));
        }
        search.exit_code()
    }

    /// Looks which members have ended or run another program now, and tells of it.
    fn refresh_processes(&mut self, header: &Header, found: &mut Iteration) {
        let changes = self.members.refresh();
        if !changes.ended.is_empty() {
            // It may be known how.
            self.reap();
        }
        let all = changes.ended.iter().map(|member| (EventKind::Exited, member));
        for (kind, member) in all.chain(changes.replaced.iter().map(|member| (EventKind::Replaced, member))) {
            self.taker.forget(member.id.pid);
            // Of a tree much comes and goes that never was Python; and what never was there has no end.
            if (self.is_tree() && !member.counted) || member.id.start == 0 {
                continue;
            }
            let mut event = ProcessEvent::new(header.clone(), kind, member.id.pid, member.root);
            event.start_ticks = Some(member.id.start);
            event.name = Some(member.name.clone());
            if kind == EventKind::Exited {
                let ended = self.reaped.iter().find(|reaped| reaped.pid == member.id.pid);
                set_exit_status(&mut event, ended.map(|reaped| reaped.status));
                self.exit_reported |=
                    self.launched.as_ref().is_some_and(|launched| launched.pid() == member.id.pid);
            }
            self.outputs.record(&Record::ProcessEvent(Box::new(event)));
            found.records += 1;
            if kind == EventKind::Exited {
                self.recorders.forget(member.id.pid);
            }
        }
        // One number stands for one process only until its end is told.
        self.reaped.retain(|reaped| changes.ended.iter().all(|member| member.id.pid != reaped.pid));
    }

    /// Be woken by the end of a member. One that has ended already and left no zombie wakes nobody: it is looked for.
    fn watch_ends(&mut self) {
        self.waiter.watch_ends(self.members.iter().map(|member| member.id));
        self.report_exits();
    }

    /// Waits for what comes first, and attends to it.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        let sources = Sources { signals: Some(self.signals.as_fd()), ..Sources::default() };
        let ready = self
            .waiter
            .wait(&sources, deadline)
            .map_err(|error| Failure::new(format!("waiting failed: {error}"), ""))?;
        self.attend(ready);
        Ok(())
    }

    fn attend(&mut self, ready: Ready) {
        if ready.stdout_closed {
            self.outputs.close();
            self.waiter.forget_stdout();
        }
        while let Some(received) = self.signals.next() {
            if received.number == Signal::CHILD.as_raw() {
                self.reap();
            } else if let Some(launched) = &self.launched {
                // The command decides; we end when it does.
                launched.forward(received);
            } else {
                self.done = true;
            }
        }
        if ready.root_ended {
            self.reap();
            self.watch_ends();
        }
    }

    /// Takes note of processes that ended: the command, and orphans that became ours.
    fn reap(&mut self) {
        let Some(launched) = &mut self.launched else { return };
        self.reaped.append(&mut launched.reap(|_| {}));
        self.done |= launched.ended().is_some();
    }

    /// Tells of ends between two censuses, as part of the iteration before.
    fn report_exits(&mut self) {
        let header = Header::now(&self.run, self.iteration.max(1));
        self.refresh_processes(&header, &mut Iteration::default());
    }

    /// Tells how the command ended, if it was over before it could be seen, or never was Python.
    fn report_command_exit(&mut self) {
        let Some(launched) = self.launched.as_ref().filter(|_| !self.exit_reported) else { return };
        let header = Header::now(&self.run, self.iteration.max(1));
        let mut event = ProcessEvent::new(header, EventKind::Exited, launched.pid(), launched.pid());
        set_exit_status(&mut event, launched.ended());
        self.outputs.record(&Record::ProcessEvent(Box::new(event)));
    }

    /// The end. The exit code.
    fn finish(mut self, counted: Result<(), Failure>) -> Result<u8, Failure> {
        if self.launched.is_some() {
            if counted.is_ok() {
                self.report_exits();
                self.report_command_exit();
            }
        } else {
            // Who asks twice gets an end at once.
            self.signals.lose_patience();
        }
        let verdict = if counted.is_ok() { self.conclude() } else { 0 };
        let failure = self.outputs.take_failure();
        let Some(launched) = &self.launched else {
            counted?;
            if self.outputs.to_terminal() && self.args.repeat().is_some() && !self.args.leaks {
                say(TOOL, &self.summary());
            }
            let error = self.last_error.filter(|_| self.censuses == 0);
            return failure.or(error.map(Failure::from)).map_or(Ok(verdict), Err);
        };
        let left = launched.leftovers().len();
        if left > 0 {
            let they = if left == 1 { "process" } else { "processes" };
            say(TOOL, &format!("{left} {they} that the command started still run; left alone"));
        }
        counted?;
        if self.censuses == 0 {
            say(TOOL, "no census was taken: the command ended before a Python in it was up");
        }
        if let Some(failure) = failure {
            // The command's status is what the caller asked for; that our own output failed is said, not returned.
            say(TOOL, &failure.what);
        }
        if verdict != 0 {
            return Ok(verdict);
        }
        Ok(launched.ended().map_or(common::cli::EXIT_TROUBLE, Ended::exit_status))
    }

    fn summary(&self) -> String {
        let plural = if self.censuses == 1 { "census" } else { "censuses" };
        format!("{} {plural} in {}", self.censuses, Span(self.began.elapsed()))
    }
}

fn set_exit_status(event: &mut ProcessEvent, ended: Option<Ended>) {
    match ended {
        Some(Ended::Exited(code)) => event.exit_code = Some(code),
        Some(Ended::Signaled { signal, .. }) => event.signal = Some(signal),
        Some(Ended::Unknown) | None => {}
    }
}
