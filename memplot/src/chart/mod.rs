//! A picture as a drawing: axes, areas and lines through plotters, words beside them.

mod annotations;
mod data;
mod labels;
mod layout;
mod style;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use self::data::{DataLayer, all_points};
use self::layout::{BODY, Layout, SUBTITLE, TITLE};
use self::style::{Role, dark_mode_css};
use crate::cli::{Size, Theme};
use crate::figure::Figure;
use crate::svg::{Anchor, SvgWriter, TextRun, units};
use crate::text_metrics::FONTS;

/// How a picture is drawn.
#[derive(Debug, Clone)]
pub struct SvgOptions {
    /// Width and height.
    pub size: Size,
    /// The ground.
    pub theme: Theme,
    /// The time zone of the axis.
    pub zone: TimeZone,
}

/// The picture as an SVG document. The same picture and look give the same bytes.
#[must_use]
pub fn svg(figure: &Figure, options: &SvgOptions) -> String {
    let all = data::stacked(figure, None);
    let edges = all.iter().flat_map(|segment| segment.edges.last()).flatten().map(|(_, sum)| *sum);
    let values = layout::value_scale(figure, edges);
    let layout = Layout::new(figure, options.size, values, &options.zone);
    let svg = SvgWriter::default();
    let drawing = Drawing { figure, layout: &layout, theme: options.theme, svg: &svg };
    drawing.begin(options.size);
    drawing.headline();
    drawing.axes(&options.zone);
    DataLayer::new(&drawing, options.size).draw();
    annotations::draw(&drawing, &options.zone);
    drawing.labels();
    drawing.svg.close("svg");
    svg.finish()
}

/// What all parts of a drawing need.
#[derive(Debug, Clone, Copy)]
struct Drawing<'a> {
    figure: &'a Figure,
    layout: &'a Layout,
    theme: Theme,
    svg: &'a SvgWriter,
}

impl Drawing<'_> {
    fn begin(&self, size: Size) {
        let (width, height) = (size.width.to_string(), size.height.to_string());
        let alternative = format!("{}. {}", self.figure.title, self.figure.subtitle);
        self.svg.open(
            "svg",
            &[
                ("xmlns", "http://www.w3.org/2000/svg"),
                ("width", &width),
                ("height", &height),
                ("viewBox", &format!("0 0 {width} {height}")),
                ("role", "img"),
                ("aria-label", &alternative),
                ("font-family", &FONTS.replace('\'', "")),
            ],
        );
        self.svg.element("title", &self.figure.title);
        self.svg.element("desc", &self.figure.subtitle);
        if self.theme == Theme::Auto {
            let mut colours: BTreeSet<Option<usize>> =
                self.figure.series.iter().map(|one| one.colour).collect();
            colours.insert(None);
            self.svg.style(&dark_mode_css(&colours));
        }
        let fill = crate::svg::hex(Role::Ground.rgb(self.theme));
        self.svg.open(
            "rect",
            &[("class", &Role::Ground.fill()), ("width", &width), ("height", &height), ("fill", &fill)],
        );
        self.svg.close("rect");
    }

    fn text(&self, at: (f64, f64), size: f64, anchor: Anchor, role: Role, text: &str) {
        let class = role.fill();
        self.svg.text(at, size, anchor, &[TextRun { class: &class, rgb: role.rgb(self.theme), text }], None);
    }

    fn headline(&self) {
        self.text((18.0, 34.0), TITLE, Anchor::Start, Role::Text, &self.layout.title);
        for (number, line) in self.layout.subtitle.iter().enumerate() {
            let y = 34.0 + 20.0 + number as f64 * 18.0;
            self.text((18.0, y), SUBTITLE, Anchor::Start, Role::Muted, line);
        }
    }

    /// Hairlines and words of both axes. The group says how places are to be read as values.
    fn axes(&self, _zone: &TimeZone) {
        let layout = self.layout;
        let (values, time) = (&layout.values, &layout.time);
        let number = |value: f64| format!("{value}");
        self.svg.open(
            "g",
            &[
                ("class", "axes"),
                ("data-left", &number(layout.left)),
                ("data-right", &number(layout.right)),
                ("data-top", &number(layout.top)),
                ("data-bottom", &number(layout.bottom)),
                ("data-from", &time.from.to_string()),
                ("data-to", &time.to.to_string()),
                ("data-min", &number(values.min)),
                ("data-max", &number(values.max)),
                ("data-scale", if values.is_log { "log" } else { "linear" }),
            ],
        );
        let base = if values.is_log { values.min } else { 0.0 };
        for tick in &values.ticks {
            let y = layout.y(tick.at);
            let role = if (tick.at - base).abs() < f64::EPSILON { Role::Muted } else { Role::Hairline };
            self.hairline((layout.left, y), (layout.right, y), role);
            self.text((layout.left - 8.0, y + 4.3), BODY, Anchor::End, Role::Muted, &tick.label);
        }
        for tick in &time.ticks {
            let x = layout.x(tick.at);
            self.hairline((x, layout.bottom), (x, layout.bottom + 5.0), Role::Muted);
            self.text((x, layout.bottom + 20.0), BODY, Anchor::Middle, Role::Muted, &tick.label);
        }
        let mut free = f64::MIN;
        for date in &time.dates {
            let half = crate::text_metrics::width(&date.label, BODY) / 2.0;
            let x = layout.x(date.at).max(18.0 + half).min(layout.size.0 - 18.0 - half);
            if x - half >= free {
                self.text((x, layout.bottom + 36.0), BODY, Anchor::Middle, Role::Muted, &date.label);
                free = x + half + 10.0;
            }
        }
        self.svg.close("g");
    }

    fn hairline(&self, from: (f64, f64), to: (f64, f64), role: Role) {
        use plotters::style::{Color, RGBColor};
        use plotters_backend::DrawingBackend;
        let (r, g, b) = role.rgb(self.theme);
        self.svg.set_class(&role.stroke());
        let mut backend = crate::svg::SvgBackend::new(self.svg, 0, 0);
        let at = |(x, y): (f64, f64)| (units(x), units(y));
        let style = RGBColor(r, g, b).stroke_width(10);
        // Writing to memory cannot fail.
        let _ = backend.draw_line(at(from), at(to), &style);
    }

    /// Labels at the ends of the lines, or in columns below.
    fn labels(&self) {
        let layout = self.layout;
        self.svg.open("g", &[("class", "labels")]);
        if let Some((column, rows)) = layout.below {
            for (number, label) in layout.labels.iter().enumerate() {
                let (x, y) = self.below(number, column, rows);
                let series = self.figure.series.get(number);
                self.dot((x + 4.0, y - 4.2), 4.0, Role::Series(series.and_then(|one| one.colour)));
                self.label((x + layout::DOT, y), label, series.map_or("", |one| one.name.as_str()));
            }
            if layout.unlabelled > 0 {
                let (x, y) = self.below(layout.labels.len(), column, rows);
                let text = format!("… and {} more", layout.unlabelled);
                self.text((x + layout::DOT, y), BODY, Anchor::Start, Role::Muted, &text);
            }
        } else {
            self.labels_beside();
        }
        self.svg.close("g");
    }

    fn below(&self, number: usize, column: f64, rows: usize) -> (f64, f64) {
        let (across, down) = (number / rows.max(1), number % rows.max(1));
        (18.0 + across as f64 * column, self.layout.bottom + 62.0 + down as f64 * layout::LINE)
    }

    fn labels_beside(&self) {
        let layout = self.layout;
        let ends = self.ends();
        // Stacked, the order is that of the areas, the last on top; lines, that of their ends.
        let mut order: Vec<usize> = (0..ends.len()).collect();
        if self.figure.stacked {
            order.reverse();
        } else {
            let end = |place: &usize| ends.get(*place).copied().unwrap_or_default();
            order.sort_by(|a, b| end(a).total_cmp(&end(b)).then(a.cmp(b)));
        }
        let wanted: Vec<f64> = order.iter().filter_map(|place| ends.get(*place)).copied().collect();
        let places = labels::spread(&wanted, layout::LINE, layout.top, layout.bottom.max(layout.top));
        for (place, y) in order.into_iter().zip(places) {
            let (Some(series), Some(label)) = (self.figure.series.get(place), layout.labels.get(place))
            else {
                continue;
            };
            let role = Role::Series(series.colour);
            let from = (layout.right + 2.0, ends.get(place).copied().unwrap_or(y));
            if series.ended {
                self.dot((layout.right + layout::LEADER - 8.0, y), 3.0, role);
            } else {
                self.hairline(from, (layout.right + layout::LEADER - 4.0, y), role);
            }
            self.label((layout.right + layout::LEADER, y + 4.3), label, &series.name);
        }
    }

    /// How high each series ends.
    fn ends(&self) -> Vec<f64> {
        let layout = self.layout;
        if !self.figure.stacked {
            let end =
                |one: &crate::figure::Series| one.last.map_or(layout.bottom, |last| layout.y(last.value));
            return self.figure.series.iter().map(end).collect();
        }
        let mut sum = 0.0;
        let latest =
            self.figure.series.iter().filter_map(|one| one.runs.last()?.last()).map(|p| p.unix_ms).max();
        let mut ends = Vec::with_capacity(self.figure.series.len());
        for one in &self.figure.series {
            let last = one.runs.last().and_then(|run| run.last()).filter(|last| Some(last.unix_ms) == latest);
            let height = last.map_or(0.0, |last| last.value);
            ends.push(layout.y(sum + height / 2.0));
            sum += height;
        }
        ends
    }

    fn label(&self, at: (f64, f64), label: &labels::Label, whole: &str) {
        self.svg.open("g", &[("class", "label")]);
        if label.name != whole {
            self.svg.element("title", whole);
        }
        let (name, rest) = (Role::Text.fill(), Role::Muted.fill());
        let runs = [
            TextRun { class: &name, rgb: Role::Text.rgb(self.theme), text: &label.name },
            TextRun { class: &rest, rgb: Role::Muted.rgb(self.theme), text: &label.rest },
        ];
        self.svg.text(at, BODY, Anchor::Start, &runs, None);
        self.svg.close("g");
    }

    fn dot(&self, (x, y): (f64, f64), radius: f64, role: Role) {
        use plotters::style::{Color, RGBColor};
        use plotters_backend::DrawingBackend;
        let (r, g, b) = role.rgb(self.theme);
        self.svg.set_class(&role.fill());
        let mut backend = crate::svg::SvgBackend::new(self.svg, 0, 0);
        // Writing to memory cannot fail.
        let _ = backend.draw_circle(
            (units(x), units(y)),
            units(radius).unsigned_abs(),
            &RGBColor(r, g, b).filled(),
            true,
        );
    }

    /// The moment nearest to a series' greatest value, as a place.
    fn place(&self, point: crate::figure::Point) -> (f64, f64) {
        (self.layout.x(point.unix_ms), self.layout.y(point.value))
    }

    fn has_points(&self) -> bool {
        all_points(self.figure).next().is_some()
    }
}
