//! Chains of structs that point to the next one, and guards against cycles in them.

use memobj_process::addr::Addr;

/// A guard of one chain. It detects a cycle after at most a few times as many steps as the chain has structs (Brent's algorithm), and
/// needs no memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct CycleGuard {
    passed: Addr,
    steps: u64,
    mark: u64,
}

impl CycleGuard {
    /// Whether the chain continues at `next`: it is neither null nor a struct that was passed before.
    #[inline]
    pub fn advance(&mut self, next: Addr) -> bool {
        if next.is_null() || (self.steps > 0 && next == self.passed) {
            return false;
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps > self.mark {
            self.passed = next;
            self.mark = self.mark.saturating_mul(2).max(1);
        }
        true
    }
}

/// The structs of a chain that begins at `first`, at most `limit`: it ends at a null pointer, at a cycle, or where `next` cannot be read.
pub fn follow_chain(first: Option<Addr>, limit: usize, next: impl Fn(Addr) -> Option<Addr>) -> Vec<Addr> {
    let mut guard = CycleGuard::default();
    std::iter::successors(first, |&at| next(at)).take_while(|&at| guard.advance(at)).take(limit).collect()
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
    fn chain_is_followed_to_its_end() {
        assert_eq!(steps(|at| if at < 1000 { at + 1 } else { 0 }), 1000);
        assert_eq!(steps(|_| 0), 1);
    }

    #[test]
    fn cycle_is_left_soon() {
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
