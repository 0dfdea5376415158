//! Finds saw-teeth: rises that fall back again and again.

use super::point::SeriesPoint;

/// A series that rises and falls back at least three times.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sawtooth {
    /// The least value between each fall and the rise that follows it, in order of time.
    pub(super) troughs: Vec<SeriesPoint>,
    /// The steps that rise minus the steps that fall, as a share of both: above 0 for a garbage collector.
    pub(super) lean: f64,
}

/// Finds the troughs after falls of at least `depth`, each followed by a rise of as much. `None` if there are fewer than three.
pub(super) fn find_sawtooth(points: &[SeriesPoint], depth: f64) -> Option<Sawtooth> {
    let mut troughs: Vec<SeriesPoint> = Vec::new();
    let mut bottom: Option<SeriesPoint> = None;
    let mut peak = f64::NEG_INFINITY;
    for point in points {
        match &mut bottom {
            None => {
                peak = peak.max(point.max);
                if peak - point.min >= depth {
                    bottom = Some(*point);
                }
            }
            Some(lowest) => {
                if point.min < lowest.min {
                    *lowest = *point;
                }
                if point.max - lowest.min >= depth {
                    troughs.push(SeriesPoint::exact(lowest.seconds, lowest.min));
                    bottom = None;
                    peak = point.max;
                }
            }
        }
    }
    let (mut up, mut down) = (0.0, 0.0);
    for (earlier, later) in points.iter().zip(points.iter().skip(1)) {
        up += f64::from(u8::from(later.mean > earlier.mean));
        down += f64::from(u8::from(later.mean < earlier.mean));
    }
    (troughs.len() >= 3).then(|| Sawtooth { troughs, lean: (up - down) / f64::max(up + down, 1.0) })
}
