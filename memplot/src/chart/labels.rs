//! What stands at the ends of the lines: name, last value, what memdiff says of it.

use super::layout::BODY;
use crate::figure::{Figure, Series};
use crate::format;
use crate::text_metrics::{shortened, width};

/// The words beside one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The name, made to fit.
    pub name: String,
    /// The last value, or that it ended; the trend.
    pub rest: String,
}

impl Label {
    /// Labels of all series, each at most `widest` pixels wide.
    #[must_use]
    pub fn all(figure: &Figure, widest: f64) -> Vec<Self> {
        let mut points = figure.series.iter().flat_map(|one| &one.runs).flatten();
        let signed = points.any(|point| point.value < 0.0);
        figure.series.iter().map(|series| Self::new(figure, series, signed, widest)).collect()
    }

    fn new(figure: &Figure, series: &Series, signed: bool, widest: f64) -> Self {
        let value = match series.last {
            _ if series.ended => "ended".to_owned(),
            Some(last) if signed => format::change(figure.unit, last.value),
            Some(last) => format::value(figure.unit, last.value),
            None => String::new(),
        };
        let trend = series
            .trend
            .as_ref()
            .filter(|_| !series.ended)
            .map(|trend| format!("  {}", trend.label))
            .unwrap_or_default();
        let rest = format!("  {value}{trend}");
        // The name gives way first, but not all of it.
        let room = (widest - width(&rest, BODY)).max(widest * 0.3);
        let name = shortened(&series.name, BODY, room);
        let rest = shortened(&rest, BODY, (widest - width(&name, BODY)).max(0.0));
        Self { name, rest }
    }

    /// Its width in pixels.
    #[must_use]
    pub fn width(&self) -> f64 {
        width(&self.name, BODY) + width(&self.rest, BODY)
    }
}

/// Places for labels of `height` that want to be at `wanted`, in their order, none on another, as near as can be: those that
/// touch move as one, to the mean of what they want.
#[must_use]
pub fn spread(wanted: &[f64], height: f64, top: f64, bottom: f64) -> Vec<f64> {
    // Blocks of touching labels: the sum of what their members want of the block's first place, and how many they are.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    let last_first = |count: f64| (bottom - height * (count - 1.0)).max(top);
    let place = |&(sum, count): &(f64, f64)| (sum / count).clamp(top, last_first(count));
    for &want in wanted {
        blocks.push((want, 1.0));
        while let [.., before, last] = blocks.as_slice() {
            if place(before) + before.1 * height <= place(last) + 1e-9 {
                break;
            }
            let joined = (before.0 + last.0 - last.1 * before.1 * height, before.1 + last.1);
            blocks.pop();
            blocks.pop();
            blocks.push(joined);
        }
    }
    let mut places = Vec::with_capacity(wanted.len());
    for block in &blocks {
        let mut at = place(block);
        let end = places.len() as f64 + block.1;
        while (places.len() as f64) < end {
            places.push(at);
            at += height;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_labels_spread_evenly() {
        assert_eq!(spread(&[10.0, 50.0, 90.0], 10.0, 0.0, 100.0), [10.0, 50.0, 90.0]);
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(spread(&[0.0, 0.0, 100.0], 10.0, 0.0, 100.0), [0.0, 10.0, 100.0]);
        assert_eq!(spread(&[100.0, 100.0], 10.0, 0.0, 100.0), [90.0, 100.0]);
        assert!(spread(&[], 10.0, 0.0, 1.0).is_empty());
    }

    proptest! {
        #[test]
        fn labels_never_overlap(mut wanted in proptest::collection::vec(-50.0_f64..500.0, 1..30)) {
            wanted.sort_by(f64::total_cmp);
            let places = spread(&wanted, 16.0, 0.0, 480.0);
            prop_assert_eq!(places.len(), wanted.len());
            for pair in places.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 16.0 - 1e-6, "{:?}", places);
            }
            prop_assert!(places[0] >= -1e-6 && places[places.len() - 1] <= 480.0 + 1e-6, "{:?}", places);
        }
    }
}
