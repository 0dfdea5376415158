//! What dear readings may cost.

use std::time::Duration;

/// A share of the passing time that may be spent on something, saved up to a bound.
///
/// Spending may go into debt, which later time pays back: a single dear reading is not put off for ever, and in the long run the
/// share is kept all the same.
#[derive(Debug, Clone)]
pub struct TimeBudget {
    share: f64,
    most: f64,
    credit: f64,
}

impl TimeBudget {
    /// `share` of the time, with `most` saved at once, which is also what it starts with.
    #[must_use]
    pub fn new(share: f64, most: Duration) -> Self {
        Self { share, most: most.as_secs_f64(), credit: most.as_secs_f64() }
    }

    /// Time went by.
    pub fn earn(&mut self, elapsed: Duration) {
        self.credit = (self.credit + elapsed.as_secs_f64() * self.share).min(self.most);
    }

    /// Whether something is left.
    #[must_use]
    pub fn has_credit(&self) -> bool {
        self.credit > 0.0
    }

    /// That was spent.
    pub fn spend(&mut self, cost: Duration) {
        self.credit -= cost.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_holds_in_the_long_run() {
        let mut budget = TimeBudget::new(0.001, Duration::from_millis(20));
        let mut spent = Duration::ZERO;
        for _ in 0..100_000 {
            budget.earn(Duration::from_secs(1));
            if budget.has_credit() {
                budget.spend(Duration::from_millis(150));
                spent += Duration::from_millis(150);
            }
        }
        let share = spent.as_secs_f64() / 100_000.0;
        assert!((0.0009..=0.0011).contains(&share), "{share}");
    }

    #[test]
    fn idle_credit_is_bounded() {
        let mut budget = TimeBudget::new(0.5, Duration::from_secs(1));
        budget.earn(Duration::from_secs(1000));
        budget.spend(Duration::from_secs(1));
        assert!(!budget.has_credit());
    }
}
