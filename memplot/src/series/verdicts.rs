//! The censuses behind a verdict on leaks: its record has their totals.

use common::log::{Census, Moment, MomentData};
use common::record::{CensusTotals, LeaksRecord};

/// The censuses of a verdict as moments with totals only, the first one first.
pub fn censuses(verdict: &Moment, record: &LeaksRecord) -> Vec<Moment> {
    let ends = || {
        let totals = |elapsed_seconds, objects, size_bytes, rss_bytes| CensusTotals {
            elapsed_seconds,
            objects,
            size_bytes,
            rss_bytes,
        };
        vec![
            totals(0.0, record.first_objects, record.first_size_bytes, record.first_rss_bytes),
            totals(
                record.duration_seconds,
                record.last_objects,
                record.last_size_bytes,
                record.last_rss_bytes,
            ),
        ]
    };
    // Older records have the first and the last census only.
    let totals = if record.totals_by_census.is_empty() { ends() } else { record.totals_by_census.clone() };
    let end = totals.last().map_or(0.0, |last| last.elapsed_seconds);
    (1..)
        .zip(totals)
        .map(|(iteration, totals)| {
            #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
            let before_end = ((end - totals.elapsed_seconds) * 1000.0).round() as i64;
            Moment {
                iteration,
                unix_ms: verdict.unix_ms.saturating_sub(before_end),
                elapsed_seconds: Some(totals.elapsed_seconds),
                data: MomentData::Census(Census {
                    pid: record.pid,
                    start: record.start_ticks.unwrap_or(0),
                    root_pid: record.root_pid,
                    name: record.name.clone().unwrap_or_default(),
                    cmdline: record.cmdline.as_ref().map(|words| words.join(" ").into()),
                    total_objects: totals.objects,
                    total_size_bytes: Some(totals.size_bytes),
                    rss_bytes: totals.rss_bytes,
                    ..Census::default()
                }),
                ..verdict.clone()
            }
        })
        .collect()
}
