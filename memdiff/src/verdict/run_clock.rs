//! The clocks of the runs of the logs.

use std::collections::HashMap;
use std::sync::Arc;

use common::log::Moment;

use super::key::ProcessKey;

/// The interval of a log that records none.
const DEFAULT_INTERVAL_SECONDS: f64 = 10.0;

/// The run and time of a measurement.
#[derive(Debug, Clone)]
pub(super) struct MomentContext {
    /// The number of the run.
    pub(super) run: u32,
    /// The time on the run's own clock, which is never set back.
    pub(super) seconds: f64,
    /// The time on the wall clock.
    pub(super) unix_ms: i64,
    pub(super) host: Arc<str>,
    /// Whether samples were missed just before.
    pub(super) is_after_gap: bool,
    /// About the time between two moments.
    pub(super) interval_seconds: f64,
}

impl MomentContext {
    pub(super) fn process(&self, pid: u32, start: u64) -> ProcessKey {
        ProcessKey { run: self.run, pid, start }
    }
}

/// The clocks of all runs.
#[derive(Debug, Default)]
pub(super) struct RunClocks(HashMap<Arc<str>, RunClock>);

#[derive(Debug)]
struct RunClock {
    number: u32,
    /// The latest time; before the first moment negative infinity.
    seconds: f64,
    unix_ms: i64,
    /// The last time step forward.
    step: f64,
}

impl RunClocks {
    /// The number of a run.
    pub(super) fn number(&mut self, run: &Arc<str>) -> u32 {
        self.clock(run).number
    }

    fn clock(&mut self, run: &Arc<str>) -> &mut RunClock {
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let new = || RunClock { number, seconds: f64::NEG_INFINITY, unix_ms: 0, step: 0.0 };
        self.0.entry(Arc::clone(run)).or_insert_with(new)
    }

    /// Sets the clock of its run to a moment.
    pub(super) fn advance(&mut self, moment: &Moment) -> MomentContext {
        let clock = self.clock(&moment.run);
        let is_first = clock.seconds == f64::NEG_INFINITY;
        let passed = moment.unix_ms.saturating_sub(clock.unix_ms) as f64 / 1000.0;
        let seconds = match moment.elapsed_seconds.filter(|elapsed| elapsed.is_finite()) {
            Some(elapsed) => elapsed,
            None if is_first => 0.0,
            // The wall clock was set back: assume a step as long as the last one.
            None if passed < 0.0 => clock.seconds + moment.interval_seconds.unwrap_or(clock.step),
            None => clock.seconds + passed,
        };
        if !is_first && seconds > clock.seconds {
            clock.step = seconds - clock.seconds;
        }
        clock.seconds = clock.seconds.max(seconds);
        clock.unix_ms = moment.unix_ms;
        let step = if clock.step > 0.0 { clock.step } else { DEFAULT_INTERVAL_SECONDS };
        MomentContext {
            run: clock.number,
            seconds,
            unix_ms: moment.unix_ms,
            host: Arc::clone(&moment.host),
            is_after_gap: moment.missed_ticks > 0,
            interval_seconds: moment.interval_seconds.unwrap_or(step),
        }
    }
}
