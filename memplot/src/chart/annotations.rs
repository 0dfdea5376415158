//! What happened, and the peak.

use jiff::tz::TimeZone;
use plotters::style::RGBColor;
use plotters_backend::DrawingBackend;

use super::Drawing;
use super::layout::BODY;
use super::style::Role;
use crate::clock::{date, local, time_of_day};
use crate::figure::{Mark, MarkKind, Point};
use crate::format;
use crate::svg::{Anchor, SvgBackend, TextRun, units};
use crate::text_metrics::width;

/// Marks of one kind that are nearer to each other than this, in pixels, are one.
const NEAR: f64 = 7.0;

/// Marks that are drawn as one: the first of them, and how many.
struct Group<'a> {
    x: f64,
    marks: Vec<&'a Mark>,
}

/// Draws marks and the peak.
pub fn draw(drawing: &Drawing<'_>, zone: &TimeZone) {
    drawing.svg.open("g", &[("class", "marks")]);
    let mut free = f64::MIN;
    for kind in [MarkKind::Oom, MarkKind::Limit, MarkKind::Run] {
        for group in groups(drawing, kind) {
            line(drawing, kind, &group, &mut free, zone);
        }
    }
    for kind in [MarkKind::Started, MarkKind::Exited] {
        for group in groups(drawing, kind) {
            arrow(drawing, kind, &group, zone);
        }
    }
    if drawing.has_points() {
        peak(drawing, zone);
    }
    drawing.svg.close("g");
}

fn groups<'a>(drawing: &Drawing<'a>, kind: MarkKind) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for mark in drawing.figure.marks.iter().filter(|mark| mark.kind == kind) {
        let x = drawing.layout.x(mark.unix_ms);
        match groups.last_mut() {
            Some(last) if x - last.x < NEAR => last.marks.push(mark),
            _ => groups.push(Group { x, marks: vec![mark] }),
        }
    }
    groups
}

/// All that happened at about one place, in words: as much as a tooltip holds, and how much more there is.
fn tooltip(group: &Group<'_>, zone: &TimeZone) -> String {
    const MAX_LISTED: usize = 12;
    let mut lines: Vec<String> = group
        .marks
        .iter()
        .take(MAX_LISTED)
        .map(|mark| format!("{} {}", time_of_day(mark.unix_ms, zone, true), mark.text))
        .collect();
    if group.marks.len() > MAX_LISTED {
        lines.push(format!("and {} more", group.marks.len() - MAX_LISTED));
    }
    lines.join("; ")
}

/// A line through the whole picture, with its words above where they have room.
fn line(drawing: &Drawing<'_>, kind: MarkKind, group: &Group<'_>, free: &mut f64, zone: &TimeZone) {
    let layout = drawing.layout;
    let role = if kind == MarkKind::Run { Role::Muted } else { Role::Alarm };
    drawing.svg.open("g", &[("class", "mark"), ("stroke-dasharray", "3 3")]);
    drawing.svg.element("title", &tooltip(group, zone));
    drawing.hairline((group.x, layout.top - 4.0), (group.x, layout.bottom), role);
    drawing.svg.close("g");
    let text = match group.marks.as_slice() {
        [one] => one.text.clone(),
        several => format!("{} × {}", several.len(), several.first().map_or("", |mark| mark.text.as_str())),
    };
    let wide = width(&text, BODY);
    let from = group.x.min(layout.size.0 - 18.0 - wide);
    if from >= *free && from >= 18.0 {
        drawing.text((from, layout.top - 10.0), BODY, Anchor::Start, role, &text);
        *free = from + wide + 12.0;
    }
}

/// A small arrow at the axis: up where something started, down where it ended.
fn arrow(drawing: &Drawing<'_>, kind: MarkKind, group: &Group<'_>, zone: &TimeZone) {
    let (x, y) = (units(group.x), units(drawing.layout.bottom));
    let points = if kind == MarkKind::Started {
        [(x - 35, y + 70), (x + 35, y + 70), (x, y + 15)]
    } else {
        [(x - 35, y + 15), (x + 35, y + 15), (x, y + 70)]
    };
    let role = Role::Muted;
    let (r, g, b) = role.rgb(drawing.theme);
    drawing.svg.open("g", &[("class", "mark")]);
    drawing.svg.element("title", &tooltip(group, zone));
    drawing.svg.set_class(&role.fill());
    // Writing to memory cannot fail.
    let _ = SvgBackend::new(drawing.svg, 0, 0).fill_polygon(points, &RGBColor(r, g, b));
    drawing.svg.close("g");
}

/// The highest point of the picture, with value and time.
fn peak(drawing: &Drawing<'_>, zone: &TimeZone) {
    let figure = drawing.figure;
    let greater = |a: Point, b: Point| if b.value > a.value { b } else { a };
    let of_series = figure.series.iter().filter_map(|one| one.peak).reduce(greater);
    let Some(peak) = figure.total.as_ref().and_then(|total| total.peak).or(of_series) else { return };
    if peak.value <= 0.0 {
        return;
    }
    let layout = drawing.layout;
    let (x, y) = drawing.place(peak);
    let days = date(figure.time.0, zone) != date(figure.time.1, zone);
    let seconds = figure.time.1.saturating_sub(figure.time.0) < 20 * 60_000;
    let day = if days { local(peak.unix_ms, zone).strftime("%-d %b ").to_string() } else { String::new() };
    let text = format!(
        "peak {}, {day}{}",
        format::value(figure.unit, peak.value),
        time_of_day(peak.unix_ms, zone, seconds)
    );
    let half = width(&text, BODY) / 2.0;
    let middle = x.max(layout.left + half).min((layout.right - half).max(layout.left + half));
    drawing.svg.open("g", &[("class", "peak")]);
    drawing.svg.element("title", &text);
    drawing.dot((x, y), 3.2, Role::Text);
    let (ink, ground) = (Role::Text.fill(), Role::Ground.stroke());
    let ink = TextRun { class: &ink, rgb: Role::Text.rgb(drawing.theme), text: &text };
    let halo = TextRun { class: &ground, rgb: Role::Ground.rgb(drawing.theme), text: "" };
    drawing.svg.text((middle, y - 9.0), BODY, Anchor::Middle, &[ink], Some(halo));
    drawing.svg.close("g");
}
