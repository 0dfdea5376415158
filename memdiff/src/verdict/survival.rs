//! Whether new objects stay, by the samples of the censuses.

use common::record::Fingerprints;

/// The most objects that are tracked at once; further ones are ignored.
const MAX_TRACKED: usize = 64;

/// The new objects of a series.
///
/// A sample has the lowest fingerprints of all objects. So it has the fingerprint of every object that existed then, up to the highest one in
/// the sample.
#[derive(Debug, Default)]
pub(super) struct SurvivalTracker {
    last: Option<Fingerprints>,
    /// The fingerprints of tracked objects, and whether each was found again.
    tracked: Vec<(u32, bool)>,
    kept: u64,
    gone: u64,
}

impl SurvivalTracker {
    /// Adds the sample of the next moment.
    pub(super) fn add(&mut self, now: &Fingerprints) {
        let (kept, gone) = (&mut self.kept, &mut self.gone);
        self.tracked.retain_mut(|(fingerprint, was_found)| {
            let presence = now.has(*fingerprint);
            *was_found |= presence == Some(true);
            match presence {
                Some(true) => {}
                Some(false) => *gone += 1,
                // The sample has no fingerprints so high any more: the object stayed as long as it could be tracked.
                None => *kept += u64::from(*was_found),
            }
            presence == Some(true)
        });
        if let Some(last) = &self.last {
            let new = now
                .iter()
                .filter(|&fingerprint| last.has(fingerprint) == Some(false))
                .map(|fingerprint| (fingerprint, false));
            self.tracked.extend(new);
            self.tracked.truncate(MAX_TRACKED);
        }
        self.last = Some(now.clone());
    }

    /// The number of new objects that were looked for again, and how many of them stayed; `None` if there are none.
    pub(super) fn seen_and_kept(&self) -> Option<(u64, u64)> {
        let found = self.tracked.iter().filter(|(_, was_found)| *was_found).count();
        let kept = self.kept + u64::try_from(found).unwrap_or(u64::MAX);
        (kept + self.gone > 0).then(|| (kept + self.gone, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints(objects: impl Iterator<Item = u64>) -> Fingerprints {
        let mut fingerprints = Fingerprints::default();
        objects.for_each(|object| fingerprints.insert(Fingerprints::fingerprint(0x1000 + 48 * object, 0x77)));
        fingerprints
    }

    fn seen_and_kept(moments: impl Iterator<Item = std::ops::Range<u64>>) -> Option<(u64, u64)> {
        let mut tracker = SurvivalTracker::default();
        moments.for_each(|objects| tracker.add(&fingerprints(objects)));
        tracker.seen_and_kept()
    }

    #[test]
    fn pure_growth_keeps_all_objects() {
        let (seen, kept) = seen_and_kept((1..40).map(|moment| 0..1000 * moment)).unwrap();
        assert_eq!(seen, kept);
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn churn_keeps_no_objects() {
        let (seen, kept) = seen_and_kept((0..40).map(|moment| 500 * moment..500 * moment + 1000)).unwrap();
        assert!(seen > 100 && kept < seen / 10, "{kept} of {seen}");
        let queue = seen_and_kept((0..40).map(|moment| 10 * moment..10 * moment + 12)).unwrap();
        assert!(queue.1 <= 2, "a few at a time: {queue:?}");
    }

    #[test]
    fn first_and_last_objects_do_not_count() {
        assert_eq!(seen_and_kept([0..10, 0..10, 0..10].into_iter()), None);
        assert_eq!(seen_and_kept([0..10, 0..14].into_iter()), None);
        assert_eq!(seen_and_kept([0..10, 0..14, 0..14].into_iter()), Some((4, 4)));
        assert_eq!(seen_and_kept([0..0, 0..3, 1..3].into_iter()), Some((3, 2)));
    }
}
