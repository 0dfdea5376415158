//! The words above a picture: what, of whom, when, how many samples, the peak.

use common::units::counted;

use super::view::View;
use super::{Collector, Process, names};
use crate::cli::{Metric, Quantity};
use crate::clock::{date, local, time_of_day};
use crate::figure::{Series, Unit};
use crate::format::value;
use crate::text_metrics::shortened;

/// Title and subtitle.
#[derive(Debug)]
pub struct Headline {
    /// What is shown, of whom.
    pub title: String,
    /// When, how many samples, the peak.
    pub subtitle: String,
}

/// Below so many milliseconds, seconds matter.
const SECONDS_MATTER_MS: i64 = 20 * 60_000;

/// The headline of a picture.
pub fn headline(
    collector: &Collector,
    view: &View,
    series: &[Series],
    total: Option<&Series>,
    time: (i64, i64),
    omitted_others: Option<(String, f64)>,
) -> Headline {
    let unit = super::build::unit(view);
    let mut parts = vec![when(collector, time)];
    if !collector.request.window.is_relative() {
        let samples: u64 = view.tracks.iter().map(|track| track.samples).sum();
        let every =
            collector.interval_seconds.filter(|seconds| *seconds > 0.0).map(every).unwrap_or_default();
        parts.push(format!("{}{every}", counted(samples, "sample", "samples")));
    }
    if collector.failed > 0 {
        parts.push(format!("{} failed", counted(collector.failed, "sample", "samples")));
    }
    if let Some(peak) = peak_text(collector, series, total, unit, time) {
        parts.push(peak);
    }
    if let Some((name, peak)) = omitted_others {
        parts.push(format!("{name} not drawn: up to {} together", value(unit, peak)));
    }
    let several = view.members.iter().filter(|member| view.is_kept(member)).count() > 1;
    if view.choice.what == Quantity::Processes && view.choice.metric == Metric::Rss && several {
        parts.push("RSS: shared pages count in each process".to_owned());
    }
    Headline { title: title(collector, view, several), subtitle: parts.join("  ·  ") }
}

fn title(collector: &Collector, view: &View, several: bool) -> String {
    let metric = match view.choice.metric {
        Metric::Rss => "",
        Metric::Pss => " (PSS)",
        Metric::Uss => " (USS)",
        Metric::Swap => " (swap)",
    };
    let what = match view.choice.what {
        Quantity::Types => "Python objects by type".to_owned(),
        Quantity::Modules => "Python objects by module".to_owned(),
        Quantity::Holders => "Python objects by what holds them".to_owned(),
        Quantity::Caches => "Caches".to_owned(),
        Quantity::Counts => "Number of Python objects by type".to_owned(),
        Quantity::Processes if several => format!("Memory by process{metric}"),
        Quantity::Processes => format!("Memory{metric}"),
        Quantity::Total => "Memory in total".to_owned(),
        Quantity::Threads => "Threads".to_owned(),
    };
    let whose = if collector.request.inputs.len() > 1 {
        let stems: Vec<String> =
            collector.request.inputs.iter().map(|input| names::log_name(input)).collect();
        format!(": {}", stems.join(", "))
    } else {
        let names: Vec<String> = collector.subjects.iter().map(Process::short).collect();
        match (names.as_slice(), collector.subjects.as_slice()) {
            ([name], [one]) if one.pid > 0 => format!(": {name} (pid {})", one.pid),
            ([name], _) if !name.is_empty() => format!(": {name}"),
            ([], _) | ([_], _) => String::new(),
            ([first, rest @ ..], _) if rest.iter().all(|name| name == first) => {
                format!(": {} × {first}", names.len())
            }
            ([first, rest @ ..], _) => format!(": {first} and {} more", rest.len()),
        }
    };
    let change = if collector.request.delta { ", change since the start" } else { "" };
    format!("{what}{whose}{change}")
}

fn every(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!(" every {} ms", (s * 1000.0).round()),
        s if s < 120.0 => format!(" every {} s", (s * 10.0).round() / 10.0),
        s => format!(" every {} min", (s / 6.0).round() / 10.0),
    }
}

fn when(collector: &Collector, (from, to): (i64, i64)) -> String {
    let zone = &collector.request.zone;
    let seconds = to.saturating_sub(from) < SECONDS_MATTER_MS;
    let clock = |unix_ms| time_of_day(unix_ms, zone, seconds);
    let (first, last) = (date(from, zone), date(to, zone));
    let name = local(to, zone).strftime("%Z").to_string();
    if first != last {
        return format!("{first} {} – {last} {} {name}", clock(from), clock(to));
    }
    if clock(from) == clock(to) {
        return format!("{first} {} {name}", clock(from));
    }
    format!("{first} {}–{} {name}", clock(from), clock(to))
}

fn peak_text(
    collector: &Collector,
    series: &[Series],
    total: Option<&Series>,
    unit: Unit,
    time: (i64, i64),
) -> Option<String> {
    let of_series = || series.iter().filter_map(|one| Some((one.peak?, &one.name)));
    let (peak, whose) = match total.and_then(|total| total.peak) {
        Some(peak) => (peak, None),
        None => {
            let (peak, name) = of_series().reduce(|a, b| if b.0.value > a.0.value { b } else { a })?;
            (peak, (series.len() > 1).then_some(name))
        }
    };
    let zone = &collector.request.zone;
    let seconds = time.1.saturating_sub(time.0) < SECONDS_MATTER_MS;
    let mut at = time_of_day(peak.unix_ms, zone, seconds);
    if date(time.0, zone) != date(time.1, zone) {
        at = format!("{} {at}", local(peak.unix_ms, zone).strftime("%-d %b"));
    }
    // As long a name as a line of words bears; the label has it too.
    let whose = whose.map(|name| format!(" ({})", shortened(name, 1.0, 24.0))).unwrap_or_default();
    Some(format!("peak {} at {at}{whose}", value(unit, peak.value)))
}
