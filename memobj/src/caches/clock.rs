//! The target's clocks at the moment of a census.

use common::record::CacheClock;

/// Seconds from now within which a number may be a wall-clock time: 400 days.
const WALL_RANGE: f64 = 400.0 * 86_400.0;
/// Seconds from now within which a number may be a monotonic deadline: 30 days.
const MONOTONIC_AHEAD: f64 = 30.0 * 86_400.0;

/// The clocks at the moment of a census.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReadings {
    /// Seconds since 1970.
    pub wall: f64,
    /// Seconds of the monotonic clock; `None` if not known, as of core files and snapshots.
    pub monotonic: Option<f64>,
    /// The start of the process by the monotonic clock; its times are later.
    pub began: Option<f64>,
}

impl ClockReadings {
    /// The clock that a number may be a time of.
    pub fn clock_for(&self, time: f64) -> Option<CacheClock> {
        if (time - self.wall).abs() < WALL_RANGE {
            return Some(CacheClock::Wall);
        }
        let now = self.monotonic?;
        let began = self.began.unwrap_or(0.0) - 1.0;
        (time > began.max(0.0) && time < now + MONOTONIC_AHEAD).then_some(CacheClock::Monotonic)
    }

    /// The reading of a clock.
    pub fn reading(&self, clock: CacheClock) -> Option<f64> {
        match clock {
            CacheClock::Wall => Some(self.wall),
            CacheClock::Monotonic => self.monotonic,
            CacheClock::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_near_to_a_clock() {
        let now = ClockReadings { wall: 1.79e9, monotonic: Some(20_000.0), began: Some(18_000.0) };
        assert_eq!(now.clock_for(1.79e9 + 60.0), Some(CacheClock::Wall));
        assert_eq!(now.clock_for(20_030.5), Some(CacheClock::Monotonic));
        assert_eq!(now.clock_for(500.0), None, "before the process began");
        assert_eq!(now.clock_for(f64::NAN), None);
        assert_eq!(now.clock_for(-1.0), None);
        assert_eq!(ClockReadings { monotonic: None, ..now }.clock_for(20_030.5), None);
    }
}
