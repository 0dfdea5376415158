//! The flow: logs, the moments that are wanted of them, what they say, and the exit code.

mod input;
mod output;

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;

use common::cli::Failure;
use common::log::{Input, Moment, What};
use common::record::{DiffRecord, Header, Run};
use common::units::Bytes;

use self::output::Output;
use crate::cli::{Args, DEFAULT_THRESHOLD_BYTES, FailOn};
use crate::delta::{self, GrowthThreshold};
use crate::measurement::{Measurement, Measurements};
use crate::selection::{InputSelection, SuccessivePairs};
use crate::table::Report;
use crate::verdict::{self, SeriesSet};

const TOOL: &str = "memdiff";

/// The exit code that says that something grew, as diff(1) says that something differs.
const EXIT_GREW: u8 = 1;

/// Runs memdiff with these arguments; the exit code.
///
/// # Errors
/// Arguments that do not go together, logs that cannot be read or have nothing to compare.
pub fn run(args: Args) -> Result<u8, Failure> {
    check(&args)?;
    let logs = Logs {
        inputs: Input::from_args(&args.logs),
        has_stdin: args.logs.is_empty() || args.logs.iter().any(|log| is_stdin(log)),
    };
    let mut flow = Runner {
        bounds: bounds(&args),
        output: Output::new(&args),
        run: Run::start(),
        shown: 0,
        grew: false,
        files: logs.inputs.iter().map(Input::name).collect(),
        logs,
        args,
    };
    let is_one = flow.files.len() == 1 && flow.args.at.is_empty();
    let streams = is_one && (flow.logs.has_stdin || flow.args.every.is_some());
    if flow.args.trend {
        flow.trend()?;
    } else if streams {
        flow.stream()?;
    } else {
        flow.compare()?;
    }
    let fails = flow.grew && flow.args.fail_on != Some(FailOn::Never);
    Ok(if fails { EXIT_GREW } else { 0 })
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn check(args: &Args) -> Result<(), Failure> {
    let wrong = |what: &str, hint: &str| Err(Failure::new(what, hint));
    let stdins = args.logs.iter().filter(|log| is_stdin(log)).count();
    if args.logs.is_empty() && io::stdin().is_terminal() {
        return wrong("nothing to compare", "give one log or two, or pipe one in; see memdiff --help");
    }
    if stdins > 1 {
        return wrong("- is given twice", "there is only one standard input");
    }
    if args.trend {
        if args.fail_on == Some(FailOn::Grown) {
            return wrong(
                "--fail-on grown compares two moments",
                "leave --trend out, or say --fail-on growing",
            );
        }
        return Ok(());
    }
    match (args.logs.len(), args.at.len()) {
        (3.., _) => return wrong("more than two logs", "give one or two, or --trend to judge all of them"),
        (_, 3..) => return wrong("--at is given more than twice", "a comparison has two sides"),
        _ => {}
    }
    if args.logs.len() == 2 && args.every.is_some() {
        return wrong("--every goes through one log", "leave it out, or name one log");
    }
    if args.fail_on == Some(FailOn::Growing) {
        return wrong("--fail-on growing needs --trend", "two moments do not show a trend");
    }
    Ok(())
}

/// With `--trend` the statistics know noise from growth themselves.
fn bounds(args: &Args) -> GrowthThreshold {
    GrowthThreshold::new(&args.threshold, if args.trend { 0 } else { DEFAULT_THRESHOLD_BYTES })
}

/// `4.00 MiB`, `4.00 MiB and 10 %`.
fn threshold(bounds: &GrowthThreshold) -> String {
    let bytes = Bytes(bounds.bytes);
    if bounds.ratio > 0.0 {
        let percent = format!("{:.2}", bounds.ratio * 100.0);
        format!("{bytes} and {} %", percent.trim_end_matches('0').trim_end_matches('.'))
    } else {
        bytes.to_string()
    }
}

/// Everything that lasts while memdiff runs.
struct Runner {
    args: Args,
    bounds: GrowthThreshold,
    output: Output,
    run: Run,
    /// How many differences were shown.
    shown: u64,
    grew: bool,
    logs: Logs,
    /// Their names.
    files: Vec<String>,
}

/// What is read.
#[derive(Clone)]
struct Logs {
    inputs: Vec<Input>,
    has_stdin: bool,
}

impl Logs {
    /// Reads everything; `each` may end it.
    fn read(&self, each: &mut dyn FnMut(Moment) -> ControlFlow<()>) -> Result<(), Failure> {
        if self.has_stdin {
            input::read_interruptible(TOOL, &self.inputs, each)
        } else {
            input::read_files(TOOL, &self.inputs, each)
        }
    }
}

impl Runner {
    fn header(&mut self) -> Header {
        self.shown += 1;
        Header::now(&self.run, self.shown)
    }

    /// Two sides, once everything was read.
    fn compare(&mut self) -> Result<(), Failure> {
        let last = self.files.len().saturating_sub(1);
        let at = &self.args.at;
        // Of two logs a single moment is meant for both.
        let wanted = |index: usize| {
            if last == 0 { at.clone() } else { at.get(index).or(at.last()).cloned().into_iter().collect() }
        };
        let mut selection: Vec<InputSelection> =
            (0..=last).map(|index| InputSelection::new(&wanted(index))).collect();
        self.logs.read(&mut |moment| {
            if let Some(selection) = selection.get_mut(moment.input) {
                if let What::Event(event) = &moment.what {
                    selection.add_event(&moment.run, event.event, event.pid);
                } else if let Some(measurement) = Measurement::from_moment(moment) {
                    selection.add(measurement);
                }
            }
            ControlFlow::Continue(())
        })?;
        let (before, after) = self.sides(&selection)?;
        self.show_changes(&before, &after).map(|_| ())
    }

    fn sides(&self, selection: &[InputSelection]) -> Result<(Measurements, Measurements), Failure> {
        let (Some(one), Some(other)) = (selection.first(), selection.last()) else {
            return Err(Failure::new("no log", ""));
        };
        let name = |index: usize| self.files.get(index).map_or("", String::as_str);
        for (selection, file) in selection.iter().zip(&self.files) {
            if selection.last().is_empty() {
                return Err(Failure::new(
                    format!("{file}: no process and no objects were measured in it"),
                    "is it a log of memmon or memobj?",
                ));
            }
        }
        if selection.len() > 1 {
            let before = one.search_result(0, name(0))?.unwrap_or_else(|| one.last());
            let after = other.search_result(0, name(1))?.unwrap_or_else(|| other.last());
            return Ok((before, after));
        }
        let before = one.search_result(0, name(0))?.unwrap_or_else(|| one.first());
        let after = one.search_result(1, name(0))?.unwrap_or_else(|| one.last());
        let place = |measurement: &Measurement| (measurement.at.input, measurement.at.line);
        if after.iter().all(|measurement| before.iter().any(|other| place(other) == place(measurement))) {
            return Err(Failure::new(
                format!("{}: both sides are the same moment", name(0)),
                "a comparison needs two; record more, or name another by --at",
            ));
        }
        Ok((before, after))
    }

    /// Each record with the one before, as they come.
    fn stream(&mut self) -> Result<(), Failure> {
        let mut pairs = SuccessivePairs::new(self.args.every.map_or(1, std::num::NonZeroUsize::get));
        let mut result: Result<(), Failure> = Ok(());
        let logs = self.logs.clone();
        let mut each = |moment: Moment| {
            let Some((before, after)) =
                Measurement::from_moment(moment).and_then(|measurement| pairs.next(measurement))
            else {
                return ControlFlow::Continue(());
            };
            match self.show_changes(&vec![before], &vec![after]) {
                Ok(flow) => flow,
                Err(failure) => {
                    result = Err(failure);
                    ControlFlow::Break(())
                }
            }
        };
        logs.read(&mut each).and(result)?;
        if self.shown == 0 {
            let far = self.args.every.map_or(1, std::num::NonZeroUsize::get);
            return Err(Failure::new(
                format!("{}: no two records of one process, {far} apart", self.files.join(", ")),
                "a comparison needs two; record more",
            ));
        }
        Ok(())
    }

    fn show_changes(
        &mut self,
        before: &Measurements,
        after: &Measurements,
    ) -> Result<ControlFlow<()>, Failure> {
        let header = self.header();
        let delta = delta::compare(header, before, after, &self.files, &self.bounds);
        self.grew |= delta.record.grew;
        let threshold = threshold(&self.bounds);
        self.output.show(&Report::Changes {
            record: &delta.record,
            grown: &delta.grown,
            notes: &delta.notes,
            threshold: &threshold,
        })
    }

    /// Every series over all moments, at the end; with `--every` in between too.
    fn trend(&mut self) -> Result<(), Failure> {
        let mut series = SeriesSet::default();
        let every = self.args.every.map_or(u64::MAX, |every| u64::try_from(every.get()).unwrap_or(u64::MAX));
        let logs = self.logs.clone();
        let mut result: Result<(), Failure> = Ok(());
        let mut is_shown = false;
        let mut is_closed = false;
        let mut each = |moment: Moment| {
            if !series.add(&moment) {
                return ControlFlow::Continue(());
            }
            is_shown = series.measured().is_multiple_of(every);
            if !is_shown {
                return ControlFlow::Continue(());
            }
            match self.show_verdicts(&series) {
                Ok(flow) => {
                    is_closed = flow.is_break();
                    flow
                }
                Err(failure) => {
                    result = Err(failure);
                    ControlFlow::Break(())
                }
            }
        };
        logs.read(&mut each).and(result)?;
        if series.measured() == 0 {
            return Err(Failure::new(
                format!("{}: no process and no objects were measured", self.files.join(", ")),
                "is it a log of memmon or memobj?",
            ));
        }
        if !is_shown && !is_closed {
            return self.show_verdicts(&series).map(|_| ());
        }
        Ok(())
    }

    fn show_verdicts(&mut self, series: &SeriesSet) -> Result<ControlFlow<()>, Failure> {
        let Some((first, last)) = series.ends() else { return Ok(ControlFlow::Continue(())) };
        let header = self.header();
        let verdicts = series.verdicts();
        // What is said last counts: a verdict on more moments replaces the one before.
        self.grew = verdicts.iter().any(|verdict| verdict::is_growing_beyond(verdict, &self.bounds));
        let record = DiffRecord {
            verdicts,
            series_omitted: series.omitted(),
            grew: self.grew,
            ..DiffRecord::new(header, first.mark(&self.files), last.mark(&self.files))
        };
        self.output.show(&Report::Verdicts { record: &record, measured: series.measured() })
    }
}
