//! Draws the icicle with characters: a line for each block, and a bar at its place in the whole.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Block, BlockKind, HeapFigure};
use crate::colour::{GREW, SHRANK};
use crate::figure::Unit;
use crate::format::{change, value, wrap_parts};
use crate::terminal::{ColourDepth, TerminalOptions, cells, lines, shorten};

/// Columns of the sizes.
const SIZE: u16 = 11;
/// Columns of the share.
const SHARE: u16 = 5;
/// Blocks below this share are not listed: their bars would be empty.
const LEAST_SHARE: f64 = 0.01;

/// A line: a block, its level and where it begins, as a part of the whole.
struct Row<'a> {
    block: &'a Block,
    level: u16,
    start: f64,
    hue: Option<usize>,
}

/// Renders the largest blocks, as many as the terminal has rows for.
#[must_use]
pub fn render(figure: &HeapFigure, options: TerminalOptions) -> String {
    let (columns, height) = (options.size.0.max(20), options.size.1.max(4));
    let title = shorten(&figure.title, columns);
    let subtitle: Vec<String> = figure.subtitle.iter().map(|part| shorten(part, columns)).collect();
    let head = wrap_parts(&subtitle, " · ", |line| cells(line) <= columns);
    let top = u16::try_from(head.len()).unwrap_or(u16::MAX).saturating_add(2);
    let room = usize::from(height.saturating_sub(top).max(1));
    let whole = figure.root.width().max(1) as f64;
    let mut rows = Vec::new();
    collect(&figure.root, 0, 0.0, None, whole, &mut rows);
    let listed = list(&mut rows, room, whole);
    let used = top.saturating_add(u16::try_from(listed.len()).unwrap_or(u16::MAX));
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, used));
    let dim = Style::new().add_modifier(Modifier::DIM);
    buffer.set_stringn(0, 0, &title, columns.into(), Style::new().add_modifier(Modifier::BOLD));
    for (y, line) in (1..).zip(&head) {
        buffer.set_stringn(0, y, line, columns.into(), dim);
    }
    let names = columns.saturating_sub(SIZE + SHARE + 2) * 3 / 5;
    let bar = SIZE + SHARE + 2 + names;
    for (y, row) in (top..).zip(&listed) {
        let size = match row.block.change() {
            Some(by) => change(Unit::Bytes, by as f64),
            None => value(Unit::Bytes, row.block.now.bytes as f64),
        };
        buffer.set_stringn(0, y, format!("{size:>10}"), SIZE.into(), Style::new());
        let share = format!("{:>3.0} %", row.block.width() as f64 / whole * 100.0);
        buffer.set_stringn(SIZE, y, share, SHARE.into(), dim);
        let indent = row.level.min(names / 2);
        let name = shorten(&row.block.label, names.saturating_sub(indent));
        buffer.set_stringn(SIZE + SHARE + 1 + indent, y, name, names.into(), Style::new());
        draw_bar(&mut buffer, row, whole, (bar, y, columns), options);
    }
    lines(&buffer, used, options.depth != ColourDepth::None)
}

fn collect<'a>(
    block: &'a Block,
    level: u16,
    start: f64,
    hue: Option<usize>,
    whole: f64,
    rows: &mut Vec<Row<'a>>,
) {
    let hue = block.hue(hue);
    rows.push(Row { block, level, start, hue });
    let mut at = start;
    for part in &block.parts {
        if part.kind != BlockKind::Omitted {
            collect(part, level.saturating_add(1), at, hue, whole, rows);
        }
        at += part.width() as f64 / whole;
    }
}

/// The rows of the largest blocks in their order: a block is never smaller than its parts, so the one above is there too.
fn list<'r, 'a>(rows: &'r mut Vec<Row<'a>>, room: usize, whole: f64) -> Vec<&'r Row<'a>> {
    rows.retain(|row| row.block.width() as f64 >= whole * LEAST_SHARE);
    let mut sizes: Vec<(u64, usize)> =
        rows.iter().enumerate().map(|(at, row)| (row.block.width(), usize::MAX - at)).collect();
    sizes.sort_unstable();
    let least = sizes.iter().rev().take(room).next_back().copied().unwrap_or_default();
    rows.iter()
        .enumerate()
        .filter(|(at, row)| (row.block.width(), usize::MAX - at) >= least)
        .map(|(_, row)| row)
        .collect()
}

/// Draws the bar of a row, in eighths of a column at its end.
fn draw_bar(
    buffer: &mut Buffer,
    row: &Row<'_>,
    whole: f64,
    (left, y, right): (u16, u16, u16),
    options: TerminalOptions,
) {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let room = f64::from(right.saturating_sub(left));
    let from = row.start * room;
    let length = (row.block.width() as f64 / whole * room).min(room - from);
    let eighths = (length * 8.0).round().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below the columns of a terminal"
    )]
    let (skip, full, part) = (from as u16, (eighths / 8.0) as usize, (eighths % 8.0) as usize);
    let text = format!("{}{}", "█".repeat(full), EIGHTHS.get(part).copied().unwrap_or_default());
    let colour = match row.block.change() {
        Some(by) if by > 0 => options.colour(GREW),
        Some(by) if by < 0 => options.colour(SHRANK),
        Some(_) => options.series(None),
        None => options.series(row.hue),
    };
    let x = left.saturating_add(skip).min(right.saturating_sub(1));
    buffer.set_stringn(x, y, text, usize::from(right.saturating_sub(x)), Style::new().fg(colour));
}
