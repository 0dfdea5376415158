//! Writes cells as text with escape sequences, and finds the nearest of 256 colours.

use std::fmt::Write as _;

use anstyle::{Ansi256Color, Effects, RgbColor, Style};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use crate::colour::Rgb;

/// The nearest of the 240 colours that all terminals share: a cube of six steps a side, and 24 greys.
pub(super) fn nearest((red, green, blue): Rgb) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |colour: [u8; 3]| -> u32 {
        colour.iter().zip([red, green, blue]).map(|(have, want)| u32::from(have.abs_diff(want)).pow(2)).sum()
    };
    let cube = (0..216_u8).map(|n| {
        let step = |n: u8| STEPS.get(usize::from(n % 6)).copied().unwrap_or(255);
        (16 + n, [step(n / 36), step(n / 6), step(n)])
    });
    let greys = (0..24_u8).map(|n| (232 + n, [8 + 10 * n; 3]));
    cube.chain(greys).min_by_key(|(_, colour)| distance(*colour)).map_or(7, |(index, _)| index)
}

/// The first `rows` rows without trailing blanks.
pub(crate) fn lines(buffer: &Buffer, rows: u16, with_style: bool) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width).take(rows.into()) {
        let end = row.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
        let mut current = Style::new();
        let mut hidden = 0;
        for cell in row.iter().take(end) {
            // A wide character covers the next cell.
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            hidden = cell.symbol().width().saturating_sub(1);
            let style = if with_style { style(cell) } else { Style::new() };
            if style != current {
                let _ = write!(text, "{}{style}", current.render_reset());
                current = style;
            }
            text.push_str(cell.symbol());
        }
        let _ = writeln!(text, "{}", current.render_reset());
    }
    text
}

fn is_blank(cell: &Cell) -> bool {
    cell.symbol() == " " && cell.bg == Color::Reset
}

fn style(cell: &Cell) -> Style {
    let colour = |colour: Color| match colour {
        Color::Rgb(red, green, blue) => Some(RgbColor(red, green, blue).into()),
        Color::Indexed(index) => Some(Ansi256Color(index).into()),
        _ => None,
    };
    let mut effects = Effects::new();
    effects = effects.set(Effects::BOLD, cell.modifier.contains(Modifier::BOLD));
    effects = effects.set(Effects::DIMMED, cell.modifier.contains(Modifier::DIM));
    Style::new().fg_color(colour(cell.fg)).bg_color(colour(cell.bg)).effects(effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_of_256_colours() {
        for (rgb, index) in
            [((0, 0, 0), 16), ((255, 255, 255), 231), ((0x44, 0xaa, 0x99), 72), ((8, 8, 8), 232)]
        {
            assert_eq!(nearest(rgb), index, "{rgb:?}");
        }
    }
}
