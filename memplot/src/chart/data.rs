//! Draws the data with plotters: areas, lines, the total and trends.

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::series::{AreaSeries, LineSeries};
use plotters::style::{Color, RGBColor, ShapeStyle};
use plotters_backend::BackendCoord;

use super::drawing::Drawing;
use super::layout::Layout;
use super::style::Role;
use crate::downsample::extremes;
use crate::figure::{Point, Series};
use crate::format;
use crate::stack;
use crate::svg::SvgWriter;

/// The width of lines, in units of the canvas.
const LINE: u32 = 18;
/// The width of the total's line and of trends.
const THIN_LINE: u32 = 12;
/// The radius of a single point, in pixels.
const DOT_RADIUS: f64 = 2.2;
/// The width of an area with a single moment, in pixels.
const MIN_WIDTH: f64 = 2.0;

/// Draws all series.
pub fn draw(drawing: &Drawing<'_>) {
    let layer = DataLayer { drawing, area: drawing.svg.clone().into_drawing_area() };
    let attributes = [("class", "data"), ("stroke-linejoin", "round"), ("stroke-linecap", "round")];
    drawing.svg.group(&attributes, None, || {
        if drawing.figure.stacked {
            return layer.draw_areas();
        }
        // The most important series comes first: it is drawn last, on top.
        drawing.figure.series.iter().rev().for_each(|series| layer.draw_line(series));
        drawing.figure.series.iter().for_each(|series| layer.draw_trend(series));
    });
}

/// Keeps the extremes of each column of pixels.
fn decimated<'a>(run: &'a [Point], layout: &Layout) -> Vec<&'a Point> {
    let mut kept = Vec::new();
    for group in run.chunk_by(|a, b| layout.column(a.unix_ms) == layout.column(b.unix_ms)) {
        if group.len() <= 4 {
            kept.extend(group);
        } else {
            let indices = extremes(group, |point| point.value);
            kept.extend(indices.into_iter().filter_map(|index| group.get(index)));
        }
    }
    kept
}

struct DataLayer<'a> {
    drawing: &'a Drawing<'a>,
    area: DrawingArea<SvgWriter, Shift>,
}

impl DataLayer<'_> {
    fn draw(&self, elements: impl IntoIterator<Item = DynElement<'static, SvgWriter, BackendCoord>>) {
        for element in elements {
            // Writing to memory cannot fail.
            let _ = self.area.draw(&element);
        }
    }

    /// Sets the class of lines, and returns their style.
    fn stroke(&self, role: Role, width: u32) -> ShapeStyle {
        self.drawing.svg.set_class(&role.stroke());
        self.colour(role).stroke_width(width)
    }

    /// Sets the class of areas and dots, and returns their style.
    fn fill(&self, role: Role) -> ShapeStyle {
        self.drawing.svg.set_class(&role.fill());
        self.colour(role).filled()
    }

    fn colour(&self, role: Role) -> RGBColor {
        let (r, g, b) = role.rgb(self.drawing.theme);
        RGBColor(r, g, b)
    }

    fn group(&self, series: &Series, class: &str, tooltip: &str, content: impl FnOnce()) {
        let attributes = [("class", class), ("data-series", &series.name)];
        self.drawing.svg.group(&attributes, Some(tooltip), content);
    }

    fn tooltip(&self, series: &Series) -> String {
        let value = |point: Point| format::value(self.drawing.figure.unit, point.value);
        let mut parts = vec![series.name.clone()];
        parts.extend(series.peak.map(|peak| format!("peak {}", value(peak))));
        let last = if series.ended { "ended at" } else { "last" };
        parts.extend(series.last.map(|point| format!("{last} {}", value(point))));
        parts.extend(series.trend.as_ref().map(|trend| trend.label.clone()));
        parts.join(", ")
    }

    /// Areas from the top one down, each from its upper edge to the axis, so that no seam shows between two; then the total.
    fn draw_areas(&self) {
        let (figure, layout) = (self.drawing.figure, self.drawing.layout);
        let segments = stack::segments(&figure.series, |unix_ms| layout.column(unix_ms));
        for (index, series) in figure.series.iter().enumerate().rev() {
            self.group(series, "area", &self.tooltip(series), || {
                let style = self.fill(Role::Series(series.colour));
                for segment in &segments {
                    let below = index.checked_sub(1).and_then(|below| segment.get(below));
                    let Some(edge) = segment.get(index) else { continue };
                    // An area of no height cannot be seen.
                    if below.is_some_and(|below| below == edge) || edge.iter().all(|(_, sum)| *sum <= 0.0) {
                        continue;
                    }
                    self.draw(AreaSeries::new(self.edge_coords(edge), layout.coord(0, 0.0).1, style));
                }
            });
        }
        let Some(total) = &figure.total else { return };
        self.group(total, "total", &self.tooltip(total), || {
            let style = self.stroke(Role::Text, THIN_LINE);
            for edge in segments.iter().filter_map(|segment| segment.last()) {
                self.draw(LineSeries::new(self.edge_coords(edge), style));
            }
        });
    }

    /// The places of an edge. A single moment gets a width that can be seen: the whole one if there is no other.
    fn edge_coords(&self, edge: &[(i64, f64)]) -> Vec<BackendCoord> {
        let layout = self.drawing.layout;
        let coords = |edge: &[(i64, f64)]| edge.iter().map(|&(at, value)| layout.coord(at, value)).collect();
        let [(at, value)] = edge else { return coords(edge) };
        let (from, to) = (layout.time.from, layout.time.to);
        if layout.time.only.is_some() {
            return coords(&[(from, *value), (to, *value)]);
        }
        let ms_per_pixel = to.saturating_sub(from) as f64 / (layout.right - layout.left).max(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "a few pixels of a range of time")]
        let half = (ms_per_pixel * MIN_WIDTH / 2.0).ceil() as i64;
        coords(&[(at.saturating_sub(half).max(from), *value), (at.saturating_add(half).min(to), *value)])
    }

    fn draw_line(&self, series: &Series) {
        let (layout, role) = (self.drawing.layout, Role::Series(series.colour));
        self.group(series, "line", &self.tooltip(series), || {
            for run in &series.runs {
                if let ([only], Some(_)) = (run.as_slice(), layout.time.only) {
                    let ends = [layout.time.from, layout.time.to].map(|at| layout.coord(at, only.value));
                    self.draw(LineSeries::new(ends, self.stroke(role, LINE)));
                    continue;
                }
                if let [only] = run.as_slice() {
                    self.drawing.dot((layout.x(only.unix_ms), layout.y(only.value)), DOT_RADIUS, role);
                    continue;
                }
                let points = decimated(run, layout).into_iter();
                let coords = points.map(|point| layout.coord(point.unix_ms, point.value));
                self.draw(LineSeries::new(coords, self.stroke(role, LINE)));
            }
        });
    }

    fn draw_trend(&self, series: &Series) {
        let Some(trend) = &series.trend else { return };
        let (from, to) = (trend.from, trend.to);
        // A level line would add nothing: steady series and saw-tooths have one.
        let is_level = (from.value - to.value).abs() < f64::EPSILON;
        let layout = self.drawing.layout;
        let time = &layout.time;
        if is_level || to.unix_ms <= from.unix_ms || from.unix_ms < time.from || to.unix_ms > time.to {
            return;
        }
        self.group(series, "trend", &format!("{}: {}", series.name, trend.label), || {
            let style = self.stroke(Role::Series(series.colour), THIN_LINE);
            let ends = [from, to].map(|end| layout.coord(end.unix_ms, end.value));
            self.draw([DashedPathElement::new(ends, 60, 40, style).into_dyn()]);
        });
    }
}
