//! Events as marks: all of them counted, those that can be told apart told.

use common::units::counted;

use crate::cli::What;
use crate::downsample::{Happening, Tally};
use crate::picture::{Mark, MarkKind};

/// The marks between two moments that belong to what is drawn.
pub fn between(events: &Tally, time: (i64, i64), what: What) -> Vec<Mark> {
    let is_shown = |kind| match kind {
        MarkKind::Started | MarkKind::Exited => what == What::Processes,
        MarkKind::Limit | MarkKind::Oom | MarkKind::Run => true,
    };
    let happened = events.between(time.0, time.1).filter(|happening| is_shown(happening.kind));
    let mut marks: Vec<Mark> = happened.map(mark).collect();
    marks.sort_by(|a, b| a.unix_ms.cmp(&b.unix_ms).then(a.kind.cmp(&b.kind)));
    marks
}

fn mark(happening: &Happening) -> Mark {
    let text = match happening.texts.as_slice() {
        [text] if happening.count == 1 => text.clone(),
        texts => {
            let (one, many) = match happening.kind {
                MarkKind::Started => ("start", "starts"),
                MarkKind::Exited => ("end", "ends"),
                MarkKind::Limit => ("limit crossed", "limits crossed"),
                MarkKind::Oom => ("time out of memory", "times out of memory"),
                MarkKind::Run => ("run", "runs"),
            };
            let more = if texts.len() as u64 == happening.count { "" } else { ", …" };
            format!("{}: {}{more}", counted(happening.count, one, many), texts.join(", "))
        }
    };
    Mark { unix_ms: happening.unix_ms, kind: happening.kind, text }
}
