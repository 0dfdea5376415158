//! The text of labels: name, last value, and change, trend or end.

use super::text::width;
use crate::figure::{Figure, Series};
use crate::format;
use crate::label_layout::{LabelAnchor, anchors};

/// The label of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: String,
    /// The trend, `ended`, or the change.
    pub(super) note: String,
    pub(super) is_total: bool,
    /// The change from the first to the last value; none if its process ended.
    pub(super) growth: f64,
    pub(super) colour: Option<usize>,
    /// The letter that replaces the colour.
    pub(super) key: char,
    pub(super) anchor: LabelAnchor,
}

/// The letters of the series. Series beyond them share the last one.
const KEYS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The labels of all series, the total first.
pub(super) fn labels(figure: &Figure) -> Vec<Label> {
    let total = figure.total.iter().map(|total| {
        let (value, is_drawn) = (total.last.map_or(0.0, |last| last.value), total.last.is_some());
        Label { is_total: true, ..label(total, figure, '*', LabelAnchor { value, is_drawn }) }
    });
    let keys = KEYS.chars().chain(std::iter::repeat('·'));
    let series = figure.series.iter().zip(anchors(figure)).zip(keys);
    total.chain(series.map(|((series, anchor), key)| label(series, figure, key, anchor))).collect()
}

fn label(series: &Series, figure: &Figure, key: char, anchor: LabelAnchor) -> Label {
    let change = |first: f64, last: f64| format::change(figure.unit, last - first);
    let note = match (&series.trend, series.first, series.last) {
        (Some(trend), ..) => trend.label.clone(),
        _ if series.ended => "ended".to_owned(),
        (None, Some(first), Some(last)) => change(first.value, last.value),
        _ => String::new(),
    };
    Label {
        name: series.name.clone(),
        value: series.last.map_or_else(|| "–".to_owned(), |last| format::shown(figure, last.value)),
        note,
        is_total: false,
        growth: match (series.first, series.last) {
            (Some(first), Some(last)) if !series.ended => last.value - first.value,
            _ => f64::NEG_INFINITY,
        },
        colour: series.colour,
        key,
        anchor,
    }
}

/// The widest name, value and note.
pub(super) fn column_widths(labels: &[Label]) -> [u16; 3] {
    let columns: [fn(&Label) -> &str; 3] = [|label| &label.name, |label| &label.value, |label| &label.note];
    columns.map(|text| labels.iter().map(|label| width(text(label))).max().unwrap_or(0))
}

/// The width of all columns with gaps of two cells, and of a symbol before them.
pub(super) fn total_width(labels: &[Label]) -> u16 {
    column_widths(labels).into_iter().fold(6, u16::saturating_add)
}
