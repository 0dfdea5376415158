//! Writes title and subtitle.

use common::units::counted;

use super::log_summary::{LogSummary, Process};
use super::names;
use super::view::View;
use crate::cli::{Metric, Quantity};
use crate::clock::{date, local, moment_within, time_within, zone};
use crate::figure::Figure;
use crate::format::{shown, value};
use crate::text_metrics::shortened;

/// The title: the quantity, and the process or logs it is from.
pub fn title(log: &LogSummary<'_>, view: &View) -> String {
    let metric = match view.metric {
        Metric::Rss => "",
        Metric::Pss => " (PSS)",
        Metric::Uss => " (USS)",
        Metric::Swap => " (swap)",
    };
    let what = match view.quantity {
        Quantity::Types => "Python objects by type".to_owned(),
        Quantity::Modules => "Python objects by module".to_owned(),
        Quantity::Holders | Quantity::Heap | Quantity::Treemap => "Python objects by holder".to_owned(),
        Quantity::Caches => "Caches".to_owned(),
        Quantity::Counts => "Number of Python objects by type".to_owned(),
        Quantity::Processes if has_several(view) => format!("Memory by process{metric}"),
        Quantity::Processes => format!("Memory{metric}"),
        Quantity::Total => "Memory in total".to_owned(),
        Quantity::Threads => "Threads".to_owned(),
    };
    let change = if log.request.args.delta { ", change since the start" } else { "" };
    format!("{what}{}{change}", source(log))
}

/// The process or logs: `: bot.py (pid 7)`.
fn source(log: &LogSummary<'_>) -> String {
    let inputs = &log.request.inputs;
    if inputs.len() > 1 {
        let logs: Vec<String> = inputs.iter().map(|input| names::log_name(input)).collect();
        return format!(": {}", logs.join(", "));
    }
    let names: Vec<String> = log.processes.iter().map(Process::short_name).collect();
    match (names.as_slice(), log.processes.as_slice()) {
        ([name], [one]) if one.pid > 0 => format!(": {name} (pid {})", one.pid),
        ([name], _) if !name.is_empty() => format!(": {name}"),
        ([] | [_], _) => String::new(),
        ([first, rest @ ..], _) if rest.iter().all(|name| name == first) => {
            format!(": {} × {first}", names.len())
        }
        ([first, rest @ ..], _) => format!(": {first} and {} more", rest.len()),
    }
}

/// The parts of the subtitle. `omitted` is the name and the peak of the combined others if they are not drawn.
pub fn subtitle(
    log: &LogSummary<'_>,
    view: &View,
    figure: &Figure,
    omitted: Option<(String, f64)>,
) -> Vec<String> {
    let mut parts = vec![time_range(figure.time, zone())];
    if !log.request.window.is_relative() {
        let samples: u64 = view.tracks.iter().map(|track| track.samples).sum();
        let interval = log.interval_seconds.filter(|seconds| samples > 1 && *seconds > 0.0).map(interval);
        parts.push(format!("{}{}", counted(samples, "sample", "samples"), interval.unwrap_or_default()));
    }
    if log.failed > 0 {
        parts.push(format!("{} failed", counted(log.failed, "sample", "samples")));
    }
    if let Some((peak, series)) = figure.peak() {
        // The label has the full name.
        let is_ambiguous = figure.series.len() > 1 && figure.total.is_none();
        let name =
            if is_ambiguous { format!(" ({})", shortened(&series.name, 1.0, 24.0)) } else { String::new() };
        let moment = moment_within(peak.unix_ms, figure.time, zone());
        parts.push(format!("peak {} at {moment}{name}", shown(figure, peak.value)));
    }
    if let Some((name, peak)) = omitted {
        parts.push(format!("{name} not drawn: up to {} together", value(figure.unit, peak)));
    }
    if view.quantity == Quantity::Processes && view.metric == Metric::Rss && has_several(view) {
        parts.push("RSS: shared pages count in each process".to_owned());
    }
    parts
}

fn has_several(view: &View) -> bool {
    view.kept().count() > 1
}

fn interval(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!(" every {} ms", (s * 1000.0).round()),
        s if s < 120.0 => format!(" every {} s", (s * 10.0).round() / 10.0),
        s => format!(" every {} min", (s / 6.0).round() / 10.0),
    }
}

fn time_range(range: (i64, i64), zone: &jiff::tz::TimeZone) -> String {
    let [first, last] =
        [range.0, range.1].map(|unix_ms| (date(unix_ms, zone), time_within(unix_ms, range, zone)));
    let zone_name = local(range.1, zone).strftime("%Z");
    if first.0 != last.0 {
        format!("{} {} – {} {} {zone_name}", first.0, first.1, last.0, last.1)
    } else if first.1 != last.1 {
        format!("{} {}–{} {zone_name}", first.0, first.1, last.1)
    } else {
        format!("{} {} {zone_name}", first.0, first.1)
    }
}
