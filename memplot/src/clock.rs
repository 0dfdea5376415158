//! Local time: formatting moments, and the clock times and dates that users type.

use std::sync::OnceLock;

use common::time::parse_duration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// A day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Shorter time ranges show seconds, in milliseconds.
const SECONDS_BELOW_MS: i64 = 20 * 60_000;

/// The system's time zone, which all plots use.
pub fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

/// The local date and time of a moment, clamped to the years that the calendar supports.
pub fn local(unix_ms: i64, zone: &TimeZone) -> ZonedDateTime {
    let end = if unix_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(unix_ms).unwrap_or(end).to_zoned_datetime(zone.clone())
}

/// A local date and time in milliseconds since 1970. A time that the clock skipped counts as the moment after the gap.
pub fn to_unix_ms(local: DateTime, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_timestamp(local).ok()?.as_millisecond())
}

/// A clock time: `14:25` or `14:25:07`.
pub fn time_of_day(unix_ms: i64, zone: &TimeZone, with_seconds: bool) -> String {
    local(unix_ms, zone).strftime(if with_seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
}

/// A date: `24 Nov 2026`.
pub fn date(unix_ms: i64, zone: &TimeZone) -> String {
    local(unix_ms, zone).strftime("%-d %b %Y").to_string()
}

/// A clock time with seconds only in a short range of time.
pub fn time_within(unix_ms: i64, (from, to): (i64, i64), zone: &TimeZone) -> String {
    time_of_day(unix_ms, zone, to.saturating_sub(from) < SECONDS_BELOW_MS)
}

/// A clock time, with the date if the range covers several: `24 Nov 14:25`.
pub fn moment_within(unix_ms: i64, range: (i64, i64), zone: &TimeZone) -> String {
    let time = time_within(unix_ms, range, zone);
    if date(range.0, zone) == date(range.1, zone) {
        return time;
    }
    format!("{} {time}", local(unix_ms, zone).strftime("%-d %b"))
}

/// The start or end of a range of time, as the user gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBound {
    /// A moment in milliseconds since 1970.
    At(i64),
    /// A clock time on any day.
    ClockTime(Time),
    /// Milliseconds before the end of the log.
    BeforeEnd(i64),
}

impl TimeBound {
    /// Parses `14:25`, `14:25:30`, `-2h`, `2026-11-24`, `2026-11-24 14:25` (local) or RFC 3339.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(duration) = text.strip_prefix('-') {
            let duration = parse_duration(duration).map_err(|error| error.to_string())?;
            return Ok(Self::BeforeEnd(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::At(moment.as_millisecond()));
        }
        // jiff also accepts shorter forms, such as 20261124.
        let local = match text.len() {
            10 => text.parse::<Date>().ok().map(|date| date.to_datetime(Time::midnight())),
            11.. => text.parse::<DateTime>().ok(),
            _ => None,
        };
        if let Some(moment) = local.and_then(|local| to_unix_ms(local, zone())) {
            return Ok(Self::At(moment));
        }
        let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
        if let Some(time) = padded.parse::<Time>().ok().filter(|_| text.len() >= 4 && text.contains(':')) {
            return Ok(Self::ClockTime(time));
        }
        Err(format!(
            "'{text}' is not a time: write a clock time (14:25), a duration before the end (-2h), or a date (2026-11-24 14:25)"
        ))
    }
}

/// The last moment at or before `unix_ms` when the clock showed `time`.
pub fn last_time_before(time: Time, unix_ms: i64, zone: &TimeZone) -> i64 {
    days_from(unix_ms, -1, time, zone).find(|found| *found <= unix_ms).unwrap_or(unix_ms)
}

/// The first moment after `unix_ms` when the clock showed `time`.
pub fn next_time_after(time: Time, unix_ms: i64, zone: &TimeZone) -> i64 {
    let mut found = days_from(unix_ms, 1, time, zone);
    found.find(|found| *found > unix_ms).unwrap_or(unix_ms.saturating_add(DAY_MS))
}

/// The moments when the clock shows `time`, on the day of `unix_ms` and on two more days.
fn days_from(unix_ms: i64, step: i64, time: Time, zone: &TimeZone) -> impl Iterator<Item = i64> + '_ {
    let days = local(unix_ms, zone).date().series(jiff::Span::new().days(step));
    days.take(3).filter_map(move |day| to_unix_ms(day.to_datetime(time), zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn time_bounds_parse() {
        assert_eq!(TimeBound::parse("-2h"), Ok(TimeBound::BeforeEnd(7_200_000)));
        assert_eq!(TimeBound::parse("14:25"), Ok(TimeBound::ClockTime(jiff::civil::time(14, 25, 0, 0))));
        assert_eq!(TimeBound::parse("9:05:30"), Ok(TimeBound::ClockTime(jiff::civil::time(9, 5, 30, 0))));
        assert_eq!(
            TimeBound::parse("2026-11-24T14:25:00+01:00"),
            Ok(TimeBound::At(at("2026-11-24T13:25:00Z")))
        );
        assert!(matches!(TimeBound::parse("2026-11-24"), Ok(TimeBound::At(_))));
        assert!(matches!(TimeBound::parse("2026-11-24 14:25"), Ok(TimeBound::At(_))));
        for text in ["", "yesterday", "25:00", "-", "12", "2h", "14.25"] {
            assert!(
                TimeBound::parse(text)
                    .is_err_and(|error| error.contains("is not a time") || error.contains("duration")),
                "{text}"
            );
        }
    }

    #[test]
    fn clock_time_before_and_after() {
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let noon = to_unix_ms(jiff::civil::date(2026, 11, 24).at(12, 0, 0, 0), &zone).unwrap();
        let time = jiff::civil::time(14, 25, 0, 0);
        assert_eq!(last_time_before(time, noon, &zone), noon - DAY_MS + 145 * 60_000);
        assert_eq!(next_time_after(time, noon, &zone), noon + 145 * 60_000);
        assert_eq!(last_time_before(jiff::civil::time(12, 0, 0, 0), noon, &zone), noon);
    }
}
