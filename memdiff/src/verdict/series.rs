//! One series of sizes.

use common::record::{Fingerprints, SeriesKind};

use super::key;
use super::run_clock::MomentContext;
use super::survival::SurvivalTracker;
use crate::trend::{SampledSeries, TrendEstimate};

/// One series of sizes.
#[derive(Debug, Default)]
pub(super) struct Series {
    values: SampledSeries,
    /// The last value, while it may still be dropped: an exiting process frees memory before it is gone, and that would look like the end of
    /// its growth.
    pending: Option<Pending>,
    holds_last: bool,
    /// The greatest value.
    pub(super) peak_bytes: u64,
    /// The number of the series in the order of their first values.
    pub(super) serial: u64,
    /// The time of the last value, on the run's clock and on the wall clock.
    pub(super) last_seconds: f64,
    pub(super) last_unix_ms: i64,
    /// The time at which its row was last listed, with or without a size.
    listed_seconds: f64,
    /// Only if censuses have samples of its objects.
    survival: Option<Box<SurvivalTracker>>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    seconds: f64,
    value: f64,
    is_after_gap: bool,
}

impl Pending {
    fn push_to(self, values: &mut SampledSeries) {
        if self.is_after_gap {
            values.push_gap();
        }
        values.push(self.seconds, self.value);
    }
}

impl Series {
    pub(super) fn new(kind: SeriesKind, serial: u64) -> Self {
        Self { holds_last: key::is_kernel_counter(kind), serial, ..Self::default() }
    }

    pub(super) fn push(&mut self, context: &MomentContext, bytes: u64) {
        self.flush_pending();
        self.pending = Some(Pending {
            seconds: context.seconds,
            value: bytes as f64,
            is_after_gap: context.is_after_gap,
        });
        if !self.holds_last {
            self.flush_pending();
        }
        self.peak_bytes = self.peak_bytes.max(bytes);
        self.last_seconds = context.seconds;
        self.last_unix_ms = context.unix_ms;
        self.listed_seconds = context.seconds;
    }

    fn flush_pending(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.push_to(&mut self.values);
        }
    }

    /// Notes that its row was listed without a size.
    pub(super) fn mark_listed(&mut self, context: &MomentContext) {
        self.listed_seconds = context.seconds;
    }

    pub(super) fn is_listed(&self, context: &MomentContext) -> bool {
        self.listed_seconds == context.seconds
    }

    /// Notes a moment that could not be measured.
    pub(super) fn push_gap(&mut self) {
        self.flush_pending();
        self.values.push_gap();
    }

    /// Adds a sample of the objects of the last moment.
    pub(super) fn add_survivors(&mut self, fingerprints: &Fingerprints) {
        self.survival.get_or_insert_default().add(fingerprints);
    }

    /// The number of new objects seen, and how many of them stayed.
    pub(super) fn seen_and_kept(&self) -> Option<(u64, u64)> {
        self.survival.as_ref()?.seen_and_kept()
    }

    /// The number of values.
    pub(super) fn moments(&self) -> u64 {
        self.values.moments() + u64::from(self.pending.is_some())
    }

    /// The trend; the last value of a process that has ended does not count.
    pub(super) fn estimate_trend(&self, has_ended: bool) -> TrendEstimate {
        match self.pending {
            Some(pending) if !has_ended => {
                let mut all = self.values.clone();
                pending.push_to(&mut all);
                all.estimate_trend()
            }
            _ => self.values.estimate_trend(),
        }
    }
}
