//! Draws labels beside the ends of the lines, or below the plot.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::label_text::{Label, column_widths};
use super::layout::Layout;
use super::options::{ColourDepth, TerminalOptions};
use super::text::{dim, shorten, width, write_text};
use crate::colour::TEXT;
use crate::figure::Figure;
use crate::label_layout::arrange;

/// Draws the labels of all series, and events below.
pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let area = layout.names;
    let room = usize::from(area.height) * usize::from(layout.columns);
    let shown = if layout.labels.len() > room { room.saturating_sub(1) } else { layout.labels.len() };
    let labels = layout.labels.get(..shown).unwrap_or_default();
    let places = if layout.beside { rows(figure, layout) } else { Vec::new() };
    // From top to bottom, then the next column.
    let in_column = |index: usize| {
        let (rows, index) = (area.height.max(1), u16::try_from(index).unwrap_or(u16::MAX));
        (area.x + index / rows * (area.width / layout.columns), area.y + index % rows)
    };
    let gap = if layout.columns > 1 { 2 } else { 0 };
    let wide = (area.width / layout.columns).saturating_sub(gap);
    let [_, value_width, note_width] = column_widths(labels);
    // A narrow area has no room for notes.
    let note_width = if wide < value_width + note_width + 16 { 0 } else { note_width };
    let notes = if note_width > 0 { note_width + 2 } else { 0 };
    let name_room = wide.saturating_sub(4 + value_width + notes);
    let names = labels.iter().map(|label| shorten(&label.name, name_room));
    let name_width = names.map(|name| width(&name)).max().unwrap_or(0).min(name_room);
    for (index, label) in labels.iter().enumerate() {
        let (x, y) = places.get(index).map_or_else(|| in_column(index), |&y| (area.x, y));
        let colour = if label.is_total { options.colour(TEXT) } else { options.series(label.colour) };
        write_text(buffer, (x, y), &symbol(figure, label, options), Style::new().fg(colour));
        let name = if label.is_total { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        write_text(buffer, (x + 2, y), &shorten(&label.name, name_width), name);
        let mut align_right = |right: u16, text: &str, style| {
            write_text(buffer, (right.saturating_sub(width(text)), y), text, style);
        };
        let right = x + 4 + name_width + value_width;
        align_right(right, &label.value, Style::new());
        if note_width > 0 {
            align_right(right + notes, &label.note, dim());
        }
    }
    if shown < layout.labels.len() {
        let rest = format!("… and {} more", layout.labels.len() - shown);
        let place = if layout.beside { (area.x, area.bottom().saturating_sub(1)) } else { in_column(shown) };
        write_text(buffer, place, &rest, dim());
    }
    if options.depth == ColourDepth::None {
        draw_keys(layout, buffer);
    }
    for (y, line) in (layout.events_from..).zip(&layout.events) {
        write_text(buffer, (buffer.area.x, y), &shorten(line, buffer.area.width), dim());
    }
}

/// The symbol of a line or area.
fn symbol(figure: &Figure, label: &Label, options: TerminalOptions) -> String {
    match options.depth {
        ColourDepth::None => label.key.to_string(),
        _ if figure.stacked && !label.is_total => "█".to_owned(),
        _ => "━".to_owned(),
    }
}

/// Draws letters at the ends of the series. The first series of a row keeps it.
fn draw_keys(layout: &Layout, buffer: &mut Buffer) {
    let x = layout.plot.right();
    for label in layout.labels.iter().filter(|label| label.anchor.is_drawn) {
        let Some(y) = layout.row(label.anchor.value) else { continue };
        if buffer.cell((x, y)).is_some_and(|cell| cell.symbol() == " ") {
            write_text(buffer, (x, y), &label.key.to_string(), Style::new());
        }
    }
}

/// A row of its own for each label, as near as possible to the end of its series.
fn rows(figure: &Figure, layout: &Layout) -> Vec<u16> {
    let bottom = layout.names.bottom().saturating_sub(1);
    let row = |label: &Label| f64::from(layout.row(label.anchor.value).unwrap_or(bottom).min(bottom));
    let heights: Vec<f64> = layout.labels.iter().map(row).collect();
    // The total is the first label, above the stack.
    let totals = usize::from(figure.total.is_some()).min(heights.len());
    let ends = (f64::from(layout.names.y), f64::from(bottom));
    let mut rows = vec![bottom; heights.len()];
    for (index, position) in arrange(figure.stacked, totals, &heights, 1.0, ends) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the names' area")]
        if let Some(row) = rows.get_mut(index) {
            *row = position.round() as u16;
        }
    }
    rows
}
