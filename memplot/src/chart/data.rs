//! The data itself: areas, lines, sums and trends, drawn by plotters.

use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, Drawable, PointCollection};
use plotters::series::{AreaSeries, LineSeries};
use plotters::style::{Color, RGBColor, ShapeStyle};

use super::Drawing;
use super::layout::Layout;
use super::style::Role;
use crate::cli::Size;
use crate::figure::{Figure, Point, Series};
use crate::format;
use crate::scale::{TimeScale, ValueScale};
use crate::stack::{self, StackSegment};
use crate::svg::{SvgBackend, units};

/// How wide lines are, in units of the canvas.
const LINE: u32 = 18;
/// How wide the line of the sum is.
const TOTAL: u32 = 12;
/// How wide a single moment of an area is, in pixels.
const MIN_WIDTH: f64 = 2.0;

type Axes = Cartesian2d<TimeScale, ValueScale>;
type Area = DrawingArea<SvgBackend, Axes>;

/// All points of a picture.
pub fn all_points(figure: &Figure) -> impl Iterator<Item = &Point> {
    figure.series.iter().flat_map(|one| &one.runs).flatten()
}

/// What is stacked in a picture, all of it or what its columns of pixels can show.
pub fn stacked(figure: &Figure, layout: Option<&Layout>) -> Vec<StackSegment> {
    if !figure.stacked {
        return Vec::new();
    }
    match layout {
        Some(layout) => stack::segments(&figure.series, |unix_ms| layout.column(unix_ms)),
        None => stack::segments(&figure.series, |unix_ms| unix_ms),
    }
}

/// Of each column of pixels the first, least, greatest and last point.
fn decimated(run: &[Point], layout: &Layout) -> Vec<Point> {
    let mut kept = Vec::new();
    for group in run.chunk_by(|a, b| layout.column(a.unix_ms) == layout.column(b.unix_ms)) {
        if group.len() <= 4 {
            kept.extend_from_slice(group);
            continue;
        }
        let by_value = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
        let extremes =
            [group.first(), group.iter().min_by(by_value), group.iter().max_by(by_value), group.last()];
        let mut extremes: Vec<Point> = extremes.into_iter().flatten().copied().collect();
        extremes.sort_by_key(|point| point.unix_ms);
        extremes.dedup();
        kept.append(&mut extremes);
    }
    kept
}

/// The rectangle of the data.
pub struct DataLayer<'a> {
    drawing: &'a Drawing<'a>,
    area: Area,
}

impl<'a> DataLayer<'a> {
    /// The data of a drawing.
    pub fn new(drawing: &'a Drawing<'a>, size: Size) -> Self {
        let layout = drawing.layout;
        let root: DrawingArea<SvgBackend, Shift> =
            SvgBackend::new(drawing.svg, size.width, size.height).into_drawing_area();
        let across = units(layout.left)..units(layout.right);
        let up = units(layout.bottom)..units(layout.top);
        let area = root.apply_coord_spec(Axes::new(layout.time.clone(), layout.values.clone(), (across, up)));
        Self { drawing, area }
    }

    /// Draws all series.
    pub fn draw(&self) {
        let drawing = self.drawing;
        drawing
            .svg
            .open("g", &[("class", "data"), ("stroke-linejoin", "round"), ("stroke-linecap", "round")]);
        if drawing.figure.stacked {
            self.areas();
        } else {
            // The first counts most: it is drawn last, on top.
            for series in drawing.figure.series.iter().rev() {
                self.line(series);
            }
        }
        for series in &drawing.figure.series {
            self.trend(series);
        }
        drawing.svg.close("g");
    }

    fn element<E>(&self, element: &E)
    where
        for<'b> &'b E: PointCollection<'b, (i64, f64)>,
        E: Drawable<SvgBackend>,
    {
        // Writing to memory cannot fail.
        let _ = self.area.draw(element);
    }

    fn colour(&self, role: Role) -> RGBColor {
        let (r, g, b) = role.rgb(self.drawing.theme);
        RGBColor(r, g, b)
    }

    fn open(&self, series: &Series, kind: &str) {
        let svg = self.drawing.svg;
        svg.open("g", &[("class", kind), ("data-series", &series.name)]);
        svg.element("title", &self.tooltip(series));
    }

    fn tooltip(&self, series: &Series) -> String {
        let unit = self.drawing.figure.unit;
        let mut parts = vec![series.name.clone()];
        if let Some(peak) = series.peak {
            parts.push(format!("peak {}", format::value(unit, peak.value)));
        }
        if let Some(last) = series.last {
            let word = if series.ended { "ended at" } else { "last" };
            parts.push(format!("{word} {}", format::value(unit, last.value)));
        }
        if let Some(trend) = &series.trend {
            parts.push(trend.label.clone());
        }
        parts.join(", ")
    }

    /// Areas from the top one down, each from its upper edge to the axis, so that no seam shows between two; then the sum.
    fn areas(&self) {
        let drawing = self.drawing;
        let segments = stacked(drawing.figure, Some(drawing.layout));
        for (place, series) in drawing.figure.series.iter().enumerate().rev() {
            let role = Role::Series(series.colour);
            self.open(series, "area");
            drawing.svg.set_class(&role.fill());
            for segment in &segments {
                let below = place.checked_sub(1).and_then(|below| segment.edges.get(below));
                let Some(edge) = segment.edges.get(place) else { continue };
                // What is nowhere above what lies below it cannot be seen.
                if below.is_some_and(|below| below == edge) || edge.iter().all(|(_, sum)| *sum <= 0.0) {
                    continue;
                }
                for element in AreaSeries::new(self.widened(edge), 0.0, self.colour(role).filled()) {
                    self.element(&element);
                }
            }
            drawing.svg.close("g");
        }
        if let Some(total) = &drawing.figure.total {
            self.open(total, "total");
            drawing.svg.set_class(&Role::Text.stroke());
            let style = self.colour(Role::Text).stroke_width(TOTAL);
            for segment in &segments {
                if let Some(edge) = segment.edges.last() {
                    for element in LineSeries::new(self.widened(edge), style) {
                        self.element(&element);
                    }
                }
            }
            drawing.svg.close("g");
        }
    }

    /// A single moment gets a width that can be seen.
    fn widened(&self, edge: &[(i64, f64)]) -> Vec<(i64, f64)> {
        let layout = self.drawing.layout;
        match edge {
            [(at, value)] => {
                let span = layout.time.to.saturating_sub(layout.time.from) as f64;
                #[expect(clippy::cast_possible_truncation, reason = "a few pixels of a span of time")]
                let half = (span / (layout.right - layout.left).max(1.0) * MIN_WIDTH / 2.0).ceil() as i64;
                let (from, to) = (at.saturating_sub(half), at.saturating_add(half));
                vec![(from.max(layout.time.from), *value), (to.min(layout.time.to), *value)]
            }
            _ => edge.to_vec(),
        }
    }

    fn line(&self, series: &Series) {
        let drawing = self.drawing;
        let role = Role::Series(series.colour);
        let style: ShapeStyle = self.colour(role).stroke_width(LINE);
        self.open(series, "line");
        for run in &series.runs {
            match run.as_slice() {
                [only] => {
                    drawing.svg.set_class(&role.fill());
                    self.element(&Circle::new((only.unix_ms, only.value), 22, self.colour(role).filled()));
                }
                run => {
                    drawing.svg.set_class(&role.stroke());
                    let points = decimated(run, drawing.layout);
                    for element in LineSeries::new(points.iter().map(|p| (p.unix_ms, p.value)), style) {
                        self.element(&element);
                    }
                }
            }
        }
        drawing.svg.close("g");
    }

    fn trend(&self, series: &Series) {
        let Some(trend) = &series.trend else { return };
        if self.drawing.figure.stacked {
            return;
        }
        let layout = self.drawing.layout;
        let (from, to) = (trend.from, trend.to);
        // What is steady, or rises and falls, has no line that says more than its own.
        if (from.value - to.value).abs() < f64::EPSILON {
            return;
        }
        if to.unix_ms <= from.unix_ms || from.unix_ms < layout.time.from || to.unix_ms > layout.time.to {
            return;
        }
        let role = Role::Series(series.colour);
        self.drawing.svg.open("g", &[("class", "trend"), ("data-series", &series.name)]);
        self.drawing.svg.element("title", &format!("{}: {}", series.name, trend.label));
        self.drawing.svg.set_class(&role.stroke());
        let style: ShapeStyle = self.colour(role).stroke_width(12);
        let ends = [(from.unix_ms, from.value), (to.unix_ms, to.value)];
        self.element(&DashedPathElement::new(ends, 60, 40, style));
        self.drawing.svg.close("g");
    }
}
