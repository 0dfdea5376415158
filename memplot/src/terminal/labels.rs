//! Names with the last value and what changed: beside the plot where its lines end, or below it.

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use super::areas::{moments, value_at};
use super::layout::Layout;
use super::text::{dim, shorten, write_text};
use super::{ColourDepth, TerminalOptions, lines, text as cells};
use crate::figure::{Figure, Series, Unit};
use crate::format;

/// What is written of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    name: String,
    value: String,
    /// What changed, or what the trend is, or that it ended.
    note: String,
    is_total: bool,
    colour: Option<usize>,
    key: char,
    /// The value at whose height it ought to stand.
    height: Option<f64>,
}

/// Letters that stand for colours where there are none; series beyond them share the last sign.
const KEYS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The labels of all series, the total first.
pub(super) fn all(figure: &Figure) -> Vec<Label> {
    let heights = heights(figure);
    let total = figure.total.iter().map(|total| Label {
        is_total: true,
        ..label(total, figure.unit, '*', total.last.map(|last| last.value))
    });
    let keys = KEYS.chars().chain(std::iter::repeat('·'));
    let parts = figure.series.iter().zip(heights).zip(keys);
    total.chain(parts.map(|((series, height), key)| label(series, figure.unit, key, height))).collect()
}

fn label(series: &Series, unit: Unit, key: char, height: Option<f64>) -> Label {
    let change =
        series.first.zip(series.last).map(|(first, last)| format::change(unit, last.value - first.value));
    let note = match &series.trend {
        Some(trend) => trend.label.clone(),
        None if series.ended => "ended".to_owned(),
        None => change.unwrap_or_default(),
    };
    Label {
        name: series.name.clone(),
        value: series.last.map_or_else(|| "–".to_owned(), |last| format::value(unit, last.value)),
        note,
        is_total: false,
        colour: series.colour,
        key,
        height,
    }
}

/// At which value each series ends in the picture: that of its line, or the middle of its area.
fn heights(figure: &Figure) -> Vec<Option<f64>> {
    if !figure.stacked {
        return figure.series.iter().map(|series| series.last.map(|last| last.value)).collect();
    }
    let Some(last) = moments(figure).last().copied() else { return vec![None; figure.series.len()] };
    let mut below = 0.0;
    let ends = figure.series.iter().map(|series| {
        let value = value_at(series, last)?.max(0.0);
        below += value;
        Some(below - value / 2.0)
    });
    ends.collect()
}

/// The cells that the labels would like to have.
pub(super) fn width(labels: &[Label]) -> u16 {
    let widest =
        |of: fn(&Label) -> &str| labels.iter().map(|label| cells::width(of(label))).max().unwrap_or(0);
    // A sign before the name, and two blanks between the columns.
    widest(|label| &label.name) + widest(|label| &label.value) + widest(|label| &label.note) + 6
}

pub(super) fn draw(figure: &Figure, options: TerminalOptions, layout: &Layout, buffer: &mut Buffer) {
    let area = layout.names;
    let room = usize::from(area.height);
    let shown = if layout.labels.len() > room { room.saturating_sub(1) } else { layout.labels.len() };
    let labels: Vec<&Label> = layout.labels.iter().take(shown).collect();
    let rows = if layout.beside { rows(&labels, layout) } else { (area.y..).take(shown).collect() };
    let widest =
        |of: fn(&Label) -> &str| labels.iter().map(|label| cells::width(of(label))).max().unwrap_or(0);
    let (value_width, note_width) = (widest(|label| &label.value), widest(|label| &label.note));
    // Where it is narrow the note goes first.
    let note_width = if area.width < value_width + note_width + 16 { 0 } else { note_width };
    let notes = if note_width > 0 { note_width + 2 } else { 0 };
    let name_room = area.width.saturating_sub(2 + 2 + value_width + notes);
    let name_width =
        labels.iter().map(|label| cells::width(&shorten(&label.name, name_room))).max().unwrap_or(0);
    let name_width = name_width.min(name_room);
    for (label, y) in labels.iter().zip(rows) {
        let colour = if label.is_total { lines::total_colour(options) } else { options.series(label.colour) };
        write_text(buffer, (area.x, y), &symbol(figure, label, options), Style::new().fg(colour));
        let name = if label.is_total { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        write_text(buffer, (area.x + 2, y), &shorten(&label.name, name_width), name);
        let mut right = area.x + 2 + name_width + 2 + value_width;
        write_text(buffer, (right.saturating_sub(cells::width(&label.value)), y), &label.value, Style::new());
        if note_width > 0 {
            right += 2 + note_width;
            write_text(buffer, (right.saturating_sub(cells::width(&label.note)), y), &label.note, dim());
        }
    }
    if shown < layout.labels.len() {
        let rest = format!("… and {} more", layout.labels.len() - shown);
        write_text(buffer, (area.x, area.bottom().saturating_sub(1)), &rest, dim());
    }
    if options.depth == ColourDepth::None {
        keys(layout, buffer);
    }
    for (y, line) in (layout.events_from..).zip(&layout.events) {
        write_text(buffer, (buffer.area.x, y), &shorten(line, buffer.area.width), dim());
    }
}

/// What stands for the series' line or area.
fn symbol(figure: &Figure, label: &Label, options: TerminalOptions) -> String {
    match (options.depth, figure.stacked && !label.is_total) {
        (ColourDepth::None, _) => label.key.to_string(),
        (_, true) => "█".to_owned(),
        (_, false) => "━".to_owned(),
    }
}

/// Letters at the right end of the plot, at the heights where the series end; the first that has a place keeps it.
fn keys(layout: &Layout, buffer: &mut Buffer) {
    let x = layout.plot.right();
    for label in &layout.labels {
        let Some(y) = label.height.and_then(|value| layout.row(value)) else { continue };
        if buffer.cell((x, y)).is_some_and(|cell| cell.symbol() == " ") {
            write_text(buffer, (x, y), &label.key.to_string(), Style::new());
        }
    }
}

/// A row for each label, near to where it ought to stand, no two in one.
fn rows(labels: &[&Label], layout: &Layout) -> Vec<u16> {
    let bottom = layout.names.bottom().saturating_sub(1);
    let mut places: Vec<(usize, u16)> = labels
        .iter()
        .map(|label| label.height.and_then(|value| layout.row(value)).unwrap_or(bottom).min(bottom))
        .enumerate()
        .collect();
    // In a stack the later of two at the same height is the upper one; of lines the first counts more.
    places.sort_by_key(|(index, y)| (*y, *index));
    let mut free = layout.names.y;
    for (_, y) in &mut places {
        *y = (*y).max(free);
        free = y.saturating_add(1);
    }
    let mut most = bottom;
    for (_, y) in places.iter_mut().rev() {
        *y = (*y).min(most);
        most = y.saturating_sub(1);
    }
    places.sort_by_key(|(index, _)| *index);
    places.into_iter().map(|(_, y)| y).collect()
}
