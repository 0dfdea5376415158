//! Events as marks: all of them counted, those that can be told apart told.

use common::units::counted;

use crate::cli::Quantity;
use crate::downsample::{EventBuckets, EventGroup};
use crate::figure::{Mark, MarkKind};

/// The marks between two moments that belong to what is drawn.
pub fn between(events: &EventBuckets, time: (i64, i64), what: Quantity) -> Vec<Mark> {
    let is_shown = |kind| match kind {
        MarkKind::Started | MarkKind::Exited => what == Quantity::Processes,
        MarkKind::Limit | MarkKind::Oom | MarkKind::Run => true,
    };
    let happened = events.between(time.0, time.1).filter(|group| is_shown(group.kind));
    let mut marks: Vec<Mark> = happened.map(mark).collect();
    marks.sort_by(|a, b| a.unix_ms.cmp(&b.unix_ms).then(a.kind.cmp(&b.kind)));
    marks
}

fn mark(group: &EventGroup) -> Mark {
    let text = match group.texts.as_slice() {
        [text] if group.count == 1 => text.clone(),
        texts => {
            let (one, many) = match group.kind {
                MarkKind::Started => ("start", "starts"),
                MarkKind::Exited => ("end", "ends"),
                MarkKind::Limit => ("limit crossed", "limits crossed"),
                MarkKind::Oom => ("time out of memory", "times out of memory"),
                MarkKind::Run => ("run", "runs"),
            };
            let more = if texts.len() as u64 == group.count { "" } else { ", …" };
            format!("{}: {}{more}", counted(group.count, one, many), texts.join(", "))
        }
    };
    Mark { unix_ms: group.unix_ms, kind: group.kind, text }
}
