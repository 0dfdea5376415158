//! The header: the watched roots, the machine's memory, and the total of all trees.

use std::collections::VecDeque;
use std::time::Duration;

use common::time::Span as TimeSpan;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::glyphs::{self, UNKNOWN, fit, size, size_or_unknown};
use super::model::Model;
use super::theme::Theme;

/// The most names of roots in the title.
const TITLE_NAMES: usize = 8;

/// Cells between two items in a line.
const GAP: u16 = 2;

/// The first line: the roots, the interval, the host; the clock at the right.
pub(super) fn title(model: &Model, theme: Theme, area: Rect, buf: &mut Buffer) {
    let clock = model.moment.map(|moment| moment.format("%H:%M:%S")).unwrap_or_default();
    let mut left = area.width;
    if glyphs::width(&clock) + 20 <= area.width {
        left -= glyphs::width(&clock) + 1;
        buf.set_string(area.x + left + 1, area.y, &clock, theme.plain());
    }
    let mut spans = vec![Span::styled(fit(&watched(model), left).into_owned(), theme.strong())];
    let mut used = spans.iter().map(|span| glyphs::width(&span.content)).sum::<u16>();
    let mut notes = Vec::new();
    if let Some(how) = model.exit_summary() {
        notes.push(how.to_owned());
    }
    if model.interval_seconds > 0.0 {
        notes.push(format!("every {}", interval(model.interval_seconds)));
    }
    if model.iteration > 0 {
        notes.push(format!("sample {}", model.iteration));
    }
    if let Some(host) = &model.host {
        notes.push(format!("on {}", super::process_state::display_name(host)));
    }
    for note in notes {
        let cells = glyphs::width(&note).saturating_add(GAP);
        if used.saturating_add(cells) > left {
            break;
        }
        used += cells;
        spans.push(Span::styled(format!("  {note}"), theme.faint()));
    }
    buf.set_line(area.x, area.y, &Line::from(spans), left);
}

/// `bot.py (1234)`, or `celery ×3, redis` for several roots.
fn watched(model: &Model) -> String {
    let roots: Vec<_> = model.visible_roots().filter_map(|(_, root)| root.root_process()).collect();
    match roots.as_slice() {
        [] => "memmon".to_owned(),
        [only] => format!("{} ({})", only.name, only.pid),
        several => {
            let mut names: Vec<(&str, usize)> = Vec::new();
            for root in several {
                match names.iter_mut().find(|(name, _)| *name == root.name) {
                    Some((_, times)) => *times += 1,
                    None => names.push((&root.name, 1)),
                }
            }
            let labels = names.iter().map(|&(name, times)| match times {
                1 => name.to_owned(),
                _ => format!("{name} ×{times}"),
            });
            let rest = (names.len() > TITLE_NAMES).then(|| "…".to_owned());
            labels.take(TITLE_NAMES).chain(rest).collect::<Vec<_>>().join(", ")
        }
    }
}

fn interval(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration < Duration::from_secs(60) => format!("{} s", duration.as_secs_f64()),
        Ok(duration) => TimeSpan(duration).to_string(),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// A value of the machine: a label, possibly a bar, and figures.
struct Gauge {
    label: &'static str,
    bar: Option<(u64, u64)>,
    figures: String,
}

/// The second line: memory of the machine and of a limited cgroup, and pressure.
pub(super) fn machine(model: &Model, theme: Theme, area: Rect, buf: &mut Buffer) {
    const LEAST_BAR: u16 = 4;
    const MOST_BAR: u16 = 24;
    let mut gauges = Vec::new();
    if let Some(system) = &model.system {
        let used = system.available_bytes.map(|available| system.total_bytes.saturating_sub(available));
        gauges.push(Gauge {
            label: "Machine",
            bar: Some((used.unwrap_or(0), system.total_bytes)),
            figures: format!("{}/{}", size_or_unknown(used), size(system.total_bytes)),
        });
    }
    if let Some((current, limit)) = model.tightest_cgroup() {
        let figures = format!("{}/{}", size(current), size(limit));
        gauges.push(Gauge { label: "Cgroup", bar: Some((current, limit)), figures });
    }
    if let Some(pressure) = &model.pressure {
        let (some, full) = (pressure.some_avg10_ratio, pressure.full_avg10_ratio);
        let figures = format!("some {}% full {}%", glyphs::percent(some), glyphs::percent(full));
        gauges.push(Gauge { label: "PSI", bar: None, figures });
    }
    let cells = |gauge: &Gauge| {
        let bar = if gauge.bar.is_some() { LEAST_BAR + 1 } else { 0 };
        glyphs::width(gauge.label) + 1 + bar + glyphs::width(&gauge.figures)
    };
    let mut used = 0;
    gauges.retain(|gauge| {
        let need = cells(gauge) + if used == 0 { 0 } else { GAP };
        let fits = used + need <= area.width;
        used += if fits { need } else { 0 };
        fits
    });
    let bars = u16::try_from(gauges.iter().filter(|gauge| gauge.bar.is_some()).count()).unwrap_or(1).max(1);
    let bar_width = (LEAST_BAR + (area.width - used) / bars).min(MOST_BAR);
    let mut x = area.x;
    for gauge in gauges {
        x = put(buf, x, area, gauge.label, theme.strong()) + 1;
        if let Some((value, full)) = gauge.bar {
            put(buf, x, area, &"·".repeat(bar_width.into()), theme.faint());
            put(buf, x, area, &glyphs::bar(value, full, bar_width), theme.gauge(value, full));
            x += bar_width + 1;
        }
        x = put(buf, x, area, &gauge.figures, theme.plain()) + GAP;
    }
}

fn put(buf: &mut Buffer, x: u16, area: Rect, text: &str, style: Style) -> u16 {
    let room = area.right().saturating_sub(x);
    if room == 0 {
        return x;
    }
    buf.set_stringn(x, area.y, text, room.into(), style).0
}

/// The total of all trees: figures at the left, its history at the right.
pub(super) fn sum(model: &Model, theme: Theme, area: Rect, buf: &mut Buffer) {
    const LEAST_HISTORY: u16 = 8;
    let Some(sum) = model.sum() else {
        buf.set_stringn(area.x, area.y, "waiting for the first sample…", area.width.into(), theme.faint());
        return;
    };
    let trend = match sum.trend {
        Some((bytes, span)) if area.height > 1 => {
            let over = TimeSpan(Duration::try_from_secs_f64(span).unwrap_or_default());
            format!("{}/min over {over}", glyphs::change(bytes))
        }
        Some((bytes, _)) => format!("{}/min", glyphs::change(bytes)),
        None => format!("{UNKNOWN}/min"),
    };
    let mut items = VecDeque::from([
        (format!("Total {}", size(sum.rss)), theme.strong()),
        (trend, theme.plain()),
        (format!("min {} max {}", size(sum.least), size(sum.most)), theme.plain()),
        (format!("PSS {}", size_or_unknown(sum.pss)), theme.plain()),
        (processes(sum.processes, sum.short_lived), theme.plain()),
    ]);
    // The history is worth more than the last figures.
    let room =
        if area.height > 1 { area.width * 3 / 5 } else { area.width.saturating_sub(LEAST_HISTORY + GAP) };
    let mut figures_width = 0;
    for (n, line) in (0_u16..).zip(area.rows()) {
        let mut spans: Vec<Span> = Vec::new();
        let mut used = 0;
        for _ in 0..items.len().div_ceil((area.height - n).into()) {
            let gap = if used == 0 { 0 } else { GAP };
            // The total itself is always shown.
            let is_sum = n == 0 && used == 0;
            let fits = |(text, _): &mut (String, Style)| is_sum || used + gap + glyphs::width(text) <= room;
            let Some((text, style)) = items.pop_front_if(fits) else { break };
            let text = format!("{}{}", " ".repeat(gap.into()), fit(&text, area.width));
            used += glyphs::width(&text);
            spans.push(Span::styled(text, style));
        }
        figures_width = figures_width.max(used);
        buf.set_line(line.x, line.y, &Line::from(spans), area.width);
    }
    let x = area.x + figures_width + GAP;
    if x < area.right() {
        for (row, line) in area.rows().zip(glyphs::spark(model.totals(), area.right() - x, area.height)) {
            buf.set_string(x, row.y, line, theme.history());
        }
    }
}

fn processes(number: usize, short_lived: u64) -> String {
    let mut text = if number == 1 { "1 process".to_owned() } else { format!("{number} processes") };
    if short_lived > 0 {
        text.push_str(&format!(", {} short-lived", glyphs::count(short_lived)));
    }
    text
}
