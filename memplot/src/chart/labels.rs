//! Draws labels at the ends of the lines, or in columns below the plot.

use super::drawing::Drawing;
use super::label_text::LabelText;
use super::layout::{DOT, LEADER, LINE, MARGIN};
use super::style::{BODY, Role};
use crate::label_layout::{anchors, arrange};
use crate::svg::Anchor;

/// Draws the labels of all series.
pub fn draw(drawing: &Drawing<'_>) {
    drawing.svg.group(&[("class", "labels")], None, || match drawing.layout.below {
        Some((column, rows)) => draw_below(drawing, column, rows),
        None => draw_beside(drawing),
    });
}

fn draw_below(drawing: &Drawing<'_>, column: f64, rows: usize) {
    let layout = drawing.layout;
    let position = |index: usize| {
        let (across, down) = (index / rows.max(1), index % rows.max(1));
        (MARGIN + across as f64 * column, layout.bottom + 62.0 + down as f64 * LINE)
    };
    for (index, (label, series)) in layout.labels.iter().zip(&drawing.figure.series).enumerate() {
        let (x, y) = position(index);
        drawing.dot((x + 4.0, y - 4.2), 4.0, Role::Series(series.colour));
        draw_label(drawing, (x + DOT, y), label, &series.name);
    }
    if layout.unlabelled > 0 {
        let (x, y) = position(layout.labels.len());
        let text = format!("… and {} more", layout.unlabelled);
        drawing.text((x + DOT, y), BODY, Anchor::Start, Role::Muted, &text);
    }
}

fn draw_beside(drawing: &Drawing<'_>) {
    let (figure, layout) = (drawing.figure, drawing.layout);
    let ends: Vec<f64> = anchors(figure).iter().map(|anchor| layout.y(anchor.value)).collect();
    for (index, y) in arrange(figure.stacked, 0, &ends, LINE, (layout.top, layout.bottom)) {
        let (Some(series), Some(label), Some(&end)) =
            (figure.series.get(index), layout.labels.get(index), ends.get(index))
        else {
            continue;
        };
        let (role, x) = (Role::Series(series.colour), layout.right + LEADER);
        if series.ended {
            drawing.dot((x - 8.0, y), 3.0, role);
        } else {
            drawing.line((layout.right + 2.0, end), (x - 4.0, y), role);
        }
        draw_label(drawing, (x, y + 4.3), label, &series.name);
    }
}

fn draw_label(drawing: &Drawing<'_>, at: (f64, f64), label: &LabelText, full_name: &str) {
    let tooltip = (label.name != full_name).then_some(full_name);
    drawing.svg.group(&[("class", "label")], tooltip, || {
        let runs = [drawing.text_run(Role::Text, &label.name), drawing.text_run(Role::Muted, &label.rest)];
        drawing.svg.text(at, BODY, Anchor::Start, &runs, None);
    });
}
