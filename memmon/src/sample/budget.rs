//! Time budgets for expensive readings.

use std::time::Duration;

/// A share of the elapsed time, saved up to a bound.
///
/// The credit may become negative and recovers later: a single expensive reading is never postponed for ever, and in the long run
/// the share holds.
#[derive(Debug, Clone)]
pub struct TimeBudget {
    share: f64,
    most: f64,
    credit: f64,
}

impl TimeBudget {
    /// `share` of the time. It saves at most `most`, and starts with that.
    pub fn new(share: f64, most: Duration) -> Self {
        Self { share, most: most.as_secs_f64(), credit: most.as_secs_f64() }
    }

    /// Adds the share of `elapsed`.
    pub fn earn(&mut self, elapsed: Duration) {
        self.credit = (self.credit + elapsed.as_secs_f64() * self.share).min(self.most);
    }

    /// Whether credit is left.
    pub fn has_credit(&self) -> bool {
        self.credit > 0.0
    }

    /// Subtracts a cost.
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
