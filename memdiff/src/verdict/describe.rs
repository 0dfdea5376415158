//! A verdict in words that a person can act on.

use std::fmt::Write as _;
use std::time::Duration;

use common::record::{TrendKind, Verdict};
use common::time::{Span, Stamp};
use common::units::Bytes;

/// What was not measured for so long before the end of the log is over.
const ENDED_AFTER_SECONDS: f64 = 60.0;

/// A verdict as a sentence, in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Who or what: the name that one looks for.
    pub subject: String,
    /// What it does.
    pub predicate: String,
}

/// A rate for a person: `3.1 MiB/h`; the sign is the caller's to say.
#[must_use]
pub fn format_rate(bytes_per_hour: f64) -> String {
    let unit = Unit::of(bytes_per_hour.abs());
    format!("{} {}/h", unit.number(bytes_per_hour.abs()), unit.name)
}

/// The unit of 1024 bytes in which a number of bytes is best told.
struct Unit {
    bytes: f64,
    name: &'static str,
}

impl Unit {
    fn of(bytes: f64) -> Self {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let units = units.map(|(name, shift)| Self { bytes: f64::from(1_u32 << (shift / 2)).powi(2), name });
        units.into_iter().find(|unit| bytes >= unit.bytes).unwrap_or(Self { bytes: 1.0, name: "B" })
    }

    fn number(&self, bytes: f64) -> String {
        format!("{:.*}", usize::from(self.bytes > 1.0), bytes / self.bytes)
    }
}

/// The subject and what it does: `python3 worker.py (pid 32221)`, `grows by 3.1 MiB/h (2.9 to 3.3), 99 % sure, 2 h 10 min, 780 moments`.
/// `now`: the last moment of the log, of which times of day are told without a date.
#[must_use]
pub fn describe(verdict: &Verdict, now: Stamp) -> Description {
    let pid = verdict.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let name = if verdict.name.is_empty() { "a process" } else { &verdict.name };
    let subject = match &*verdict.kind {
        "rss" => format!("{name}{pid}"),
        "pss" => format!("{name}{pid} by PSS"),
        "total_rss" => format!("the tree of {name}{pid}"),
        "total_pss" => format!("the tree of {name}{pid} by PSS"),
        "python" => format!("all Python objects of {name}{pid}"),
        "native" => format!("what is no Python object in {name}{pid}"),
        "holder" => format!("what {name} holds in {}{pid}", owner(verdict)),
        kind => format!("{kind} {name} in {}{pid}", owner(verdict)),
    };
    let over = verdict.to.filter(|to| has_ended_early(verdict, *to, now));
    let rate = verdict.bytes_per_hour.unwrap_or(0.0);
    let unit = Unit::of(rate.abs());
    let mut predicate = match verdict.trend {
        TrendKind::Growing | TrendKind::Shrinking => {
            let word = match (verdict.trend, over) {
                (TrendKind::Growing, None) => "grows",
                (TrendKind::Growing, Some(_)) => "grew",
                (_, None) => "shrinks",
                (_, Some(_)) => "shrank",
            };
            let mut text = format!("{word} by {} {}/h", unit.number(rate.abs()), unit.name);
            if let (Some(low), Some(high)) = (verdict.bytes_per_hour_low, verdict.bytes_per_hour_high) {
                let (least, most) = if rate < 0.0 { (-high, -low) } else { (low, high) };
                let _ = write!(text, " ({} to {})", unit.number(least), unit.number(most));
            }
            text
        }
        TrendKind::Steady => "is steady".to_owned(),
        TrendKind::Sawtooth => "rises and falls back (saw-tooth)".to_owned(),
        TrendKind::TooShort => "is too short to say".to_owned(),
    };
    if verdict.trend != TrendKind::TooShort {
        let _ = write!(predicate, ", {} % sure", percent(verdict.confidence_ratio));
    }
    if let (Some(from), Some(to)) = (verdict.from, verdict.to) {
        let seconds = (to.unix_seconds() - from.unix_seconds()).max(0.0);
        let _ = write!(predicate, ", {}", Span(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
    }
    let _ = write!(predicate, ", {} moment{}", verdict.moments, if verdict.moments == 1 { "" } else { "s" });
    if let Some(to) = over {
        let _ = write!(predicate, ", until {}", format_time(to, now));
    }
    if let (TrendKind::Steady | TrendKind::Sawtooth | TrendKind::TooShort, Some(last)) =
        (verdict.trend, verdict.last_bytes)
    {
        let _ = write!(predicate, ", {} at the end", Bytes(last));
    }
    if let (TrendKind::Growing, Some(seen), Some(kept)) =
        (verdict.trend, verdict.new_objects, verdict.new_objects_survived)
    {
        let _ = write!(predicate, "; of {seen} looked at that came, {kept} stayed");
    }
    if let (Some(full), Some(of)) = (verdict.limit_reached_at, &verdict.limit_kind) {
        predicate += &describe_forecast(full, of, verdict.limit_bytes, now);
    }
    Description { subject, predicate }
}

fn owner(verdict: &Verdict) -> &str {
    if verdict.role.is_empty() { "a process" } else { &verdict.role }
}

/// Sure is never told as 100 %.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 0 and 99")]
fn percent(ratio: f64) -> u8 {
    (ratio * 100.0).floor().clamp(0.0, 99.0) as u8
}

fn describe_forecast(full: Stamp, of: &str, limit: Option<u64>, now: Stamp) -> String {
    let memory = limit.map_or_else(|| "limits".to_owned(), |limit| Bytes(limit).to_string());
    let seconds = full.unix_seconds() - now.unix_seconds();
    if seconds <= 0.0 {
        return format!("; the {of}'s {memory} are as good as full");
    }
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    format!("; the {of}'s {memory} are full in about {} ({})", format_rough(span), format_time(full, now))
}

/// Whether the log goes on without it: it is told of as something of the past. Proportional sizes are read rarely, which says nothing.
fn has_ended_early(verdict: &Verdict, to: Stamp, now: Stamp) -> bool {
    !verdict.kind.contains("pss") && now.unix_seconds() - to.unix_seconds() > ENDED_AFTER_SECONDS
}

/// A time of day, with its date if that is not today's.
fn format_time(moment: Stamp, now: Stamp) -> String {
    let is_today = moment.format("%Y-%m-%d") == now.format("%Y-%m-%d");
    moment.format(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" })
}

/// A time to come, no finer than it can be foretold.
fn format_rough(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        ..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// How many series do what else: `14 steady, 2 saw-tooth`; empty if there are none.
#[must_use]
pub fn count_by_trend<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    let words = [
        (TrendKind::Growing, "growing"),
        (TrendKind::Steady, "steady"),
        (TrendKind::Sawtooth, "saw-tooth"),
        (TrendKind::Shrinking, "shrinking"),
        (TrendKind::TooShort, "too short to say"),
    ];
    let mut numbers = words.map(|(trend, word)| (trend, word, 0_u64));
    for verdict in verdicts {
        numbers.iter_mut().filter(|(trend, ..)| *trend == verdict.trend).for_each(|entry| entry.2 += 1);
    }
    let told = numbers.into_iter().filter(|(.., count)| *count > 0);
    told.map(|(_, word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}
