//! Looking for hits without a pause: callers are gone some 100 µs after a hit, and a sleeper wakes later than that.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use memobj_process::priority;

/// How long we look between two checks of everything else.
const SPIN_SLICE: Duration = Duration::from_millis(5);
/// How long we look with a real-time priority in all, where others want the processor: with pauses of the same length between the slices, and
/// less than a default `--max-pause` of all threads.
const MAX_REAL_TIME: Duration = Duration::from_millis(200);
/// How long we sleep at most between two checks of everything else.
pub const SLEEP_SLICE: Duration = Duration::from_millis(50);

/// Looks without a pause for a limited time in all, and not at all on a single processor, which the target needs.
#[derive(Debug)]
pub struct Spinner {
    can_spin: bool,
    spun: Duration,
    /// The part of `spun` with a real-time priority; `None` until another thread has interrupted a spin.
    spun_in_real_time: Option<Duration>,
}

impl Default for Spinner {
    fn default() -> Self {
        let can_spin = available_parallelism().is_ok_and(|processors| processors > NonZero::<usize>::MIN);
        Self { can_spin, spun: Duration::ZERO, spun_in_real_time: None }
    }
}

impl Spinner {
    /// Calls `look` again and again for a slice of time, unless `limit` is used up. Returns how long to sleep afterwards at most.
    pub fn spin(&mut self, limit: Duration, mut look: impl FnMut()) -> Duration {
        if !self.can_spin || self.spun >= limit {
            return SLEEP_SLICE;
        }
        let raised = self.spun_in_real_time.map(|_| priority::raise_to_real_time());
        let slice = Instant::now();
        while slice.elapsed() < SPIN_SLICE {
            look();
        }
        let spun = slice.elapsed();
        drop(raised);
        self.spun += spun;
        let Some(before) = self.spun_in_real_time else {
            // Another thread had the processor meanwhile.
            self.spun_in_real_time = (spun >= SPIN_SLICE * 2).then_some(Duration::ZERO);
            return Duration::ZERO;
        };
        self.spun_in_real_time = Some(before + spun);
        self.can_spin = before + spun < MAX_REAL_TIME;
        SPIN_SLICE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_ends_at_its_limit() {
        let (mut spinner, mut looks) = (Spinner { can_spin: true, ..Spinner::default() }, 0_u64);
        assert_eq!(spinner.spin(Duration::ZERO, || looks += 1), SLEEP_SLICE);
        assert_eq!(looks, 0);
        while spinner.spin(Duration::from_millis(12), || looks += 1) == Duration::ZERO {}
        assert!(looks > 0 && spinner.spun >= Duration::from_millis(12));
        assert_eq!(spinner.spin(Duration::from_millis(12), || panic!("its time is over")), SLEEP_SLICE);
        let mut single = Spinner { can_spin: false, ..Spinner::default() };
        assert_eq!(single.spin(Duration::MAX, || panic!("the target needs the processor")), SLEEP_SLICE);
    }
}
