//! Reads the moments of a log and makes a figure of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use common::cli::Failure;
use common::log::{Moment, MomentData as Measured};

use super::log_summary::LogSummary;
use super::request::PlotRequest;
use super::view::View;
use super::{build, events, verdicts};
use crate::cli::Quantity;
use crate::figure::{Figure, MarkKind};

/// Collects a log. Its memory is bounded by the plot, not by the log.
#[derive(Debug)]
pub struct Collector<'a> {
    log: LogSummary<'a>,
    /// The quantities that may be drawn, the preferred one first.
    views: Vec<View>,
    /// The runs so far, each with its input.
    runs: BTreeSet<(usize, Arc<str>)>,
    last_run: Option<(usize, Arc<str>)>,
}

impl<'a> Collector<'a> {
    /// An empty collector.
    pub fn new(request: PlotRequest<'a>) -> Self {
        let quantities = match request.args.what {
            None => vec![Quantity::Types, Quantity::Processes, Quantity::Total],
            // A picture of one moment has no series.
            Some(Quantity::Heap | Quantity::Treemap) => Vec::new(),
            Some(one) => vec![one],
        };
        Self {
            views: quantities.into_iter().map(|quantity| View::new(quantity, &request)).collect(),
            log: LogSummary::new(request),
            runs: BTreeSet::new(),
            last_run: None,
        }
    }

    /// Adds a moment.
    pub fn add(&mut self, moment: &Moment) {
        self.add_to(moment, |_| true);
    }

    /// Adds a census of which only the totals are known: for others it is no picture of choice.
    fn add_totals(&mut self, moment: &Moment) {
        let is_asked = self.log.request.args.what.is_some();
        self.add_to(moment, |view| is_asked || view.quantity == Quantity::Total);
    }

    fn add_to(&mut self, moment: &Moment, takes: impl Fn(&View) -> bool) {
        let log = &mut self.log;
        if !log.request.window.admits(moment.unix_ms) {
            log.outside += 1;
            return;
        }
        match &moment.data {
            Measured::Leaks(record) => {
                return verdicts::censuses(moment, record).iter().for_each(|census| self.add_totals(census));
            }
            Measured::Tree(tree) => {
                if let Some(root) = tree.processes.first() {
                    log.add_process(root.pid, &root.name, root.cmdline.as_ref());
                }
            }
            Measured::Census(census) => {
                if census.root_pid.is_none_or(|root| root == census.pid) {
                    log.add_process(census.pid, &census.name, census.cmdline.as_ref());
                }
            }
            Measured::Event(event) => return events::add(&mut log.events, moment.unix_ms, event),
            Measured::Failed(message) => {
                log.failed += 1;
                log.first_failure.get_or_insert_with(|| message.clone());
            }
            Measured::Diff(_) => return,
        }
        log.moments += 1;
        log.interval_seconds = log.interval_seconds.or(moment.interval_seconds);
        let expired = log.request.window.is_relative().then(|| log.request.window.from());
        self.note_run(moment);
        for view in self.views.iter_mut().filter(|view| takes(view)) {
            view.add(moment);
            if let Some(from) = expired {
                view.drop_before(from, moment.unix_ms);
            }
        }
    }

    /// Marks the start of each run but the first.
    fn note_run(&mut self, moment: &Moment) {
        if self.last_run.as_ref().is_some_and(|(input, run)| *input == moment.input && *run == moment.run) {
            return;
        }
        let key = (moment.input, Arc::clone(&moment.run));
        self.last_run = Some(key.clone());
        if !self.runs.insert(key) {
            return;
        }
        let number = self.runs.iter().filter(|(input, _)| *input == moment.input).count();
        if number > 1 {
            self.log.events.add(moment.unix_ms, MarkKind::Run, || format!("run {number} begins"));
        }
    }

    /// Makes the figure of the first view that has values.
    ///
    /// # Errors
    /// If there is nothing to draw. The hint says where the values are.
    pub fn finish(mut self) -> Result<Figure, Failure> {
        for view in &mut self.views {
            view.finish();
        }
        let view = self.views.iter().find(|view| view.kept().next().is_some());
        build::figure(&self.log, view.ok_or_else(|| self.log.nothing_to_draw())?)
    }
}
