//! Whether the objects that come stay, by the samples of the censuses.

use common::record::Fingerprints;

/// The most objects that are remembered at once. What comes beyond is left out.
const MAX_TRACKED: usize = 64;

/// The objects of a series that were seen to come.
///
/// A sample has the lowest marks of all objects. So one below the highest of the sample before that was not in it has come since; and one
/// below the highest of the sample now that is not in it has gone.
#[derive(Debug, Default)]
pub(super) struct SurvivalTracker {
    last: Option<Fingerprints>,
    /// Those that came and have not gone, as far as that can be told: their marks, and whether they were looked for again.
    present: Vec<(u32, bool)>,
    kept: u64,
    gone: u64,
}

impl SurvivalTracker {
    /// Takes in the sample of the next moment.
    pub(super) fn add(&mut self, now: &Fingerprints) {
        let (kept, gone) = (&mut self.kept, &mut self.gone);
        self.present.retain_mut(|(mark, was_seen_again)| match now.has(*mark) {
            Some(true) => {
                *was_seen_again = true;
                true
            }
            Some(false) => {
                *gone += 1;
                false
            }
            // So many came that it is above the sample: it stayed as long as could be told.
            None => {
                *kept += u64::from(*was_seen_again);
                false
            }
        });
        if let Some(last) = &self.last {
            let came = now.iter().filter(|&mark| last.has(mark) == Some(false)).map(|mark| (mark, false));
            self.present.extend(came);
            self.present.truncate(MAX_TRACKED);
        }
        self.last = Some(now.clone());
    }

    /// How many were seen to come and looked for later, and how many of them stayed; `None` if there are none.
    pub(super) fn seen_and_kept(&self) -> Option<(u64, u64)> {
        let present = self.present.iter().filter(|(_, was_seen_again)| *was_seen_again).count();
        let kept = self.kept + u64::try_from(present).unwrap_or(u64::MAX);
        (kept + self.gone > 0).then(|| (kept + self.gone, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(objects: impl Iterator<Item = u64>) -> Fingerprints {
        let mut marks = Fingerprints::default();
        objects.for_each(|object| marks.insert(Fingerprints::fingerprint(0x1000 + 48 * object, 0x77)));
        marks
    }

    fn seen_and_kept(moments: impl Iterator<Item = std::ops::Range<u64>>) -> Option<(u64, u64)> {
        let mut tracker = SurvivalTracker::default();
        moments.for_each(|objects| tracker.add(&marks(objects)));
        tracker.seen_and_kept()
    }

    #[test]
    fn what_only_grows_keeps_all_that_came() {
        let (seen, kept) = seen_and_kept((1..40).map(|moment| 0..1000 * moment)).unwrap();
        assert_eq!(seen, kept);
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn what_comes_and_goes_keeps_nothing() {
        let (seen, kept) = seen_and_kept((0..40).map(|moment| 500 * moment..500 * moment + 1000)).unwrap();
        assert!(seen > 100 && kept < seen / 10, "{kept} of {seen}");
        let queue = seen_and_kept((0..40).map(|moment| 10 * moment..10 * moment + 12)).unwrap();
        assert!(queue.1 <= 2, "a few at a time: {queue:?}");
    }

    #[test]
    fn nothing_is_said_of_what_was_there_and_of_what_came_last() {
        assert_eq!(seen_and_kept([0..10, 0..10, 0..10].into_iter()), None);
        assert_eq!(seen_and_kept([0..10, 0..14].into_iter()), None);
        assert_eq!(seen_and_kept([0..10, 0..14, 0..14].into_iter()), Some((4, 4)));
        assert_eq!(seen_and_kept([0..0, 0..3, 1..3].into_iter()), Some((3, 2)));
    }
}
