//! The flow: arguments, logs, moments or series, reports, exit code.

mod input;
#[cfg(unix)]
mod interruptible;
mod output;

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use common::cli::Failure;
use common::log::{Input, Moment, MomentData};
use common::record::{DiffRecord, Header, Run};
use common::stdio::{escape_controls, say};
use common::units::Bytes;

// Elsewhere Ctrl-C ends memdiff.
#[cfg(not(unix))]
use self::input::read_files as read_interruptible;
#[cfg(unix)]
use self::interruptible::read_interruptible;
use self::output::Output;
use crate::align;
use crate::cli::{Args, DEFAULT_THRESHOLD_BYTES, FailOn};
use crate::delta::{self, GrowthThreshold};
use crate::measurement::Measurement;
use crate::selection::{InputSelection, SuccessivePairs};
use crate::table::Report;
use crate::verdict::{self, SeriesSet};

/// The name of the tool in messages.
const TOOL: &str = "memdiff";

/// The exit code for growth; diff(1) has the same for differences.
const EXIT_GREW: u8 = 1;

/// Runs memdiff; returns the exit code.
///
/// # Errors
/// Arguments that contradict each other, and logs that cannot be read or have nothing to compare.
pub fn run(args: Args) -> Result<u8, Failure> {
    check(&args)?;
    let inputs = Input::from_args(&args.logs);
    let mut runner = Runner {
        // The statistics of --trend have a threshold of their own.
        threshold: GrowthThreshold::new(
            &args.threshold,
            if args.trend { 0 } else { DEFAULT_THRESHOLD_BYTES },
        ),
        output: Output::new(&args),
        run: Run::start(),
        shown: 0,
        grew: false,
        files: inputs.iter().map(Input::name).collect(),
        has_stdin: args.logs.is_empty() || count_stdin(&args) > 0,
        inputs,
        args,
    };
    let is_single = runner.inputs.len() == 1 && runner.args.at.is_empty();
    if runner.args.trend {
        runner.judge_series()?;
    } else if is_single && (runner.has_stdin || runner.args.every.is_some()) {
        runner.compare_successive()?;
    } else {
        runner.compare_sides()?;
    }
    let fails = runner.grew && runner.args.fail_on != Some(FailOn::Never);
    Ok(if fails { EXIT_GREW } else { 0 })
}

fn count_stdin(args: &Args) -> usize {
    args.logs.iter().filter(|log| log.as_os_str() == "-").count()
}

fn check(args: &Args) -> Result<(), Failure> {
    let nothing = args.logs.is_empty() && io::stdin().is_terminal();
    let (logs, moments, compares) = (args.logs.len(), args.at.len(), !args.trend);
    let mistakes = [
        (nothing, "nothing to compare", "give one log or two, or pipe one in; see memdiff --help"),
        (count_stdin(args) > 1, "- is given twice", "there is only one standard input"),
        (
            args.trend && args.fail_on == Some(FailOn::Grown),
            "--fail-on grown compares two moments",
            "omit --trend, or use --fail-on growing",
        ),
        (compares && logs > 2, "more than two logs", "give one or two, or --trend to judge all of them"),
        (compares && moments > 2, "--at is given more than twice", "a comparison has two sides"),
        (
            compares && logs == 2 && args.every.is_some(),
            "--every needs a single log",
            "omit it, or give one log",
        ),
        (
            compares && args.fail_on == Some(FailOn::Growing),
            "--fail-on growing needs --trend",
            "two moments do not show a trend",
        ),
    ];
    let mistake = mistakes.into_iter().find(|(is_made, ..)| *is_made);
    mistake.map_or(Ok(()), |(_, what, hint)| Err(Failure::new(what, hint)))
}

/// A threshold for people: `4.00 MiB`, `4.00 MiB and 10 %`.
fn describe_threshold(threshold: &GrowthThreshold) -> String {
    let bytes = Bytes(threshold.bytes);
    if threshold.ratio > 0.0 {
        let percent = format!("{:.2}", threshold.ratio * 100.0);
        format!("{bytes} and {} %", percent.trim_end_matches('0').trim_end_matches('.'))
    } else {
        bytes.to_string()
    }
}

/// The state of a run.
struct Runner {
    args: Args,
    threshold: GrowthThreshold,
    output: Output,
    run: Run,
    /// The number of reports shown.
    shown: u64,
    grew: bool,
    inputs: Vec<Input>,
    has_stdin: bool,
    /// The names of the inputs.
    files: Vec<String>,
}

impl Runner {
    /// Reads all inputs; `each` may end it.
    fn read(
        &mut self,
        mut each: impl FnMut(&mut Self, Moment) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let (inputs, has_stdin) = (self.inputs.clone(), self.has_stdin);
        let mut result = Ok(());
        let mut each = |moment: Moment| {
            each(self, moment).unwrap_or_else(|failure| {
                result = Err(failure);
                ControlFlow::Break(())
            })
        };
        if has_stdin {
            read_interruptible(&inputs, &mut each)?;
        } else {
            input::read_files(&inputs, &mut each)?;
        }
        result
    }

    fn header(&mut self) -> Header {
        self.shown += 1;
        Header::now(&self.run, self.shown)
    }

    /// Compares two moments after all was read.
    fn compare_sides(&mut self) -> Result<(), Failure> {
        let last = self.inputs.len().saturating_sub(1);
        // With two logs, a single --at is for both.
        let wanted = |at: &[_], index: usize| match last {
            0 => at.to_vec(),
            _ => at.get(index).or(at.last()).cloned().into_iter().collect(),
        };
        let mut selections: Vec<InputSelection> =
            (0..=last).map(|index| InputSelection::new(&wanted(&self.args.at, index))).collect();
        self.read(|_, moment| {
            if let Some(selection) = selections.get_mut(moment.input) {
                if let MomentData::Event(event) = &moment.data {
                    selection.add_event(&moment.run, event.event, event.pid);
                } else if let Some(measurement) = Measurement::from_moment(moment) {
                    selection.add(measurement);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let (before, after) = self.sides(&selections)?;
        if let Some(warning) = different_programs(&before, &after) {
            say(TOOL, &warning);
        }
        self.show_changes(&before, &after).map(|_| ())
    }

    fn sides(&self, selections: &[InputSelection]) -> Result<(Vec<Measurement>, Vec<Measurement>), Failure> {
        for (selection, file) in selections.iter().zip(&self.files) {
            if selection.last().is_empty() {
                return Err(nothing_measured(file));
            }
        }
        let name = |index: usize| self.files.get(index).map_or("", String::as_str);
        match selections {
            [one] => {
                let before = one.wanted(0, name(0))?.unwrap_or_else(|| one.first());
                let after = one.wanted(1, name(0))?.unwrap_or_else(|| one.last());
                let place = |measurement: &Measurement| (measurement.origin.input, measurement.origin.line);
                if after.iter().all(|later| before.iter().any(|earlier| place(earlier) == place(later))) {
                    return Err(Failure::new(
                        format!("{}: both sides are the same moment", name(0)),
                        "a comparison needs two: record longer, or choose another moment with --at",
                    ));
                }
                Ok((before, after))
            }
            [one, .., other] => {
                let before = one.wanted(0, name(0))?.unwrap_or_else(|| one.last());
                let after = other.wanted(0, name(1))?.unwrap_or_else(|| other.last());
                Ok((before, after))
            }
            [] => Err(Failure::new("no log", "")),
        }
    }

    /// Compares each record with an earlier one, as they come.
    fn compare_successive(&mut self) -> Result<(), Failure> {
        let distance = self.args.every.map_or(1, NonZeroUsize::get);
        let mut pairs = SuccessivePairs::new(distance);
        self.read(|runner, moment| {
            let pair = Measurement::from_moment(moment).and_then(|measurement| pairs.add(measurement));
            let Some((before, after)) = pair else { return Ok(ControlFlow::Continue(())) };
            runner.show_changes(&[before], &[after])
        })?;
        if self.shown == 0 {
            return Err(Failure::new(
                format!("{}: no two records of one process, {distance} apart", self.files.join(", ")),
                "a comparison needs two: record longer",
            ));
        }
        Ok(())
    }

    fn show_changes(
        &mut self,
        before: &[Measurement],
        after: &[Measurement],
    ) -> Result<ControlFlow<()>, Failure> {
        let header = self.header();
        let comparison = delta::compare(header, before, after, &self.files, &self.threshold);
        self.grew |= comparison.record.grew;
        let threshold = describe_threshold(&self.threshold);
        self.output.show(&Report::Changes { comparison: &comparison, threshold: &threshold })
    }

    /// Judges all series at the end; with `--every` in between too.
    fn judge_series(&mut self) -> Result<(), Failure> {
        let mut series = SeriesSet::default();
        let every = self.args.every.map_or(u64::MAX, |every| u64::try_from(every.get()).unwrap_or(u64::MAX));
        let mut is_shown = false;
        let mut is_closed = false;
        self.read(|runner, moment| {
            if !series.add(&moment) {
                return Ok(ControlFlow::Continue(()));
            }
            is_shown = series.measured().is_multiple_of(every);
            let flow = if is_shown { runner.show_verdicts(&series)? } else { ControlFlow::Continue(()) };
            is_closed = flow.is_break();
            Ok(flow)
        })?;
        if series.measured() == 0 {
            return Err(nothing_measured(&self.files.join(", ")));
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
        // The last verdicts count: they are on more moments.
        self.grew = verdicts.iter().any(|verdict| verdict::is_growing_beyond(verdict, &self.threshold));
        let record = DiffRecord {
            verdicts,
            series_omitted: series.dropped(),
            grew: self.grew,
            ..DiffRecord::new(header, first.to_moment_ref(&self.files), last.to_moment_ref(&self.files))
        };
        self.output.show(&Report::Verdicts { record: &record, measured: series.measured() })
    }
}

/// A warning, if no program is on both sides: the differences between two programs are no growth.
fn different_programs(before: &[Measurement], after: &[Measurement]) -> Option<String> {
    let programs = |side: &[Measurement]| -> Vec<String> {
        let all = side.iter().map(Measurement::program).filter(|program| !program.is_empty());
        all.map(|program| escape_controls(&align::shorten_command(program)).into_owned()).collect()
    };
    let (before, after) = (programs(before), programs(after));
    let (first, second) = (before.first()?, after.first()?);
    let is_common = before.iter().any(|program| after.contains(program));
    (!is_common).then(|| format!("warning: these are different programs: {first}; and {second}"))
}

fn nothing_measured(files: &str) -> Failure {
    Failure::new(
        format!("{files}: no measurements of processes or objects"),
        "is it a log of memmon or memobj?",
    )
}
