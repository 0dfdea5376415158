//! Basic shapes of a chart in the colours of its theme.

use jiff::tz::TimeZone;

use super::layout::Layout;
use super::style::{BODY, Role};
use crate::cli::Theme;
use crate::figure::Figure;
use crate::svg::{Anchor, SvgWriter, TextRun, coord, units};

/// A chart that is being drawn.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    pub figure: &'a Figure,
    pub layout: &'a Layout,
    pub theme: Theme,
    pub zone: &'a TimeZone,
    pub svg: &'a SvgWriter,
}

impl Drawing<'_> {
    /// A piece of text in the colour of a role.
    pub fn text_run<'t>(&self, role: Role, text: &'t str) -> TextRun<'t> {
        TextRun { class: role.fill(), rgb: role.rgb(self.theme), text }
    }

    pub fn text(&self, at: (f64, f64), size: f64, anchor: Anchor, role: Role, text: &str) {
        self.svg.text(at, size, anchor, &[self.text_run(role, text)], None);
    }

    /// A line of one pixel.
    pub fn line(&self, from: (f64, f64), to: (f64, f64), role: Role) {
        self.svg.set_class(&role.stroke());
        self.svg.stroke(&[coord(from), coord(to)], role.rgb(self.theme), units(1.0));
    }

    /// A filled circle.
    pub fn dot(&self, at: (f64, f64), radius: f64, role: Role) {
        self.svg.set_class(&role.fill());
        self.svg.circle(coord(at), units(radius), role.rgb(self.theme));
    }

    /// Axis lines, grid lines and tick labels. The group's attributes say how to convert positions to values.
    pub fn axes(&self) {
        let layout = self.layout;
        let (values, time) = (&layout.values, &layout.time);
        let attributes = [
            ("class", "axes".to_owned()),
            ("data-left", layout.left.to_string()),
            ("data-right", layout.right.to_string()),
            ("data-top", layout.top.to_string()),
            ("data-bottom", layout.bottom.to_string()),
            ("data-from", time.from.to_string()),
            ("data-to", time.to.to_string()),
            ("data-min", values.min.to_string()),
            ("data-max", values.max.to_string()),
            ("data-scale", if values.is_log { "log" } else { "linear" }.to_owned()),
        ];
        let attributes: Vec<(&str, &str)> =
            attributes.iter().map(|(name, value)| (*name, &**value)).collect();
        self.svg.group(&attributes, None, || {
            let base = if values.is_log { values.min } else { 0.0 };
            for tick in &values.ticks {
                let y = layout.y(tick.at);
                let role = if (tick.at - base).abs() < f64::EPSILON { Role::Muted } else { Role::Grid };
                self.line((layout.left, y), (layout.right, y), role);
                self.text((layout.left - 8.0, y + 4.3), BODY, Anchor::End, Role::Muted, &tick.label);
            }
            for tick in &time.ticks {
                let x = layout.x(tick.at);
                self.line((x, layout.bottom), (x, layout.bottom + 5.0), Role::Muted);
                self.text((x, layout.bottom + 20.0), BODY, Anchor::Middle, Role::Muted, &tick.label);
            }
            for (x, label) in layout.date_labels() {
                self.text((x, layout.bottom + 36.0), BODY, Anchor::Middle, Role::Muted, label);
            }
        });
    }
}
