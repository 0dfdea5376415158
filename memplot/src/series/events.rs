//! Describes process events.

use common::record::{EventKind, MetricValue, ProcessEvent};

use super::names;
use crate::downsample::EventBuckets;
use crate::figure::{MarkKind, Unit};
use crate::format;

/// Adds an event if plots show its kind.
pub fn add(events: &mut EventBuckets, unix_ms: i64, event: &ProcessEvent) {
    let kind = match event.event {
        EventKind::Started if event.at_start == Some(true) => return,
        EventKind::Started => MarkKind::Started,
        EventKind::Exited => MarkKind::Exited,
        EventKind::LimitCrossed => MarkKind::Limit,
        EventKind::OomKill => MarkKind::Oom,
        EventKind::Replaced | EventKind::Grew | EventKind::Omitted | EventKind::Unknown => return,
    };
    events.add(unix_ms, kind, || text(event));
}

fn text(event: &ProcessEvent) -> String {
    let name = event.name.as_ref().map_or_else(String::new, |name| {
        let cmdline = event.cmdline.as_ref().map(|arguments| arguments.join(" ").into());
        names::process_name(event.pid, name, cmdline.as_ref())
    });
    let who = if name.is_empty() { format!("pid {}", event.pid) } else { format!("{name} ({})", event.pid) };
    match event.event {
        EventKind::Started => format!("{who} started"),
        EventKind::Exited => match (event.exit_code, event.signal) {
            (_, Some(signal)) => format!("{who} ended by signal {signal}"),
            (Some(0) | None, _) => format!("{who} ended"),
            (Some(code), _) => format!("{who} ended with status {code}"),
        },
        EventKind::LimitCrossed => match (event.limit(), event.metric) {
            (Some(MetricValue::Bytes(limit)), _) => {
                format!("limit of {} crossed", format::value(Unit::Bytes, limit as f64))
            }
            (Some(limit), Some(metric)) => format!("limit of {metric} {limit} crossed"),
            _ => "limit crossed".to_owned(),
        },
        _ => match event.oom_kills {
            Some(kills) if kills > 1 => format!("{kills} processes killed: out of memory"),
            _ => "process killed: out of memory".to_owned(),
        },
    }
}
