//! Turns groups of events into marks.

use common::units::counted;

use crate::cli::Quantity;
use crate::downsample::{EventBuckets, EventGroup};
use crate::figure::{Mark, MarkKind};

/// The marks between two moments that suit a quantity.
pub fn between(events: &EventBuckets, time: (i64, i64), quantity: Quantity) -> Vec<Mark> {
    let is_shown = |kind| match kind {
        MarkKind::Started | MarkKind::Exited => quantity == Quantity::Processes,
        MarkKind::Limit | MarkKind::Oom | MarkKind::Run => true,
    };
    let groups = events.between(time.0, time.1).filter(|group| is_shown(group.kind));
    let mut marks: Vec<Mark> = groups
        .map(|group| Mark { unix_ms: group.unix_ms, kind: group.kind, count: group.count, text: text(group) })
        .collect();
    marks.sort_by_key(|mark| (mark.unix_ms, mark.kind));
    marks
}

fn text(group: &EventGroup) -> String {
    if let ([text], 1) = (group.texts.as_slice(), group.count) {
        return text.clone();
    }
    let (one, many) = match group.kind {
        MarkKind::Started => ("start", "starts"),
        MarkKind::Exited => ("end", "ends"),
        MarkKind::Limit => ("limit crossed", "limits crossed"),
        MarkKind::Oom => ("time out of memory", "times out of memory"),
        MarkKind::Run => ("run", "runs"),
    };
    let more = if group.texts.len() as u64 == group.count { "" } else { ", …" };
    format!("{}: {}{more}", counted(group.count, one, many), group.texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::event_count;

    #[test]
    fn events_of_one_moment_count_each() {
        let mut events = EventBuckets::new(8);
        for (unix_ms, kind) in [(1, MarkKind::Started), (1, MarkKind::Started), (2, MarkKind::Exited)] {
            events.add(unix_ms, kind, || "worker".to_owned());
        }
        let marks = between(&events, (0, 9), Quantity::Processes);
        assert_eq!(marks.len(), 2);
        assert_eq!([MarkKind::Started, MarkKind::Exited].map(|kind| event_count(&marks, kind)), [2, 1]);
    }
}
