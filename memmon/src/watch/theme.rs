//! Styles: few of the sixteen standard colours, readable on light and dark backgrounds. Without colour, bold and reverse remain.

use ratatui::style::{Color, Modifier, Style};

use super::event_log::Severity;

/// Styles by meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    has_colour: bool,
}

impl Theme {
    pub(super) fn new(has_colour: bool) -> Self {
        Self { has_colour }
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Exited processes, labels and rules.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The row of column titles.
    pub(super) fn titles(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn bar(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn history(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// A bar that is worse the fuller it is.
    pub(super) fn gauge(self, value: u64, full: u64) -> Style {
        match u128::from(value) * 100 / u128::from(full).max(1) {
            ..75 => self.bar(),
            75..90 => self.colour(Color::Yellow),
            _ => self.severity(Severity::Alert),
        }
    }

    pub(super) fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.plain(),
            Severity::Notice => self.colour(Color::Magenta),
            Severity::Alert => self.colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// Growth, emphasized if it is notable.
    pub(super) fn growth(self, is_much: bool) -> Style {
        if is_much { self.colour(Color::Magenta).add_modifier(Modifier::BOLD) } else { self.plain() }
    }
}
