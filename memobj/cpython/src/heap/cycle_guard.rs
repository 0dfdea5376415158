//! Following pointers from one struct to the next, and leaving circles.

use memobj_process::addr::Addr;

/// A guard of one chain. It tells a circle after as many steps as the way into it and once around are long, and a few more (Brent's
/// way): so a chain costs no more than the memory that it runs through.
#[derive(Debug, Clone, Copy, Default)]
pub struct CycleGuard {
    passed: Addr,
    steps: u64,
    mark: u64,
}

impl CycleGuard {
    /// Whether the chain may be followed to `next`: that is no end, and not where it was before.
    #[inline]
    pub fn advance(&mut self, next: Addr) -> bool {
        if next.is_null() || (self.steps > 0 && next == self.passed) {
            return false;
        }
        self.steps += 1;
        if self.steps > self.mark {
            self.passed = next;
            self.mark = self.mark.saturating_mul(2).max(1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(next: impl Fn(u64) -> u64) -> usize {
        let mut chain = CycleGuard::default();
        let (mut at, mut steps) = (1, 0);
        while chain.advance(Addr(at)) {
            at = next(at);
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        assert_eq!(steps(|at| if at < 1000 { at + 1 } else { 0 }), 1000);
        assert_eq!(steps(|_| 0), 1);
    }

    #[test]
    fn a_circle_is_left_after_a_few_times_its_length_wherever_it_begins() {
        assert!(steps(|at| at) <= 2);
        for way in [0, 1, 10, 1000] {
            for around in [1, 2, 7, 500] {
                let last = 1 + way + around;
                let taken = steps(|at| if at == last { 1 + way } else { at + 1 });
                assert!(taken as u64 <= 4 * (way + around) + 4, "{way} {around}: {taken}");
                assert!(taken as u64 > way + around, "{way} {around}: {taken}");
            }
        }
    }
}
