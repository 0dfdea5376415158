//! Describes verdicts in sentences.

use std::time::Duration;

use common::record::{LimitKind, SeriesKind, TrendKind, Verdict};
use common::time::{Span, Stamp};
use common::units::{Bytes, counted, thousands, whole};

use super::key::is_count;

/// A series has ended if it has no value for so long before the end of the log.
const ENDED_AFTER_SECONDS: f64 = 60.0;

/// A series that was observed for less than this may still warm up: its rate is per minute, and no certainty is stated.
const MIN_SECONDS: f64 = 300.0;
/// The farthest forecast from such a series, in its own lengths.
const BRIEF_HORIZON: f64 = 10.0;

/// A sentence about a series, in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The series: `python3 worker.py (pid 32221)`.
    pub subject: String,
    /// Its trend: `grows by 3.1 MiB/h (2.9 to 3.3), 99 % sure, 2 h 10 min, 780 moments`.
    pub predicate: String,
}

/// The rate of a series for people, without its sign: `3.1 MiB/h`.
pub fn format_slope(verdict: &Verdict) -> String {
    let (rate, time) = rate_of(verdict);
    let unit = Unit::of(verdict, rate);
    let space = if unit.name.is_empty() { "" } else { " " };
    format!("{}{space}{}/{time}", unit.number(rate.abs()), unit.name)
}

/// A series that grows with another one: `type app.Session by 2.0 MiB/h`.
pub fn format_follower(verdict: &Verdict) -> String {
    let subject = match verdict.kind {
        SeriesKind::Rss => "RSS of the process".to_owned(),
        SeriesKind::TotalRss => "RSS of the tree".to_owned(),
        SeriesKind::Python => "all Python objects".to_owned(),
        SeriesKind::Native => "memory outside Python objects".to_owned(),
        kind => format!("{kind} {}", verdict.name),
    };
    format!("{subject} by {}", format_slope(verdict))
}

/// Whether a series was observed so briefly that its growth may be a start that settles.
pub fn is_brief(verdict: &Verdict) -> bool {
    seconds(verdict).is_some_and(|seconds| seconds < MIN_SECONDS)
}

fn seconds(verdict: &Verdict) -> Option<f64> {
    let (from, to) = verdict.from.zip(verdict.to)?;
    Some((to.unix_seconds() - from.unix_seconds()).max(0.0))
}

/// The rate and its unit of time.
fn rate_of(verdict: &Verdict) -> (f64, &'static str) {
    let rate = verdict.bytes_per_hour.or(verdict.count_per_hour).unwrap_or(0.0);
    if is_brief(verdict) { (rate / 60.0, "min") } else { (rate, "h") }
}

/// A unit of bytes, or none for a count, for several numbers that are shown together.
struct Unit {
    bytes: f64,
    name: &'static str,
    decimals: usize,
}

impl Unit {
    fn for_size(bytes: f64) -> Self {
        let units = [("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)];
        let units = units.map(|(name, power)| Self { bytes: 1024.0_f64.powi(power), name, decimals: 1 });
        let fits = units.into_iter().find(|unit| bytes >= unit.bytes);
        fits.unwrap_or(Self { bytes: 1.0, name: "B", decimals: 0 })
    }

    /// The unit of a verdict's rate.
    fn of(verdict: &Verdict, rate: f64) -> Self {
        match is_count(verdict.kind) {
            true => Self { bytes: 1.0, name: "", decimals: 1 },
            false => Self::for_size(rate.abs()),
        }
    }

    fn number(&self, bytes: f64) -> String {
        let value = bytes / self.bytes;
        // Only numbers of things become so large.
        if value.abs() >= 1000.0 {
            let sign = if value < 0.0 { "-" } else { "" };
            return format!("{sign}{}", thousands(whole(value.abs().round())));
        }
        format!("{value:.*}", self.decimals)
    }
}

/// Describes a verdict. `now` is the last moment of the log, whose times of day are shown without a date.
pub fn describe(verdict: &Verdict, now: Stamp) -> Description {
    Description { subject: describe_series(verdict), predicate: describe_trend(verdict, now) }
}

fn describe_series(verdict: &Verdict) -> String {
    let pid = verdict.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let named = |name: &str| if name.is_empty() { "a process".to_owned() } else { name.to_owned() };
    let process = named(&verdict.name) + &pid;
    match verdict.kind {
        SeriesKind::Rss => process,
        SeriesKind::Pss => format!("PSS of {process}"),
        SeriesKind::TotalRss => format!("the tree of {process}"),
        SeriesKind::TotalPss => format!("PSS of the tree of {process}"),
        SeriesKind::Python => format!("the size of all Python objects of {process}"),
        SeriesKind::Native => format!("memory outside Python objects of {process}"),
        SeriesKind::Fds => format!("the number of open file descriptors of {process}"),
        SeriesKind::Threads => format!("the number of threads of {process}"),
        kind => format!("{kind} {} in {}{pid}", named(&verdict.name), named(&verdict.role)),
    }
}

fn describe_trend(verdict: &Verdict, now: Stamp) -> String {
    let ended = verdict.to.filter(|to| has_ended(verdict, *to, now));
    let tense =
        |present: &str, past: &str| if ended.is_none() { present.to_owned() } else { past.to_owned() };
    let mut parts = vec![match verdict.trend {
        TrendKind::Growing => format!("{} by {}", tense("grows", "grew"), describe_slope(verdict)),
        TrendKind::Shrinking => format!("{} by {}", tense("shrinks", "shrank"), describe_slope(verdict)),
        TrendKind::Steady => "is steady".to_owned(),
        TrendKind::Sawtooth => "rises and falls back (saw-tooth)".to_owned(),
        TrendKind::TooShort => "is too short to judge".to_owned(),
    }];
    if verdict.trend != TrendKind::TooShort && !is_brief(verdict) {
        parts.push(format!("{} % sure", percent(verdict.confidence_ratio)));
    }
    if let Some(seconds) = seconds(verdict) {
        parts.push(Span(Duration::try_from_secs_f64(seconds).unwrap_or_default()).to_string());
    }
    parts.push(counted(verdict.moments, "moment", "moments"));
    if let Some(to) = ended {
        parts.push(format!("until {}", format_time(to, now)));
    }
    let has_rate = matches!(verdict.trend, TrendKind::Growing | TrendKind::Shrinking);
    if let Some(last) = verdict.last_bytes.filter(|_| !has_rate) {
        parts.push(format!("{} at the end", Bytes(last)));
    }
    if let Some(last) = verdict.last_count {
        parts.push(format!("{} at the end", thousands(last)));
    }
    let mut predicate = parts.join(", ");
    let survival = verdict.new_objects.zip(verdict.new_objects_survived);
    if let Some((seen, kept)) = survival.filter(|_| verdict.trend == TrendKind::Growing) {
        let (kept, seen) = (thousands(kept), thousands(seen));
        predicate += &format!("; {kept} of {seen} new objects in the samples stayed");
    }
    let is_near = |full: &Stamp| {
        let horizon = seconds(verdict).unwrap_or(0.0) * BRIEF_HORIZON;
        !is_brief(verdict) || full.unix_seconds() - now.unix_seconds() <= horizon
    };
    if let Some((full, of)) = verdict.limit_reached_at.filter(is_near).zip(verdict.limit_kind) {
        predicate += &describe_forecast(full, of, verdict.limit_bytes, now);
    }
    predicate
}

/// The absolute rate and its interval, in one unit: `3.1 MiB/h (2.9 to 3.3)`.
fn describe_slope(verdict: &Verdict) -> String {
    let (rate, _) = rate_of(verdict);
    let unit = Unit::of(verdict, rate);
    let text = format_slope(verdict);
    if is_brief(verdict) {
        return text;
    }
    let interval = verdict.bytes_per_hour_low.zip(verdict.bytes_per_hour_high);
    let interval =
        interval.or(verdict.count_per_hour_low.zip(verdict.count_per_hour_high)).map(|(low, high)| {
            let (least, most) = if rate < 0.0 { (-high, -low) } else { (low, high) };
            format!(" ({} to {})", unit.number(least), unit.number(most))
        });
    text + &interval.unwrap_or_default()
}

/// Never 100 %.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 0 and 99")]
fn percent(ratio: f64) -> u8 {
    (ratio * 100.0).floor().clamp(0.0, 99.0) as u8
}

fn describe_forecast(full: Stamp, of: LimitKind, limit: Option<u64>, now: Stamp) -> String {
    let memory = limit.map_or_else(|| "memory".to_owned(), |limit| Bytes(limit).to_string());
    let seconds = full.unix_seconds() - now.unix_seconds();
    if seconds <= 0.0 {
        return format!("; has nearly filled the {of}'s {memory}");
    }
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    format!("; fills the {of}'s {memory} in about {} ({})", format_rough(span), format_time(full, now))
}

/// Whether the log continues without the series. PSS and numbers are read in turn: the end of their series is no sign of that.
fn has_ended(verdict: &Verdict, to: Stamp, now: Stamp) -> bool {
    !matches!(verdict.kind, SeriesKind::Pss | SeriesKind::TotalPss)
        && !is_count(verdict.kind)
        && now.unix_seconds() - to.unix_seconds() > ENDED_AFTER_SECONDS
}

/// A time of day, with its date if that is not the date of `now`.
fn format_time(time: Stamp, now: Stamp) -> String {
    let is_today = time.format("%Y-%m-%d") == now.format("%Y-%m-%d");
    time.format(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" })
}

/// A duration in one unit, as precise as a forecast can be.
fn format_rough(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        ..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// The number of verdicts of each trend: `14 steady, 2 saw-tooth`; empty without verdicts.
pub fn count_by_trend<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    let names = [
        (TrendKind::Growing, "growing"),
        (TrendKind::Steady, "steady"),
        (TrendKind::Sawtooth, "saw-tooth"),
        (TrendKind::Shrinking, "shrinking"),
        (TrendKind::TooShort, "too short to judge"),
    ];
    let trends: Vec<TrendKind> = verdicts.map(|verdict| verdict.trend).collect();
    let counts = names.map(|(kind, name)| (trends.iter().filter(|trend| **trend == kind).count(), name));
    let known = counts.into_iter().filter(|(count, _)| *count > 0);
    known.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}
