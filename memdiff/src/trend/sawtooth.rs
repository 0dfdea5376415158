//! Saw-teeth: a series that rises and falls back again and again.

use super::point::SeriesPoint;

/// The troughs of a series: the least value of each descent from one peak and ascent to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Sawtooth {
    /// The troughs between two falls, as points of one moment, in order of time.
    pub troughs: Vec<SeriesPoint>,
    /// Steps in time that went up, less those that went down, as a share of all that moved: a collector is above 0.
    pub lean: f64,
}

/// The troughs behind falls of at least `depth`, each followed by a rise of as much; `None` if there are fewer than three.
pub fn find_sawtooth(points: &[SeriesPoint], depth: f64) -> Option<Sawtooth> {
    let mut troughs: Vec<SeriesPoint> = Vec::new();
    let mut low: Option<SeriesPoint> = None;
    let mut high = f64::NEG_INFINITY;
    for point in points {
        match &mut low {
            // Rising: wait for a fall.
            None => {
                high = high.max(point.max);
                if high - point.min >= depth {
                    low = Some(*point);
                }
            }
            // Fallen: wait for the bottom, and for a rise to make it one.
            Some(bottom) => {
                if point.min < bottom.min {
                    *bottom = *point;
                }
                if point.max - bottom.min >= depth {
                    troughs.push(SeriesPoint::exact(bottom.seconds, bottom.min));
                    low = None;
                    high = point.max;
                }
            }
        }
    }
    let (mut up, mut down) = (0.0, 0.0);
    for pair in points.windows(2) {
        if let [a, b] = pair {
            up += f64::from(u8::from(b.mean > a.mean));
            down += f64::from(u8::from(b.mean < a.mean));
        }
    }
    (troughs.len() >= 3).then(|| Sawtooth { troughs, lean: (up - down) / f64::max(up + down, 1.0) })
}
