//! Looking for hits without a pause: callers are gone some 100 µs after a hit, and a sleeper wakes later than that.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// How long we look between two checks of everything else.
const SPIN_SLICE: Duration = Duration::from_millis(5);
/// How long we sleep at most between two checks of everything else.
pub const SLEEP_SLICE: Duration = Duration::from_millis(50);

/// Looks without a pause for a limited time in all, and not at all on a single processor, which the target needs, or where others want the
/// processor.
#[derive(Debug)]
pub struct Spinner {
    can_spin: bool,
    spun: Duration,
}

impl Default for Spinner {
    fn default() -> Self {
        let can_spin = available_parallelism().is_ok_and(|processors| processors > NonZero::<usize>::MIN);
        Self { can_spin, spun: Duration::ZERO }
    }
}

impl Spinner {
    /// Calls `look` again and again for a slice of time, unless `limit` is used up. Returns how long to sleep afterwards at most.
    pub fn spin(&mut self, limit: Duration, mut look: impl FnMut()) -> Duration {
        if !self.can_spin || self.spun >= limit {
            return SLEEP_SLICE;
        }
        let slice = Instant::now();
        while slice.elapsed() < SPIN_SLICE {
            look();
        }
        let spun = slice.elapsed();
        self.spun += spun;
        // Another thread had the processor meanwhile.
        self.can_spin = spun < SPIN_SLICE * 2;
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_ends_at_its_limit() {
        let (mut spinner, mut looks) = (Spinner { can_spin: true, spun: Duration::ZERO }, 0_u64);
        assert_eq!(spinner.spin(Duration::ZERO, || looks += 1), SLEEP_SLICE);
        assert_eq!(looks, 0);
        while spinner.spin(Duration::from_millis(12), || looks += 1) == Duration::ZERO {}
        assert!(looks > 0 && spinner.spun >= Duration::from_millis(12));
        assert_eq!(spinner.spin(Duration::from_millis(12), || panic!("its time is over")), SLEEP_SLICE);
        let mut single = Spinner { can_spin: false, spun: Duration::ZERO };
        assert_eq!(single.spin(Duration::MAX, || panic!("the target needs the processor")), SLEEP_SLICE);
    }
}
