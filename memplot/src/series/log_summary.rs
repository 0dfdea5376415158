//! What is known of the log as a whole: its processes, events and failed samples.

use std::sync::Arc;

use common::cli::Failure;

use super::names;
use super::request::PlotRequest;
use crate::cli::Quantity;
use crate::downsample::EventBuckets;

/// More groups of events are joined.
const EVENTS_LIMIT: usize = 2048;
/// Further processes are not kept. The title names only the first.
const PROCESSES_LIMIT: usize = 100;

/// A process that the log is about.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: u32,
    name: Arc<str>,
    cmdline: Option<Arc<str>>,
}

impl Process {
    pub fn short_name(&self) -> String {
        names::process_name(self.pid, &self.name, self.cmdline.as_ref())
    }
}

/// Facts about the whole log.
#[derive(Debug)]
pub struct LogSummary<'a> {
    pub request: PlotRequest<'a>,
    pub events: EventBuckets,
    pub processes: Vec<Process>,
    pub interval_seconds: Option<f64>,
    pub moments: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
    /// Moments outside the time window.
    pub outside: u64,
}

impl<'a> LogSummary<'a> {
    pub fn new(request: PlotRequest<'a>) -> Self {
        Self {
            request,
            events: EventBuckets::new(EVENTS_LIMIT),
            processes: Vec::new(),
            interval_seconds: None,
            moments: 0,
            failed: 0,
            first_failure: None,
            outside: 0,
        }
    }

    /// Notes a process that the log is about.
    pub fn add_process(&mut self, pid: u32, name: &Arc<str>, cmdline: Option<&Arc<str>>) {
        let has_room = self.processes.len() < PROCESSES_LIMIT;
        match self.processes.iter_mut().find(|process| process.pid == pid) {
            // The last name counts: a launched command first has the name of its launcher.
            Some(process) => {
                process.name.clone_from(name);
                process.cmdline = cmdline.or(process.cmdline.as_ref()).cloned();
            }
            None if has_room => {
                self.processes.push(Process { pid, name: Arc::clone(name), cmdline: cmdline.cloned() });
            }
            None => {}
        }
    }

    /// Why there is no plot.
    pub fn nothing_to_draw(&self) -> Failure {
        if self.moments == 0 && self.outside > 0 {
            return Failure::new(
                "the log has no samples between --since and --until",
                "leave one of them out",
            );
        }
        if self.moments == 0 {
            return Failure::new("this log has nothing to draw", "is it a log of memmon or memobj?");
        }
        if self.failed == self.moments {
            let message = self.first_failure.as_deref().unwrap_or_default();
            return Failure::new(format!("every sample of this log failed ({message})"), "");
        }
        if let Some(grep) = &self.request.grep {
            return Failure::new(format!("no name matches '{grep}'"), "leave --grep out to see all");
        }
        let hint = match self.request.args.what {
            Some(Quantity::Types | Quantity::Modules | Quantity::Counts) => {
                "it may be a log of processes: try --what processes"
            }
            Some(Quantity::Holders) => "logs of `memobj --holders` have them",
            Some(Quantity::Caches) => "logs of `memobj --caches` have them",
            Some(Quantity::Processes) => "it may be a log of objects: try --what types",
            _ => "try another --what",
        };
        Failure::new("this log has no values of that kind", hint)
    }
}
