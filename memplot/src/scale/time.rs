//! The axis of time: round moments of the local clock, and the date wherever it changes.

use std::ops::Range;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};

use super::{Tick, interpolate};
use crate::clock::{DAY_MS, local, to_unix_ms};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Steps that the clock has, below a day.
const STEPS: [i64; 25] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND_MS,
    2 * SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    15 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
];

/// Steps of whole days.
const DAYS: [i64; 3] = [1, 2, 7];

/// Steps of whole months.
const MONTHS: [i64; 9] = [1, 3, 6, 12, 24, 60, 120, 1200, 12_000];

/// An axis of time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeScale {
    /// The first moment.
    pub from: i64,
    /// The last one; later than the first.
    pub to: i64,
    /// Round moments.
    pub ticks: Vec<Tick<i64>>,
    /// Dates (years on an axis of days), at the first tick and at those where they change.
    pub dates: Vec<Tick<i64>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Clock(i64),
    Days(i64),
    Months(i64),
}

impl TimeScale {
    /// An axis from `from` to `to` with at most about `most` ticks. One moment gets some time around it.
    #[must_use]
    pub fn new((from, to): (i64, i64), most: usize, zone: &TimeZone) -> Self {
        let around = 5 * SECOND_MS;
        let (from, to) =
            if to > from { (from, to) } else { (from.saturating_sub(around), from.saturating_add(around)) };
        let span = to.saturating_sub(from);
        let least = span / i64::try_from(most.max(1)).unwrap_or(1) + 1;
        let step = step(least);
        let moments = match step {
            Step::Clock(step) => clock_moments(from, to, step, zone),
            Step::Days(days) => day_moments(from, to, days, zone),
            Step::Months(months) => month_moments(from, to, months, zone),
        };
        let pattern = match step {
            Step::Clock(step) if step < SECOND_MS => "%H:%M:%S%.3f",
            Step::Clock(step) if step < MINUTE_MS => "%H:%M:%S",
            Step::Clock(_) => "%H:%M",
            Step::Days(_) => "%-d %b",
            Step::Months(months) if months < 12 => "%b",
            Step::Months(_) => "%Y",
        };
        let words = |at: i64, pattern: &str| local(at, zone).strftime(pattern).to_string();
        let ticks: Vec<Tick<i64>> =
            moments.iter().map(|&at| Tick { at, label: words(at, pattern) }).collect();
        let date_pattern = match step {
            Step::Clock(_) => "%-d %b %Y",
            Step::Days(_) => "%Y",
            Step::Months(months) if months < 12 => "%Y",
            Step::Months(_) => "",
        };
        let mut dates: Vec<Tick<i64>> = Vec::new();
        for &at in &moments {
            let label = words(at, date_pattern);
            if !label.is_empty() && dates.last().is_none_or(|last| last.label != label) {
                dates.push(Tick { at, label });
            }
        }
        if moments.is_empty() {
            dates.push(Tick { at: from, label: words(from, "%-d %b %Y %H:%M:%S") });
        }
        Self { from, to, ticks, dates }
    }

    /// How far right a moment is, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a picture has no more than 53 bits of resolution")]
    pub fn fraction(&self, unix_ms: i64) -> f64 {
        unix_ms.saturating_sub(self.from) as f64 / self.to.saturating_sub(self.from) as f64
    }
}

fn step(least: i64) -> Step {
    if let Some(&step) = STEPS.iter().find(|step| **step >= least) {
        return Step::Clock(step);
    }
    if let Some(&days) = DAYS.iter().find(|days| **days * DAY_MS >= least) {
        return Step::Days(days);
    }
    let months = MONTHS.iter().find(|months| **months * 30 * DAY_MS >= least);
    Step::Months(months.copied().unwrap_or(12_000))
}

/// Moments at which the local clock shows a multiple of `step` since midnight.
fn clock_moments(from: i64, to: i64, step: i64, zone: &TimeZone) -> Vec<i64> {
    // As if the local clock were UTC: multiples of a step that divides the day are the same on every day.
    let offset = |unix_ms: i64| i64::from(local(unix_ms, zone).offset().seconds()) * SECOND_MS;
    let mut clock = from.saturating_add(offset(from)).div_euclid(step).saturating_mul(step);
    let mut moments = Vec::new();
    // A clock that is put back shows the same twice; one more day's worth of steps is enough for that.
    for _ in 0..(to.saturating_sub(from) / step + DAY_MS / step.max(MINUTE_MS) + 2).min(5000) {
        let Some(date_time) = as_date_time(clock) else { break };
        if let Some(found) = to_unix_ms(date_time, zone) {
            if found > to {
                break;
            }
            if found >= from && moments.last().is_none_or(|last| *last < found) {
                moments.push(found);
            }
        }
        clock = clock.saturating_add(step);
    }
    moments
}

fn as_date_time(clock_ms: i64) -> Option<DateTime> {
    let timestamp = jiff::Timestamp::from_millisecond(clock_ms).ok()?;
    Some(TimeZone::UTC.to_datetime(timestamp))
}

/// Midnights, every `days` of them; weeks begin on Monday.
fn day_moments(from: i64, to: i64, days: i64, zone: &TimeZone) -> Vec<i64> {
    let mut date = local(from, zone).date();
    if days == 7 {
        let past = i64::from(date.weekday().to_monday_zero_offset());
        date = date.saturating_sub(jiff::Span::new().days(past));
    }
    let mut moments = Vec::new();
    while let Some(at) = midnight(date, zone).filter(|at| *at <= to) {
        if at >= from {
            moments.push(at);
        }
        let Ok(next) = date.checked_add(jiff::Span::new().days(days)) else { break };
        date = next;
    }
    moments
}

/// First days of months, of every so many, counted from January of the year 0.
fn month_moments(from: i64, to: i64, months: i64, zone: &TimeZone) -> Vec<i64> {
    let date = local(from, zone).date();
    let mut month = (i64::from(date.year()) * 12 + i64::from(date.month()) - 1).div_euclid(months) * months;
    let mut moments = Vec::new();
    loop {
        let year = i16::try_from(month.div_euclid(12)).ok();
        let of_year = i8::try_from(month.rem_euclid(12) + 1).ok();
        let date = year.zip(of_year).and_then(|(year, month)| Date::new(year, month, 1).ok());
        match date.and_then(|date| midnight(date, zone)) {
            Some(at) if at > to => break,
            Some(at) if at >= from => moments.push(at),
            Some(_) => {}
            None if month > i64::from(date.map_or(0, |date| i32::from(date.year()))) * 12 => break,
            None => {}
        }
        month += months;
    }
    moments
}

fn midnight(date: Date, zone: &TimeZone) -> Option<i64> {
    to_unix_ms(date.at(0, 0, 0, 0), zone)
}

impl Ranged for TimeScale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = i64;

    fn map(&self, value: &i64, limit: (i32, i32)) -> i32 {
        interpolate(limit.0, limit.1, self.fraction(*value))
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<i64> {
        self.ticks.iter().map(|tick| tick.at).collect()
    }

    fn range(&self) -> Range<i64> {
        self.from..self.to
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    fn labels(ticks: &[Tick<i64>]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn scale(from: &str, to: &str) -> TimeScale {
        TimeScale::new((at(from), at(to)), 6, &TimeZone::UTC)
    }

    #[test]
    fn date_labels_where_date_changes() {
        let minutes = scale("2026-11-24T19:50:10Z", "2026-11-24T20:04:00Z");
        assert_eq!(labels(&minutes.ticks), ["19:55", "20:00"]);
        assert_eq!(labels(&minutes.dates), ["24 Nov 2026"]);
        let night = scale("2026-11-24T22:00:00Z", "2026-11-25T03:00:00Z");
        assert_eq!(labels(&night.ticks), ["22:00", "23:00", "00:00", "01:00", "02:00", "03:00"]);
        assert_eq!(labels(&night.dates), ["24 Nov 2026", "25 Nov 2026"]);
        assert_eq!(night.dates[1].at, at("2026-11-25T00:00:00Z"));
    }

    #[test]
    fn long_logs_use_calendar_ticks() {
        assert_eq!(labels(&scale("2026-11-20T05:00:00Z", "2026-11-24T05:00:00Z").ticks)[0], "21 Nov");
        let weeks = scale("2026-11-20T05:00:00Z", "2026-12-30T05:00:00Z");
        assert_eq!(labels(&weeks.ticks)[..2], ["23 Nov", "30 Nov"]);
        let months = scale("2026-01-20T05:00:00Z", "2027-02-20T05:00:00Z");
        assert_eq!(labels(&months.ticks), ["Apr", "Jul", "Oct", "Jan"]);
        assert_eq!(labels(&months.dates), ["2026", "2027"]);
        let years = scale("2016-01-20T05:00:00Z", "2026-02-20T05:00:00Z");
        assert_eq!(labels(&years.ticks), ["2018", "2020", "2022", "2024", "2026"]);
    }

    #[test]
    fn tiny_time_spans_have_an_axis() {
        let one = scale("2026-11-24T19:50:10Z", "2026-11-24T19:50:10Z");
        assert!(one.to > one.from && !one.ticks.is_empty());
        let short = TimeScale::new((5, 8), 4, &TimeZone::UTC);
        assert_eq!(labels(&short.ticks)[0], "00:00:00.005");
    }

    #[test]
    fn ticks_stay_round_across_dst() {
        let Ok(zone) = TimeZone::get("Europe/Berlin") else { return };
        let scale = TimeScale::new((at("2026-03-28T20:00:00Z"), at("2026-03-29T06:00:00Z")), 12, &zone);
        assert_eq!(
            labels(&scale.ticks)[..7],
            ["21:00", "22:00", "23:00", "00:00", "01:00", "03:00", "04:00"]
        );
    }

    proptest! {
        #[test]
        fn any_span_has_few_ticks(from in -4_000_000_000_000_i64..8_000_000_000_000, span in 10_i64..2_000_000_000_000) {
            let scale = TimeScale::new((from, from.saturating_add(span)), 8, &TimeZone::UTC);
            prop_assert!(scale.ticks.len() <= 12, "{:?}", scale.ticks);
            prop_assert!(scale.ticks.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert!(scale.ticks.iter().all(|tick| tick.at >= scale.from && tick.at <= scale.to));
        }
    }
}
