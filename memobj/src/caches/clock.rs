//! The target's clocks at the moment of a census, and which of them a number is a time of.

/// So far from now a time of the wall clock may be, in seconds: 400 days. Other numbers are seldom so near to it.
const WALL_RANGE: f64 = 400.0 * 86_400.0;
/// So far ahead a deadline by the monotonic clock may be, in seconds: 30 days.
const MONOTONIC_AHEAD: f64 = 30.0 * 86_400.0;

/// A clock of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// `time.time()`: seconds since 1970.
    Wall,
    /// `time.monotonic()`, and the time of event loops: seconds since the machine was started, but for the time it was suspended.
    Monotonic,
}

impl Clock {
    /// Its word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Monotonic => "monotonic",
        }
    }
}

/// What the clocks said at the moment of a census.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReadings {
    /// Seconds since 1970.
    pub wall: f64,
    /// Seconds of the monotonic clock; `None` where that is not known any more: of core files and snapshots.
    pub monotonic: Option<f64>,
    /// When the process began, by the monotonic clock: it has no times of before.
    pub began: Option<f64>,
}

impl ClockReadings {
    /// The clock that a number may be a time of.
    #[must_use]
    pub fn clock_of(&self, time: f64) -> Option<Clock> {
        if (time - self.wall).abs() < WALL_RANGE {
            return Some(Clock::Wall);
        }
        let now = self.monotonic?;
        let began = self.began.unwrap_or(0.0) - 1.0;
        (time > began.max(0.0) && time < now + MONOTONIC_AHEAD).then_some(Clock::Monotonic)
    }

    /// What a clock says.
    #[must_use]
    pub fn of(&self, clock: Clock) -> Option<f64> {
        match clock {
            Clock::Wall => Some(self.wall),
            Clock::Monotonic => self.monotonic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_what_it_is_near_to() {
        let now = ClockReadings { wall: 1.79e9, monotonic: Some(20_000.0), began: Some(18_000.0) };
        assert_eq!(now.clock_of(1.79e9 + 60.0), Some(Clock::Wall));
        assert_eq!(now.clock_of(20_030.5), Some(Clock::Monotonic));
        assert_eq!(now.clock_of(500.0), None, "before the process began");
        assert_eq!(now.clock_of(f64::NAN), None);
        assert_eq!(now.clock_of(-1.0), None);
        assert_eq!(ClockReadings { monotonic: None, ..now }.clock_of(20_030.5), None);
    }
}
