//! Moments as people name them: clock times, dates, and so long before the end.

use std::sync::OnceLock;

use common::time::parse_duration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// A day.
pub const DAY_MS: i64 = 86_400_000;

/// The system's time zone: all times in pictures are in it.
#[must_use]
pub fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

/// The local date and time of a moment. Moments outside the years that calendars have are put at their ends.
#[must_use]
pub fn local(unix_ms: i64, zone: &TimeZone) -> ZonedDateTime {
    let end = if unix_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(unix_ms).unwrap_or(end).to_zoned_datetime(zone.clone())
}

/// The moment of a local date and time; where a clock was put forward, the one after the gap.
#[must_use]
pub fn to_unix_ms(local: DateTime, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_timestamp(local).ok()?.as_millisecond())
}

/// A clock time and, where seconds say more, these: `14:25`, `14:25:07`.
#[must_use]
pub fn time_of_day(unix_ms: i64, zone: &TimeZone, with_seconds: bool) -> String {
    local(unix_ms, zone).strftime(if with_seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
}

/// A date: `24 Nov 2026`.
#[must_use]
pub fn date(unix_ms: i64, zone: &TimeZone) -> String {
    local(unix_ms, zone).strftime("%-d %b %Y").to_string()
}

/// A moment as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBound {
    /// This one, in milliseconds since 1970.
    At(i64),
    /// Whenever the clock showed this.
    ClockTime(Time),
    /// So many milliseconds before the end of the log.
    BeforeEnd(i64),
}

impl TimeBound {
    /// Reads `14:25`, `14:25:30`, `-2h`, `2026-11-24`, `2026-11-24 14:25` (local) or RFC 3339.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(back) = text.strip_prefix('-') {
            let back = parse_duration(back).map_err(|error| error.to_string())?;
            return Ok(Self::BeforeEnd(i64::try_from(back.as_millis()).unwrap_or(i64::MAX)));
        }
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::At(moment.as_millisecond()));
        }
        let day = text
            .parse::<Date>()
            .ok()
            .filter(|_| text.len() == 10)
            .map(|date| date.to_datetime(Time::midnight()));
        let local = day.or_else(|| text.parse::<DateTime>().ok().filter(|_| text.len() > 10));
        if let Some(moment) = local.and_then(|local| to_unix_ms(local, zone())) {
            return Ok(Self::At(moment));
        }
        let looks_like_time = text.len() >= 4 && text.contains(':');
        let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
        if let Some(time) = padded.parse::<Time>().ok().filter(|_| looks_like_time) {
            return Ok(Self::ClockTime(time));
        }
        Err(format!(
            "'{text}' is no moment: write a clock time (14:25), a time before the end (-2h), or a date (2026-11-24 14:25)"
        ))
    }
}

/// The last moment at or before `unix_ms` at which the clock showed `time`.
#[must_use]
pub fn last_time_before(time: Time, unix_ms: i64, zone: &TimeZone) -> i64 {
    let mut date = local(unix_ms, zone).date();
    for _ in 0..3 {
        if let Some(found) = to_unix_ms(date.to_datetime(time), zone).filter(|found| *found <= unix_ms) {
            return found;
        }
        let Ok(yesterday) = date.yesterday() else { break };
        date = yesterday;
    }
    unix_ms
}

/// The first moment after `unix_ms` at which the clock showed `time`.
#[must_use]
pub fn next_time_after(time: Time, unix_ms: i64, zone: &TimeZone) -> i64 {
    let mut date = local(unix_ms, zone).date();
    for _ in 0..3 {
        if let Some(found) = to_unix_ms(date.to_datetime(time), zone).filter(|found| *found > unix_ms) {
            return found;
        }
        let Ok(tomorrow) = date.tomorrow() else { break };
        date = tomorrow;
    }
    unix_ms.saturating_add(DAY_MS)
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
                    .is_err_and(|error| error.contains("no moment") || error.contains("duration")),
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
