//! The time axis: ticks at round local times, and the date wherever it changes.

use super::tick::Tick;
use crate::clock::{DAY_MS, local, to_unix_ms};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

/// Steps below a day, in milliseconds. Each divides a day.
const CLOCK_STEPS: [i64; 25] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
    600_000, 900_000, 1_800_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000,
];

/// Steps of whole days.
const DAY_STEPS: [i64; 3] = [1, 2, 7];

/// Steps of whole months.
const MONTH_STEPS: [i64; 9] = [1, 3, 6, 12, 24, 60, 120, 1200, 12_000];

const SECOND_MS: i64 = 1000;

/// A time axis.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeScale {
    /// The first moment.
    pub from: i64,
    /// The last moment, always after the first.
    pub to: i64,
    /// Round local times.
    pub ticks: Vec<Tick<i64>>,
    /// Dates (years on an axis of days) at the first tick and wherever they change.
    pub dates: Vec<Tick<i64>>,
    /// The moment, if there is only one. It is drawn as wide as the axis.
    pub only: Option<i64>,
}

/// The local times of the ticks, and the formats of ticks and dates.
struct TickSeries {
    start: Option<DateTime>,
    step: Span,
    tick_format: &'static str,
    date_format: &'static str,
}

impl TimeScale {
    /// An axis with at most about `most` ticks. A single moment has the only tick, in the middle.
    pub fn new((from, to): (i64, i64), most: usize, zone: &TimeZone) -> Self {
        if to <= from {
            return Self::of_moment(from, zone);
        }
        let least = to.saturating_sub(from) / i64::try_from(most.max(1)).unwrap_or(1) + 1;
        let series = tick_series(least, local(from, zone).datetime());
        let format = |at: i64, format: &str| local(at, zone).strftime(format).to_string();
        let mut scale = Self { from, to, ticks: Vec::new(), dates: Vec::new(), only: None };
        for at in series.moments(from, to, zone) {
            scale.ticks.push(Tick { at, label: format(at, series.tick_format) });
            let date = format(at, series.date_format);
            if !date.is_empty() && scale.dates.last().is_none_or(|last| last.label != date) {
                scale.dates.push(Tick { at, label: date });
            }
        }
        if scale.ticks.is_empty() {
            scale.dates.push(Tick { at: from, label: format(from, "%-d %b %Y %H:%M:%S") });
        }
        scale
    }

    fn of_moment(at: i64, zone: &TimeZone) -> Self {
        let tick = |format: &str| vec![Tick { at, label: local(at, zone).strftime(format).to_string() }];
        Self {
            from: at.saturating_sub(SECOND_MS),
            to: at.saturating_add(SECOND_MS),
            ticks: tick("%H:%M:%S"),
            dates: tick("%-d %b %Y"),
            only: Some(at),
        }
    }

    /// The position of a moment on the axis, 0 to 1.
    pub fn fraction(&self, unix_ms: i64) -> f64 {
        unix_ms.saturating_sub(self.from) as f64 / self.to.saturating_sub(self.from) as f64
    }
}

/// The smallest step of at least `least` milliseconds, counted from at or before `from`.
fn tick_series(least: i64, from: DateTime) -> TickSeries {
    let midnight = from.date().to_datetime(Time::midnight());
    if let Some(&step) = CLOCK_STEPS.iter().find(|step| **step >= least) {
        let since_midnight = from.duration_since(midnight).as_millis();
        let past = SignedDuration::from_millis(i64::try_from(since_midnight).unwrap_or(0) % step);
        let tick_format = match step {
            ..1000 => "%H:%M:%S%.3f",
            1000..60_000 => "%H:%M:%S",
            _ => "%H:%M",
        };
        let start = Some(from.saturating_sub(past));
        return TickSeries {
            start,
            step: Span::new().milliseconds(step),
            tick_format,
            date_format: "%-d %b %Y",
        };
    }
    if let Some(&days) = DAY_STEPS.iter().find(|days| **days * DAY_MS >= least) {
        // Weeks begin on Monday.
        let past = if days == 7 { from.date().weekday().to_monday_zero_offset() } else { 0 };
        let start = Some(midnight.saturating_sub(Span::new().days(past)));
        return TickSeries { start, step: Span::new().days(days), tick_format: "%-d %b", date_format: "%Y" };
    }
    let months = MONTH_STEPS.into_iter().find(|months| months * 30 * DAY_MS >= least).unwrap_or(12_000);
    let index = (i64::from(from.year()) * 12 + i64::from(from.month()) - 1).div_euclid(months) * months;
    let year = i16::try_from(index.div_euclid(12)).ok();
    let month = i8::try_from(index.rem_euclid(12) + 1).ok();
    let first = year.zip(month).and_then(|(year, month)| Date::new(year, month, 1).ok());
    let start = first.map(|date| date.to_datetime(Time::midnight()));
    let (tick_format, date_format) = if months < 12 { ("%b", "%Y") } else { ("%Y", "") };
    TickSeries { start, step: Span::new().months(months), tick_format, date_format }
}

impl TickSeries {
    /// The moments from `from` to `to` when the local clock shows these times.
    fn moments(&self, from: i64, to: i64, zone: &TimeZone) -> Vec<i64> {
        let mut moments: Vec<i64> = Vec::new();
        let times = self.start.into_iter().flat_map(|start| start.series(self.step));
        for at in times.filter_map(|time| to_unix_ms(time, zone)).take_while(|at| *at <= to) {
            // Times that the clock skips all count as the moment after the gap.
            if at >= from && moments.last().is_none_or(|last| *last < at) {
                moments.push(at);
            }
        }
        moments
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
        assert_eq!((labels(&one.ticks), labels(&one.dates)), (vec!["19:50:10"], vec!["24 Nov 2026"]));
        assert_eq!((one.fraction(one.ticks[0].at), one.only), (0.5, Some(one.ticks[0].at)));
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
