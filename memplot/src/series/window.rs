//! The range of time to draw.

use jiff::tz::TimeZone;

use crate::clock::{TimeBound, last_time_before, next_time_after};

/// A range of time. Its ends may depend on the end of the log.
#[derive(Debug, Clone)]
pub struct TimeWindow {
    since: Option<TimeBound>,
    until: Option<TimeBound>,
    zone: TimeZone,
    /// The latest moment seen.
    newest: i64,
    /// The start, if the log ended at `newest`.
    from: i64,
    /// A clock time for `since` gives the same `from` up to this moment.
    recompute_at: i64,
}

impl TimeWindow {
    /// The range from `since` to `until`, both included.
    pub fn new(since: Option<TimeBound>, until: Option<TimeBound>, zone: &TimeZone) -> Self {
        let from = if let Some(TimeBound::At(at)) = since { at } else { i64::MIN };
        Self { since, until, zone: zone.clone(), newest: i64::MIN, from, recompute_at: i64::MIN }
    }

    /// Whether the range depends on the end of the log, so that values may have to be dropped again.
    pub fn is_relative(&self) -> bool {
        let is_relative = |bound| matches!(bound, Some(TimeBound::BeforeEnd(_) | TimeBound::ClockTime(_)));
        is_relative(self.since) || is_relative(self.until)
    }

    /// Whether a moment is in the range, as far as is known yet. A later moment moves the range.
    pub fn admits(&mut self, unix_ms: i64) -> bool {
        if unix_ms > self.newest {
            self.newest = unix_ms;
            match self.since {
                Some(TimeBound::BeforeEnd(back)) => self.from = unix_ms.saturating_sub(back),
                Some(TimeBound::ClockTime(time)) if unix_ms >= self.recompute_at => {
                    self.from = last_time_before(time, unix_ms, &self.zone);
                    self.recompute_at = next_time_after(time, unix_ms, &self.zone);
                }
                _ => {}
            }
        }
        unix_ms >= self.from && !matches!(self.until, Some(TimeBound::At(at)) if unix_ms > at)
    }

    /// The start, if the log ended now.
    pub fn from(&self) -> i64 {
        self.from
    }

    /// The end. Valid at the end of the log.
    pub fn to(&self) -> i64 {
        match self.until {
            None => i64::MAX,
            Some(TimeBound::At(at)) => at,
            Some(TimeBound::BeforeEnd(back)) => self.newest.saturating_sub(back),
            Some(TimeBound::ClockTime(time)) if self.since.is_some() => {
                next_time_after(time, self.from, &self.zone)
            }
            Some(TimeBound::ClockTime(time)) => last_time_before(time, self.newest, &self.zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn window(since: Option<&str>, until: Option<&str>) -> TimeWindow {
        let bound = |text: &str| TimeBound::parse(text).unwrap();
        TimeWindow::new(since.map(bound), until.map(bound), &TimeZone::UTC)
    }

    fn admitted(window: &mut TimeWindow, moments: &[i64]) -> Vec<bool> {
        moments.iter().map(|&moment| window.admits(moment)).collect()
    }

    #[test]
    fn relative_bounds_follow_the_log() {
        let mut window = window(Some("-2h"), Some("-30m"));
        assert!(window.is_relative());
        assert_eq!(admitted(&mut window, &[0, HOUR, 5 * HOUR, 2 * HOUR]), [true, true, true, false]);
        assert_eq!((window.from(), window.to()), (3 * HOUR, 9 * HOUR / 2));
    }

    #[test]
    fn clock_bounds_pick_nearest_days() {
        let mut window = window(Some("22:00"), Some("01:00"));
        admitted(&mut window, &[8 * HOUR, 21 * HOUR]);
        assert_eq!(window.from(), -2 * HOUR);
        admitted(&mut window, &[23 * HOUR, 26 * HOUR]);
        assert_eq!((window.from(), window.to()), (22 * HOUR, 25 * HOUR));
    }

    #[test]
    fn fixed_bounds_are_absolute() {
        let mut window = window(Some("1970-01-01T01:00:00Z"), Some("1970-01-01T02:00:00Z"));
        assert!(!window.is_relative());
        assert_eq!(admitted(&mut window, &[0, HOUR, 2 * HOUR, 3 * HOUR]), [false, true, true, false]);
    }
}
