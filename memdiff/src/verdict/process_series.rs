//! The series of one process in one run.

use std::collections::HashMap;
use std::sync::Arc;

use common::record::{SeriesKind, TrendKind, Verdict};

use super::key::{BYTES_OF_COUNT, ProcessKey, SeriesName, is_count, is_listed};
use super::limits::{MemoryLimits, milliseconds};
use super::run_clock::MomentContext;
use super::series::Series;
use crate::align;
use crate::measurement::local_stamp;

const HOUR: f64 = 3600.0;

/// A process and its series.
#[derive(Debug, Default)]
pub(super) struct ProcessSeries {
    pub(super) host: Arc<str>,
    name: Arc<str>,
    /// The command line of its name, to notice changes cheaply.
    cmdline: Option<Arc<str>>,
    /// The root of its tree; `None` for a root.
    pub(super) root: Option<ProcessKey>,
    /// Whether it is a child of a root that was not measured with it.
    pub(super) is_child: bool,
    /// Whether its end was recorded.
    pub(super) has_ended: bool,
    pub(super) has_had_children: bool,
    /// The number of the last measurement of its tree that it was in.
    pub(super) last_measurement: u64,
    pub(super) series: HashMap<SeriesName, Series>,
}

impl ProcessSeries {
    pub(super) fn new(host: &Arc<str>, name: &Arc<str>) -> Self {
        Self { host: Arc::clone(host), name: Arc::clone(name), ..Self::default() }
    }

    /// Names the process by its command line, or by `name` if there is none.
    pub(super) fn update_name(&mut self, cmdline: Option<&Arc<str>>, name: &Arc<str>) {
        match cmdline.filter(|line| !line.is_empty()) {
            Some(line) if self.cmdline.as_ref() != Some(line) => {
                self.cmdline = Some(Arc::clone(line));
                self.name = align::shorten_command(line).into();
            }
            None if self.cmdline.is_none() && self.name != *name => self.name = Arc::clone(name),
            _ => {}
        }
    }

    /// Adds 0 to the series that complete lists do not have.
    pub(super) fn record_absent(&mut self, context: &MomentContext, complete: &[SeriesKind]) {
        for ((kind, _), series) in &mut self.series {
            if complete.contains(kind) && !series.is_listed(context) {
                series.push(context, 0);
            }
        }
    }

    /// The verdict on one of its series. `limits` are those of its machine, if known.
    pub(super) fn verdict(
        &self,
        key: ProcessKey,
        (kind, name): &SeriesName,
        series: &Series,
        has_ended: bool,
        limits: Option<&MemoryLimits>,
    ) -> Verdict {
        let trend = series.estimate_trend(has_ended);
        let slope = trend.line.map(|line| line.slope);
        let survival = series.seen_and_kept();
        // The growth of a list's row may be part of growth that fills memory, or not.
        let is_count = is_count(*kind);
        let fills_memory = trend.kind == TrendKind::Growing && !has_ended && !is_listed(*kind) && !is_count;
        let rate = slope.filter(|_| fills_memory).map(|slope| slope.per_second * HOUR);
        let forecast = rate.zip(limits).and_then(|(rate, limits)| limits.forecast(series.last_unix_ms, rate));
        let time = |seconds: f64| {
            local_stamp(series.last_unix_ms.saturating_sub(milliseconds(series.last_seconds - seconds)))
        };
        let is_root = self.root.is_none() && !self.is_child;
        let hourly = slope.map(|slope| [slope.per_second, slope.low, slope.high].map(|rate| rate * HOUR));
        let ends = [trend.line.map(|line| line.first), trend.last];
        let (size, number) = if is_count {
            let counts = hourly.map(|rates| rates.map(|rate| rate / BYTES_OF_COUNT as f64));
            ((None, [None; 2]), (counts, ends.map(|end| Some(bytes(end?) / BYTES_OF_COUNT))))
        } else {
            ((hourly, ends.map(|end| end.map(bytes))), (None, [None; 2]))
        };
        let rate_of = |rates: Option<[f64; 3]>| rates.map_or([None; 3], |rates| rates.map(Some));
        let [bytes_per_hour, bytes_per_hour_low, bytes_per_hour_high] = rate_of(size.0);
        let [count_per_hour, count_per_hour_low, count_per_hour_high] = rate_of(number.0);
        let ([first_bytes, last_bytes], [first_count, last_count]) = (size.1, number.1);
        Verdict {
            kind: *kind,
            name: Arc::clone(name.as_ref().unwrap_or(&self.name)),
            role: if is_root { "root".into() } else { Arc::clone(&self.name) },
            pid: (key.pid != 0).then_some(key.pid),
            trend: trend.kind,
            confidence_ratio: trend.confidence,
            bytes_per_hour,
            bytes_per_hour_low,
            bytes_per_hour_high,
            count_per_hour,
            count_per_hour_low,
            count_per_hour_high,
            from: trend.line.map(|line| time(line.from_seconds)),
            to: Some(time(series.last_seconds)),
            first_bytes,
            last_bytes,
            first_count,
            last_count,
            moments: trend.moments,
            limit_reached_at: forecast.as_ref().map(|forecast| forecast.at),
            limit_kind: forecast.as_ref().map(|forecast| forecast.of),
            limit_bytes: forecast.as_ref().map(|forecast| forecast.limit_bytes),
            new_objects: survival.map(|(seen, _)| seen),
            new_objects_survived: survival.map(|(_, kept)| kept),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
fn bytes(value: f64) -> u64 {
    value.round() as u64
}
