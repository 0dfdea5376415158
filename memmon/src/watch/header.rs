//! The header: the watched roots, the machine's memory, and the total of all trees.

use std::collections::VecDeque;
use std::time::Duration;

use common::time::Span as TimeSpan;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::glyphs::{self, UNKNOWN, draw, fit, size, size_or_unknown};
use super::model::Model;
use super::process_state::display_name;
use super::theme;

/// The most names of roots in the title.
const TITLE_NAMES: usize = 8;
/// Cells between two items in a line.
const GAP: u16 = 2;

/// The first line: the roots, the interval, the host; the clock at the right.
pub(super) fn title(model: &Model, area: Rect, buf: &mut Buffer) {
    let clock = model.moment.map(|moment| moment.format("%H:%M:%S")).unwrap_or_default();
    let cells = glyphs::width(&clock);
    let mut left = area.width;
    if cells + 20 <= area.width {
        left -= cells + 1;
        draw(clock, Rect { x: area.right() - cells, width: cells, ..area }, buf);
    }
    let watched = fit(&watched(model), left).into_owned();
    let mut used = glyphs::width(&watched);
    let mut spans = vec![Span::styled(watched, theme::STRONG)];
    let every = (model.interval_seconds > 0.0).then(|| format!("every {}", interval(model.interval_seconds)));
    let sample = (model.iteration > 0).then(|| format!("sample {}", model.iteration));
    let host = model.host.as_ref().map(|host| format!("on {}", display_name(host)));
    let end = model.exit_summary().map(str::to_owned);
    for note in [end, every, sample, host].into_iter().flatten() {
        used = used.saturating_add(glyphs::width(&note)).saturating_add(GAP);
        if used > left {
            break;
        }
        spans.push(Span::styled(format!("  {note}"), theme::FAINT));
    }
    draw(spans, Rect { width: left, ..area }, buf);
}

/// `bot.py (1234)`, or `celery ×3, redis` for several roots.
fn watched(model: &Model) -> String {
    let roots: Vec<_> = model.visible_roots().filter_map(|(_, root)| root.root_process()).collect();
    match roots.as_slice() {
        [] => "memmon".to_owned(),
        [only] => format!("{} ({})", only.name, only.sample.pid),
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

/// The second line: memory of the machine and of a limited cgroup, and pressure.
pub(super) fn machine(model: &Model, area: Rect, buf: &mut Buffer) {
    const LEAST_BAR: u16 = 4;
    const MOST_BAR: u16 = 24;
    // Each has a label, possibly a bar, and figures.
    let mut gauges = Vec::new();
    if let Some(system) = &model.system {
        let used = system.available_bytes.map(|available| system.total_bytes.saturating_sub(available));
        let figures = format!("{}/{}", size_or_unknown(used), size(system.total_bytes));
        gauges.push(("Machine", Some((used.unwrap_or(0), system.total_bytes)), figures));
    }
    if let Some((current, limit)) = model.tightest_cgroup() {
        gauges.push(("Cgroup", Some((current, limit)), format!("{}/{}", size(current), size(limit))));
    }
    if let Some(pressure) = &model.pressure {
        let [some, full] = [pressure.some_avg10_ratio, pressure.full_avg10_ratio].map(glyphs::percent);
        gauges.push(("PSI", None, format!("some {some}% full {full}%")));
    }
    let mut used = 0;
    gauges.retain(|(label, bar, figures)| {
        let bar = if bar.is_some() { LEAST_BAR + 1 } else { 0 };
        let gap = if used == 0 { 0 } else { GAP };
        let need = gap + glyphs::width(label) + 1 + bar + glyphs::width(figures);
        let fits = used + need <= area.width;
        used += if fits { need } else { 0 };
        fits
    });
    let bars = u16::try_from(gauges.iter().filter(|(_, bar, _)| bar.is_some()).count()).unwrap_or(1).max(1);
    let bar_width = (LEAST_BAR + area.width.saturating_sub(used) / bars).min(MOST_BAR);
    let mut spans = Vec::new();
    for (label, bar, figures) in gauges {
        spans.extend([Span::styled(label, theme::STRONG), Span::raw(" ")]);
        if let Some((value, full)) = bar {
            let bar = glyphs::bar(value, full, bar_width);
            let rest = "·".repeat(bar_width.saturating_sub(glyphs::width(&bar)).into());
            let style = theme::FAINT.patch(theme::gauge(value, full));
            spans.extend([Span::styled(bar, style), Span::styled(rest, theme::FAINT), Span::raw(" ")]);
        }
        spans.extend([Span::raw(figures), Span::raw("  ")]);
    }
    draw(spans, area, buf);
}

/// The total of all trees: figures at the left, its history at the right.
pub(super) fn sum(model: &Model, area: Rect, buf: &mut Buffer) {
    const LEAST_HISTORY: u16 = 8;
    let Some(sum) = model.sum() else {
        return draw(Span::styled("waiting for the first sample…", theme::FAINT), area, buf);
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
        (format!("Total {}", size(sum.rss)), theme::STRONG),
        (trend, theme::PLAIN),
        (format!("min {} max {}", size(sum.least), size(sum.most)), theme::PLAIN),
        (format!("PSS {}", size_or_unknown(sum.pss)), theme::PLAIN),
        (processes(sum.processes, sum.short_lived), theme::PLAIN),
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
        draw(spans, line, buf);
    }
    let used = figures_width.saturating_add(GAP).min(area.width);
    let history = Rect { x: area.x + used, width: area.width - used, ..area };
    for (row, line) in history.rows().zip(glyphs::spark(model.totals(), history.width, area.height)) {
        draw(Span::styled(line, theme::HISTORY), row, buf);
    }
}

fn processes(number: usize, short_lived: u64) -> String {
    let mut text = if number == 1 { "1 process".to_owned() } else { format!("{number} processes") };
    if short_lived > 0 {
        text.push_str(&format!(", {} short-lived", glyphs::count(short_lived)));
    }
    text
}
