//! From a log to what is to be seen of it: moments in, one [`Figure`] out.
//!
//! What is kept while reading is bounded by the picture, not by the log.

mod buffer;
mod build;
mod events;
mod extract;
mod headline;
mod marks;
mod names;
mod track;
mod trend;
mod view;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::cli::Failure;
use common::log::{Moment, What as Measured};
use common::record::Verdict;
use jiff::tz::TimeZone;
use regex::Regex;

pub use window::TimeWindow;

use self::view::{Choice, View};
use crate::cli::{Metric, Quantity};
use crate::downsample::EventBuckets;
use crate::figure::{Figure, MarkKind};

/// How many events are kept apart.
const EVENTS: usize = 2048;

/// What the user wants to see.
#[derive(Debug, Clone)]
pub struct PlotRequest {
    /// Which values; `None`: the best for the log.
    pub what: Option<Quantity>,
    /// Which size of a process.
    pub metric: Metric,
    /// How many one by one.
    pub top: usize,
    /// Stacked or not; `None`: as fits.
    pub stack: Option<bool>,
    /// Changes since the beginning.
    pub delta: bool,
    /// On a logarithmic axis.
    pub log_scale: bool,
    /// Which names.
    pub grep: Option<Regex>,
    /// Which part of the time.
    pub window: TimeWindow,
    /// How many buckets of time to keep.
    pub buckets: usize,
    /// The names of the inputs.
    pub inputs: Vec<String>,
    /// Instead of a title of our own.
    pub title: Option<String>,
    /// The time zone of all words.
    pub zone: TimeZone,
    /// What memdiff found about the same log.
    pub verdicts: Vec<Verdict>,
}

/// The process that a log is about.
#[derive(Debug, Clone)]
struct Process {
    pid: u32,
    name: Arc<str>,
    cmdline: Option<Arc<str>>,
}

impl Process {
    fn short(&self) -> String {
        names::process_name(self.pid, &self.name, self.cmdline.as_ref())
    }
}

/// Takes in a log.
#[derive(Debug)]
pub struct Collector {
    request: PlotRequest,
    views: Vec<View>,
    events: EventBuckets,
    /// Runs of each input, by what they are called, with their number.
    runs: BTreeMap<(usize, Arc<str>), usize>,
    last_run: Option<(usize, Arc<str>)>,
    subjects: Vec<Process>,
    interval_seconds: Option<f64>,
    moments: u64,
    failed: u64,
    outside: u64,
    first_failure: Option<String>,
}

impl Collector {
    /// Without a moment.
    #[must_use]
    pub fn new(request: PlotRequest) -> Self {
        let choices = match request.what {
            Some(what) => vec![what],
            None => vec![Quantity::Types, Quantity::Processes],
        };
        let view = |what| {
            View::new(Choice {
                what,
                metric: request.metric,
                grep: request.grep.clone(),
                buckets: request.buckets,
                spared: request.top.saturating_mul(4).max(64),
            })
        };
        Self {
            views: choices.into_iter().map(view).collect(),
            events: EventBuckets::new(EVENTS),
            runs: BTreeMap::new(),
            last_run: None,
            subjects: Vec::new(),
            interval_seconds: None,
            moments: 0,
            failed: 0,
            outside: 0,
            first_failure: None,
            request,
        }
    }

    /// Takes in a moment.
    pub fn add(&mut self, moment: &Moment) {
        if !self.request.window.admits(moment.unix_ms) {
            self.outside += 1;
            return;
        }
        match &moment.what {
            Measured::Tree(tree) => {
                if let Some(root) = tree.processes.first() {
                    self.subject(root.pid, &root.name, root.cmdline.as_ref());
                }
            }
            Measured::Census(census) => {
                if census.root_pid.is_none_or(|root| root == census.pid) {
                    self.subject(census.pid, &census.name, census.cmdline.as_ref());
                }
            }
            Measured::Event(event) => return events::add(&mut self.events, moment.unix_ms, event),
            Measured::Failed(message) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| message.clone());
            }
            Measured::Diff(_) => return,
        }
        self.moments += 1;
        self.note_run(moment);
        self.interval_seconds = self.interval_seconds.or(moment.interval_seconds);
        let (from, newest, moves) =
            (self.request.window.from(), moment.unix_ms, self.request.window.is_relative());
        for view in &mut self.views {
            view.add(moment);
            if moves {
                view.drop_before(from, newest);
            }
        }
    }

    fn subject(&mut self, pid: u32, name: &Arc<str>, cmdline: Option<&Arc<str>>) {
        let has_room = self.subjects.len() < 100;
        let known = self.subjects.iter_mut().find(|subject| subject.pid == pid);
        let is_same = |subject: &Process| {
            Arc::ptr_eq(&subject.name, name)
                && subject.cmdline.as_ref().map(Arc::as_ptr) == cmdline.map(Arc::as_ptr)
        };
        match known {
            Some(subject) if is_same(subject) => {}
            // The last name counts: a launched command is seen before it has become what it will be.
            Some(subject) => {
                subject.name = Arc::clone(name);
                subject.cmdline = cmdline.or(subject.cmdline.as_ref()).cloned();
            }
            // More than a few are only counted in words.
            None if has_room => {
                self.subjects.push(Process { pid, name: Arc::clone(name), cmdline: cmdline.cloned() });
            }
            None => {}
        }
    }

    fn note_run(&mut self, moment: &Moment) {
        if self.last_run.as_ref().is_some_and(|(input, run)| *input == moment.input && *run == moment.run) {
            return;
        }
        let key = (moment.input, Arc::clone(&moment.run));
        self.last_run = Some(key.clone());
        if self.runs.contains_key(&key) {
            return;
        }
        let number = self.runs.keys().filter(|(input, _)| *input == moment.input).count() + 1;
        self.runs.insert(key, number);
        if number > 1 {
            self.events.add(moment.unix_ms, MarkKind::Run, || format!("run {number} begins"));
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// If there is nothing to draw: the message says what the log has instead.
    pub fn finish(mut self) -> Result<Figure, Failure> {
        for view in &mut self.views {
            view.finish();
        }
        let has_any = |view: &View| view.members.iter().any(|member| view.is_kept(member));
        match self.views.iter().position(has_any) {
            Some(place) => {
                let view = self.views.swap_remove(place);
                build::figure(&self, &view)
            }
            None => Err(self.nothing_to_draw()),
        }
    }

    fn nothing_to_draw(&self) -> Failure {
        if self.moments == 0 && self.outside > 0 {
            return Failure::new(
                "no moment of the log is between --since and --until",
                "leave one of them out",
            );
        }
        if self.moments == 0 {
            return Failure::new("there is nothing to draw in this log", "is it a log of memmon or memobj?");
        }
        if self.failed == self.moments {
            let what = self.first_failure.clone().unwrap_or_default();
            return Failure::new(format!("every sample of this log failed ({what})"), "");
        }
        if let Some(grep) = &self.request.grep {
            return Failure::new(format!("no name matches '{grep}'"), "leave --grep out to see all");
        }
        let hint = match self.request.what {
            Some(Quantity::Types | Quantity::Modules | Quantity::Counts) => {
                "it may be a log of processes: try --what processes"
            }
            Some(Quantity::Holders) => "they are in logs of `memobj --holders`",
            Some(Quantity::Caches) => "they are in logs of `memobj --caches`",
            Some(Quantity::Processes) => "it may be a log of objects: try --what types",
            _ => "try another --what",
        };
        Failure::new("this log has no values of that kind", hint)
    }
}
