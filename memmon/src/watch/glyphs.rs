//! Bars, sparklines and short numbers: values as a few cells of a terminal.

use std::borrow::Cow;

use common::columns;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// The text of an unknown value.
pub(super) const UNKNOWN: &str = "–";

/// From empty to full, upwards, in eighths of a cell.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// From empty to almost full, rightwards, in eighths of a cell.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of up to `width` cells, full at `full`. A value above 0 shows at least an eighth of a cell.
pub(super) fn bar(value: u64, full: u64, width: u16) -> String {
    let cells = u128::from(width) * 8;
    let eighths = match u128::from(full) {
        0 => 0,
        full => (u128::from(value) * cells / full).max(u128::from(value > 0)).min(cells),
    };
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS.get(eighths % 8).copied().unwrap_or_default());
    bar
}

/// The newest `values` as a sparkline of `width` cells and `rows` lines, top line first. The newest value is at the right.
///
/// The scale is the range of the visible values, but a change of 1 % never takes more than an eighth of the height: flat data looks
/// flat. An unknown value is a gap.
pub(super) fn spark<I>(values: I, width: u16, rows: u16) -> Vec<String>
where
    I: DoubleEndedIterator<Item = Option<u64>>,
{
    let mut shown: Vec<Option<u64>> = values.rev().take(width.into()).collect();
    shown.resize(width.into(), None);
    shown.reverse();
    let low = shown.iter().flatten().min().copied().unwrap_or(0);
    let high = shown.iter().flatten().max().copied().unwrap_or(0);
    let span = u128::from((high - low).max(high / 25 * 2).max(1));
    let top = u128::from(rows.max(1)) * 8;
    // The lowest level is an eighth, so that a known value is always visible.
    let level = |value: u64| 1 + (u128::from(value - low) * (top - 1) + span / 2) / span;
    (0..rows)
        .rev()
        .map(|row| {
            let below = u128::from(row) * 8;
            let cell = |value: &Option<u64>| {
                let here = value.map_or(0, |value| level(value).saturating_sub(below).min(8));
                usize::try_from(here).ok().and_then(|here| LEVELS.get(here)).copied().unwrap_or(' ')
            };
            shown.iter().map(cell).collect()
        })
        .collect()
}

/// Bytes in at most six cells and four digits: `512B`, `9.99K`, `312.4M`, `1023G`. Powers of 1024.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut unit = 'B';
    for next in UNITS {
        value /= 1024.0;
        unit = next;
        // Not 1024: values that would round up to it belong to the next unit.
        if value < 1023.5 {
            break;
        }
    }
    let decimals = match value {
        ..99.995 => 2,
        ..999.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{unit}")
}

/// A size, or [`UNKNOWN`].
pub(super) fn size_or_unknown(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| UNKNOWN.to_owned(), size)
}

/// A change in bytes with its sign, in at most seven cells.
pub(super) fn change(bytes: i64) -> String {
    let sign = match bytes {
        0 => return "±0".to_owned(),
        1.. => '+',
        _ => '-',
    };
    format!("{sign}{}", size(bytes.unsigned_abs()))
}

/// A ratio in percent without the sign, in at most five cells: `0.3`, `99.9`, `230`.
pub(super) fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        value @ 0.0..99.95 => format!("{value:.1}"),
        value @ 99.95..99_999.0 => format!("{value:.0}"),
        value if value >= 99_999.0 => "99999".to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// A count in at most four cells: `9999`, `12k`.
pub(super) fn count(number: u64) -> String {
    match number {
        ..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1000),
        1_000_000..1_000_000_000 => format!("{}M", number / 1_000_000),
        _ => ">1G".to_owned(),
    }
}

/// The width of a text in cells.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(columns::width(text)).unwrap_or(u16::MAX)
}

/// `text` in at most `cells` cells; a cut text ends with `…`.
pub(super) fn fit(text: &str, cells: u16) -> Cow<'_, str> {
    columns::cut(text, cells.into())
}

/// Draws a line, cut at the edge of `area`.
pub(super) fn draw<'a>(line: impl Into<Line<'a>>, area: Rect, buf: &mut Buffer) {
    if !area.is_empty() {
        buf.set_line(area.x, area.y, &line.into(), area.width);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(values: &[u64], width: u16) -> String {
        spark(values.iter().map(|v| Some(*v)), width, 1).concat()
    }

    #[test]
    fn bar_is_exact_to_an_eighth() {
        assert_eq!(bar(0, 100, 4), "");
        assert_eq!(bar(1, u64::MAX, 4), "▏", "little is not nothing");
        assert_eq!(bar(50, 100, 3), "█▌");
        assert_eq!(bar(100, 100, 4), "████");
        assert_eq!(bar(300, 100, 4), "████", "more than full is full");
        assert_eq!(bar(5, 0, 4), "", "no bar without a scale");
        assert_eq!(bar(u64::MAX, u64::MAX, u16::MAX).chars().count(), usize::from(u16::MAX));
    }

    #[test]
    fn sparkline_uses_full_height() {
        assert_eq!(line(&[0, 10, 20, 30, 40, 50, 60, 70], 8), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[100, 200], 4), "  ▁█", "the newest stands at the right");
        assert_eq!(line(&[1, 2, 3, 1000, 1000], 2), "▁▁", "only what is shown sets the scale");
    }

    #[test]
    fn small_noise_stays_low() {
        assert_eq!(line(&[5_000_000; 4], 4), "▁▁▁▁");
        assert_eq!(line(&[0; 3], 3), "▁▁▁");
        let noisy = line(&[100_000_000, 100_900_000, 100_000_000, 100_400_000], 4);
        assert!(noisy.chars().all(|c| "▁▂".contains(c)), "{noisy}");
    }

    #[test]
    fn unknown_values_are_gaps() {
        assert_eq!(spark([Some(1 << 20), None, Some(1 << 21)].into_iter(), 3, 1), ["▁ █"]);
        assert_eq!(spark(std::iter::empty(), 2, 1), ["  "]);
    }

    #[test]
    fn tall_sparkline_is_finer() {
        let values = (0..16).map(|n| Some(n * 1000));
        assert_eq!(spark(values, 16, 2), ["        ▁▂▃▄▅▆▇█", "▁▂▃▄▅▆▇█████████"]);
        assert!(spark([Some(1)].into_iter(), 5, 0).is_empty());
        assert_eq!(spark([Some(1)].into_iter(), 0, 2), ["", ""]);
    }

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (10_229, "9.99K"),
            (1_048_063, "1023K"),
            (1_048_064, "1.00M"),
            (327_575_142, "312.4M"),
            (1 << 40, "1.00T"),
            (u64::MAX, "16.00E"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size_or_unknown(None), "–");
        assert_eq!(
            [change(0), change(1 << 20), change(-2048), change(i64::MIN)],
            ["±0", "+1.00M", "-2.00K", "-8.00E"]
        );
    }

    #[test]
    fn invalid_ratios_are_unknown() {
        for (ratio, text) in [
            (0.0, "0.0"),
            (0.123, "12.3"),
            (0.9996, "100"),
            (2.3, "230"),
            (1e300, "99999"),
            (f64::INFINITY, "99999"),
        ] {
            assert_eq!(percent(ratio), text);
        }
        assert_eq!([percent(f64::NAN), percent(-0.5)], ["–", "–"]);
        assert_eq!(
            [count(9999), count(12_345), count(7_000_000), count(u64::MAX)],
            ["9999", "12k", "7M", ">1G"]
        );
    }

    proptest! {
        #[test]
        fn everything_fits_its_cells(bytes: u64, signed: i64, ratio: f64, number: u64, text: String, cells in 0_u16..40) {
            prop_assert!(width(&size(bytes)) <= 6);
            prop_assert!(width(&change(signed)) <= 7);
            prop_assert!(width(&percent(ratio)) <= 5);
            prop_assert!(width(&count(number)) <= 4);
            prop_assert!(width(&bar(bytes, number, cells)) <= cells);
            prop_assert!(width(&fit(&text, cells)) <= cells);
        }

        #[test]
        fn sparkline_fills_its_box(values: Vec<Option<u64>>, cells in 0_u16..40, rows in 0_u16..5) {
            let lines = spark(values.into_iter(), cells, rows);
            prop_assert_eq!(lines.len(), usize::from(rows));
            for line in lines {
                prop_assert_eq!(line.chars().count(), usize::from(cells));
            }
        }
    }
}
