//! Styles: few of the sixteen standard colours, readable on light and dark backgrounds. Without colour, bold and reverse remain.

use ratatui::style::{Color, Modifier, Style};

pub(super) const PLAIN: Style = Style::new();
pub(super) const STRONG: Style = PLAIN.add_modifier(Modifier::BOLD);
/// Exited processes, labels and rules.
pub(super) const FAINT: Style = PLAIN.add_modifier(Modifier::DIM);
/// The row of column titles.
pub(super) const TITLES: Style = PLAIN.add_modifier(Modifier::REVERSED);
pub(super) const BAR: Style = PLAIN.fg(Color::Green);
pub(super) const HISTORY: Style = PLAIN.fg(Color::Cyan);
/// Worth attention.
pub(super) const NOTICE: Style = PLAIN.fg(Color::Magenta);
/// Something is wrong.
pub(super) const ALERT: Style = STRONG.fg(Color::Red);

/// A bar that is worse the fuller it is.
pub(super) fn gauge(value: u64, full: u64) -> Style {
    match u128::from(value) * 100 / u128::from(full).max(1) {
        ..75 => BAR,
        75..90 => PLAIN.fg(Color::Yellow),
        _ => ALERT,
    }
}

/// Growth, emphasized if it is notable.
pub(super) fn growth(is_notable: bool) -> Style {
    if is_notable { NOTICE.add_modifier(Modifier::BOLD) } else { PLAIN }
}
