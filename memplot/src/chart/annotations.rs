//! Draws events and the peak.

use super::drawing::Drawing;
use super::layout::MARGIN;
use super::style::{BODY, Role};
use crate::clock::{moment_within, time_of_day};
use crate::figure::{Mark, MarkKind};
use crate::format;
use crate::svg::{Anchor, units};
use crate::text_metrics::width;

/// Marks of one kind closer than this are drawn as one, in pixels.
const MIN_DISTANCE: f64 = 7.0;
/// Marks that a tooltip lists.
const MAX_LISTED: usize = 12;

/// Marks that are drawn as one, at the position of the first.
struct MarkGroup<'a> {
    x: f64,
    marks: Vec<&'a Mark>,
}

/// Draws marks and the peak.
pub fn draw(drawing: &Drawing<'_>) {
    drawing.svg.group(&[("class", "marks")], None, || {
        let mut free = f64::MIN;
        for kind in [MarkKind::Oom, MarkKind::Limit, MarkKind::Run] {
            for group in groups(drawing, kind) {
                draw_line(drawing, kind, &group, &mut free);
            }
        }
        for kind in [MarkKind::Started, MarkKind::Exited] {
            for group in groups(drawing, kind) {
                draw_arrow(drawing, kind, &group);
            }
        }
        draw_peak(drawing);
    });
}

fn groups<'a>(drawing: &Drawing<'a>, kind: MarkKind) -> Vec<MarkGroup<'a>> {
    let mut groups: Vec<MarkGroup<'a>> = Vec::new();
    for mark in drawing.figure.marks.iter().filter(|mark| mark.kind == kind) {
        let x = drawing.layout.x(mark.unix_ms);
        match groups.last_mut() {
            Some(last) if x - last.x < MIN_DISTANCE => last.marks.push(mark),
            _ => groups.push(MarkGroup { x, marks: vec![mark] }),
        }
    }
    groups
}

fn tooltip(drawing: &Drawing<'_>, group: &MarkGroup<'_>) -> String {
    let listed = group.marks.iter().take(MAX_LISTED);
    let mut lines: Vec<String> = listed
        .map(|mark| format!("{} {}", time_of_day(mark.unix_ms, drawing.zone, true), mark.text))
        .collect();
    if group.marks.len() > MAX_LISTED {
        lines.push(format!("and {} more", group.marks.len() - MAX_LISTED));
    }
    lines.join("; ")
}

/// A vertical line through the plot. Its text is above it, unless that would overlap the text before (up to `free`).
fn draw_line(drawing: &Drawing<'_>, kind: MarkKind, group: &MarkGroup<'_>, free: &mut f64) {
    let layout = drawing.layout;
    let role = if kind == MarkKind::Run { Role::Muted } else { Role::Alert };
    let attributes = [("class", "mark"), ("stroke-dasharray", "3 3")];
    drawing.svg.group(&attributes, Some(&tooltip(drawing, group)), || {
        drawing.line((group.x, layout.top - 4.0), (group.x, layout.bottom), role);
    });
    let text = match group.marks.as_slice() {
        [one] => one.text.clone(),
        several => format!("{} × {}", several.len(), several.first().map_or("", |mark| mark.text.as_str())),
    };
    let text_width = width(&text, BODY);
    let x = group.x.min(layout.size.0 - MARGIN - text_width);
    if x >= *free && x >= MARGIN {
        drawing.text((x, layout.top - 10.0), BODY, Anchor::Start, role, &text);
        *free = x + text_width + 12.0;
    }
}

/// A small arrow at the time axis: up for a start, down for an end.
fn draw_arrow(drawing: &Drawing<'_>, kind: MarkKind, group: &MarkGroup<'_>) {
    let (x, y) = (units(group.x), units(drawing.layout.bottom));
    let (base, tip) = if kind == MarkKind::Started { (y + 70, y + 15) } else { (y + 15, y + 70) };
    drawing.svg.group(&[("class", "mark")], Some(&tooltip(drawing, group)), || {
        drawing.svg.set_class(&Role::Muted.fill());
        drawing.svg.fill(&[(x - 35, base), (x + 35, base), (x, tip)], Role::Muted.rgb(drawing.theme));
    });
}

/// A dot at the highest point of the figure, with its value and time.
fn draw_peak(drawing: &Drawing<'_>) {
    let (figure, layout) = (drawing.figure, drawing.layout);
    let peak = figure.peak().map(|(peak, _)| peak);
    let Some(peak) = peak.filter(|peak| peak.value > 0.0 && figure.points().next().is_some()) else { return };
    let (x, y) = (layout.x(peak.unix_ms), layout.y(peak.value));
    let moment = moment_within(peak.unix_ms, figure.time, drawing.zone);
    let text = format!("peak {}, {moment}", format::shown(figure, peak.value));
    let half = width(&text, BODY) / 2.0;
    let middle = x.max(layout.left + half).min((layout.right - half).max(layout.left + half));
    drawing.svg.group(&[("class", "peak")], Some(&text), || {
        drawing.dot((x, y), 3.2, Role::Text);
        let run = drawing.text_run(Role::Text, &text);
        let halo = (&*Role::Background.stroke(), Role::Background.rgb(drawing.theme));
        drawing.svg.text((middle, y - 9.0), BODY, Anchor::Middle, &[run], Some(halo));
    });
}
