//! The text of verdicts on leaks in several processes.

use std::sync::Arc;

use common::columns::Tone;
use common::record::LeaksRecord;
use common::table::Line;
use common::units::{Bytes, counted};

use super::leaks::{headline, numbers, remarks};
use super::tables::whole;
use crate::leaks::bytes_per_minute;

/// The lines of verdicts on processes without leaks.
pub(super) fn quiet(records: &[&LeaksRecord]) -> Vec<Line> {
    let processes = counted(records.len() as u64, "process", "processes");
    let mut lines = vec![headline("no leak found", Tone::Strong, &format!("in {processes}"))];
    lines.extend(records.iter().flat_map(|record| remarks(record)));
    lines
}

/// The lines of a verdict that is like the one on `other`, another process.
pub(super) fn repeated(record: &LeaksRecord, other: &LeaksRecord) -> Vec<Line> {
    let rate = Bytes(whole(bytes_per_minute(record)));
    let text = format!("the same as in pid {}, here {rate}/min", other.pid);
    vec![headline("LEAK", Tone::Alarm, &text), numbers(record)]
}

/// Whether two processes have the same leaks.
pub(super) fn is_alike(a: &LeaksRecord, b: &LeaksRecord) -> bool {
    let places = |record: &LeaksRecord| {
        let mut places: Vec<_> =
            record.leaks.iter().map(|leak| (Arc::clone(&leak.holder), Arc::clone(&leak.name))).collect();
        places.sort_unstable();
        places
    };
    !a.leaks.is_empty() && places(a) == places(b)
}
