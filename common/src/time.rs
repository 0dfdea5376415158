//! Timestamps, durations, and a ticker without drift.
//!
//! ```
//! use std::time::Duration;
//!
//! use common::time::{Span, Stamp, parse_duration};
//!
//! let stamp: Stamp = "2026-11-23T22:27:00.123+01:00".parse().unwrap();
//! assert_eq!(stamp.format("%H:%M"), "22:27");
//! assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
//! assert_eq!(Span(Duration::from_secs(245)).to_string(), "4 min 5 s");
//! ```

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::tz::{Offset, TimeZone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A timestamp with its offset from UTC, written as RFC 3339 with milliseconds: `2026-11-23T22:27:00.123+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    moment: jiff::Timestamp,
    offset: Offset,
}

impl Default for Stamp {
    /// The start of 1970, in UTC.
    fn default() -> Self {
        Self { moment: jiff::Timestamp::UNIX_EPOCH, offset: Offset::UTC }
    }
}

impl Stamp {
    /// The current time in the system's time zone.
    #[must_use]
    pub fn now() -> Self {
        Self::local(jiff::Timestamp::now())
    }

    /// `moment` in the system's time zone, truncated to milliseconds.
    #[must_use]
    pub fn local(moment: jiff::Timestamp) -> Self {
        let moment = jiff::Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment);
        Self { moment, offset: zone().to_offset(moment) }
    }

    /// Converts seconds since 1970, negative before; `None` beyond the range of jiff.
    #[must_use]
    pub fn from_unix_seconds(seconds: f64) -> Option<Self> {
        if !seconds.is_finite() || seconds.abs() > 1e12 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded by 1e15, well inside i64")]
        let milliseconds = (seconds * 1000.0).round() as i64;
        jiff::Timestamp::from_millisecond(milliseconds).ok().map(Self::local)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> f64 {
        self.moment.as_millisecond() as f64 / 1000.0
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.moment.as_millisecond()
    }

    /// Parses a local time without offset, `2026-11-23 22:27:00`, in the system's time zone. If clocks were set back, it is the
    /// first of the two moments; if they were set forward, the old offset counts.
    #[must_use]
    pub fn from_local_text(text: &str) -> Option<Self> {
        zone().to_timestamp(text.parse().ok()?).ok().map(Self::local)
    }

    /// Formats it like [`format`](Self::format), with a pattern of the user.
    ///
    /// # Errors
    /// The pattern has an unknown conversion, or one that a time without a zone does not have.
    pub fn try_format(self, pattern: &str) -> Result<String, jiff::Error> {
        jiff::fmt::strtime::format(pattern, self.offset.to_datetime(self.moment))
    }

    /// Formats it with jiff's `strftime`, in its own offset.
    #[must_use]
    pub fn format(self, pattern: &str) -> String {
        self.offset.to_datetime(self.moment).strftime(pattern).to_string()
    }
}

/// The system's time zone at the first call.
fn zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.unsigned_abs() / 60;
        write!(f, "{}{sign}{:02}:{:02}", self.format("%Y-%m-%dT%H:%M:%S%.3f"), minutes / 60, minutes % 60)
    }
}

impl std::str::FromStr for Stamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pieces = jiff::fmt::temporal::Pieces::parse(text)?;
        let moment: jiff::Timestamp = match text.parse() {
            // jiff's moments end on 30 December 9999. RFC 3339 has one more day, and a wrong clock can show any date.
            Err(_)
                if pieces.date().year() == jiff::civil::Date::MAX.year() && has_time_and_offset(&pieces) =>
            {
                jiff::Timestamp::new(jiff::Timestamp::MAX.as_second(), LAST_MILLISECOND)?
            }
            parsed => parsed?,
        };
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        Ok(Self { moment, offset })
    }
}

/// The last millisecond of a second, in nanoseconds: records have no smaller parts.
const LAST_MILLISECOND: i32 = 999_000_000;

/// Whether a text states a moment, and not only a date or a local time.
fn has_time_and_offset(pieces: &jiff::fmt::temporal::Pieces<'_>) -> bool {
    pieces.time().is_some() && pieces.to_numeric_offset().is_some()
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The reason why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a known unit.
    #[error("'{0}' is not a duration: write seconds (0.5) or a unit, as 500ms, 2s, 1m, 3h, 1d")]
    Unreadable(String),
    /// Zero or below.
    #[error("'{0}' is not longer than zero")]
    NotPositive(String),
    /// Longer than a thousand years.
    #[error("'{0}' is too long")]
    TooLong(String),
}

/// Parses a duration: seconds (`0.5`), or numbers with a unit: `500ms`, `2s`, `1m`, `3h`, `1d`, `1h30m`.
///
/// # Errors
/// The text is no duration, zero, negative, or too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refuse = |error: fn(String) -> DurationError| Err(error(text.to_owned()));
    let mut rest = text.trim();
    if rest.starts_with('-') {
        return refuse(DurationError::NotPositive);
    }
    let mut seconds = 0.0_f64;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let factor = match unit.trim() {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            // Only a single bare number is seconds: `1m30` is a typing error.
            "" if parts == 0 && tail.is_empty() => 1.0,
            _ => return refuse(DurationError::Unreadable),
        };
        let Ok(value) = number.parse::<f64>() else { return refuse(DurationError::Unreadable) };
        seconds += value * factor;
        parts += 1;
        rest = tail;
    }
    match Duration::try_from_secs_f64(seconds) {
        _ if parts == 0 => refuse(DurationError::Unreadable),
        Ok(Duration::ZERO) => refuse(DurationError::NotPositive),
        Ok(duration) if seconds <= 3.2e10 => Ok(duration),
        _ => refuse(DurationError::TooLong),
    }
}

/// Displays a duration in its two largest units: `350 ms`, `12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0 => format!("{} ms", self.0.as_millis()),
            1..60 => format!("{seconds} s"),
            60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
            _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
        };
        f.pad(&text)
    }
}

/// One firing of a [`Ticker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The time from the ticker's start at which it was due.
    pub due: Duration,
    /// The delay after that.
    pub late: Duration,
    /// Skipped ticks before it: the program was busy or suspended, or the machine slept.
    pub missed: u64,
}

/// Deadlines at whole multiples of an interval on the monotonic clock.
///
/// Tick n is due at `start + n × interval`, independent of earlier delays and of changes of the wall clock. Late ticks are
/// skipped and counted; they never fire in a burst.
#[derive(Debug, Clone)]
pub struct Ticker {
    start: Instant,
    interval: Duration,
    next: u64,
}

impl Ticker {
    /// Creates a ticker whose first tick is due at `start`.
    #[must_use]
    pub fn new(start: Instant, interval: Duration) -> Self {
        Self { start, interval: interval.max(Duration::from_micros(1)), next: 0 }
    }

    /// When the first tick was due.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }

    /// When the next tick is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.start + self.due(self.next)
    }

    /// Fires the latest tick that is due at `now`; `None` if there is none.
    pub fn fire(&mut self, now: Instant) -> Option<Tick> {
        let elapsed = now.saturating_duration_since(self.start);
        if elapsed < self.due(self.next) {
            return None;
        }
        let current = u64::try_from(elapsed.as_nanos() / self.interval.as_nanos()).unwrap_or(u64::MAX);
        let missed = current.saturating_sub(self.next);
        let due = self.due(current);
        self.next = current.saturating_add(1);
        Some(Tick { due, late: elapsed.saturating_sub(due), missed })
    }

    fn due(&self, index: u64) -> Duration {
        let nanos = self.interval.as_nanos().saturating_mul(u128::from(index));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_parse_with_units() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("0.5", 500),
            ("500ms", 500),
            ("2s", 2000),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1.5 min", 90_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["0", "0ms", "-1", "-5s"] {
            assert!(matches!(parse_duration(text), Err(DurationError::NotPositive(_))), "{text}");
        }
        for text in ["", "soon", "1m30", "1x", "1.2.3", "s", "1e3", "inf", "NaN"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Unreadable(_))), "{text}");
        }
        assert!(matches!(parse_duration("99999999999d"), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn last_days_of_calendar_parse() {
        for (text, unix_ms) in [
            ("9999-12-30T00:00:00.000Z", 253_402_128_000_000),
            ("9999-12-30T22:00:00.999Z", 253_402_207_200_999),
            ("9999-12-31T23:59:59.999+14:00", 253_402_207_200_999),
            ("9999-12-31T23:59:59.999-12:00", 253_402_207_200_999),
        ] {
            let stamp: Stamp = text.parse().unwrap();
            assert_eq!(stamp.unix_ms(), unix_ms, "{text}");
            assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp, "{text}");
        }
        for text in ["9999-12-31", "9999-12-31T23:59:59", "9999-13-31T00:00:00Z", "10000-01-01T00:00:00Z"] {
            assert!(text.parse::<Stamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (350, "350 ms"),
            (12_345, "12 s"),
            (245_000, "4 min 5 s"),
            (12_000_000, "3 h 20 min"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(Span(Duration::from_millis(ms)).to_string(), text);
        }
    }

    #[test]
    fn stamps_keep_ms_and_offset() {
        let stamp: Stamp = "2026-11-23T22:27:00.123-03:30".parse().unwrap();
        assert_eq!(stamp.to_string(), "2026-11-23T22:27:00.123-03:30");
        assert_eq!(stamp.format("%H:%M:%S"), "22:27:00");
        let utc: Stamp = "2026-11-23T22:27:00Z".parse().unwrap();
        assert_eq!(utc.to_string(), "2026-11-23T22:27:00.000+00:00");
        assert!("yesterday".parse::<Stamp>().is_err());
        assert!(
            "2026-11-23T22:27:00".parse::<Stamp>().is_err(),
            "a record's time without an offset is ambiguous"
        );
    }

    #[test]
    fn ticker_counts_missed_ticks() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ticker = Ticker::new(start, Duration::from_millis(100));
        let ms = Duration::from_millis;
        assert_eq!(ticker.fire(at(0)), Some(Tick { due: ms(0), late: ms(0), missed: 0 }));
        assert_eq!(ticker.fire(at(99)), None);
        assert_eq!(ticker.fire(at(130)), Some(Tick { due: ms(100), late: ms(30), missed: 0 }));
        assert_eq!(ticker.deadline(), at(200), "lateness does not push the next tick");
        // Suspended for a while: the ticks in between are counted, and only one comes.
        assert_eq!(ticker.fire(at(1050)), Some(Tick { due: ms(1000), late: ms(50), missed: 8 }));
        assert_eq!(ticker.deadline(), at(1100));
    }

    proptest! {
        #[test]
        fn stamps_round_trip(seconds in -60_000_000_000_i64..250_000_000_000, millis in 0_i64..1000) {
            let stamp = Stamp::local(jiff::Timestamp::from_millisecond(seconds * 1000 + millis).unwrap());
            let back: Stamp = stamp.to_string().parse().unwrap();
            prop_assert_eq!(back.unix_seconds(), stamp.unix_seconds());
        }

        #[test]
        fn any_duration_text_is_handled(text in "\\PC*") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn ticks_add_up_to_time(steps in proptest::collection::vec(0_u64..700, 1..60)) {
            let start = Instant::now();
            let mut ticker = Ticker::new(start, Duration::from_millis(50));
            let mut now = 0;
            let (mut used, mut missed) = (0, 0);
            for step in steps {
                now += step;
                if let Some(tick) = ticker.fire(start + Duration::from_millis(now)) {
                    used += 1;
                    missed += tick.missed;
                    prop_assert!(tick.late < Duration::from_millis(50));
                }
            }
            prop_assert_eq!(used + missed, if used == 0 { 0 } else { now / 50 + 1 });
        }
    }
}
