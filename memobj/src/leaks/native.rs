//! Growth of the resident set outside Python objects.
use common::record::{MemoryGrowth, MemoryKind, MemoryRow, MemoryRowGrowth};
use memobj_cpython::heap::walk::ObjectCount;

use super::find::MINUTE;
use super::trend::Trends;
use crate::account::Account;
use crate::account::growth::{RowChange, row_changes};

/// The smallest growth that counts, in bytes: allocators take memory in large pieces.
const MIN_BYTES: f64 = (512 << 10) as f64;

/// Rows that are listed.
const MAX_ROWS: usize = 10;
/// The share of the growth that must not be objects, for a leak of its own.
const MIN_FOREIGN: f64 = 0.5;

/// The growth over all censuses.
pub(super) fn growth(
    moments: &[f64],
    rss: &[Option<u64>],
    totals: &[ObjectCount],
    first: Option<&Account>,
    last: Option<&Account>,
) -> Option<MemoryGrowth> {
    let trends = Trends::new(moments);
    let rss: Vec<u64> = rss.iter().copied().collect::<Option<_>>()?;
    let trend = trends.trend(&rss).filter(|trend| trend.net >= MIN_BYTES && trends.is_rise(trend))?;
    let bytes: Vec<u64> = totals.iter().map(|total| total.bytes).collect();
    let objects = trends.trend(&bytes).map_or(0.0, |trend| trend.per_second.max(0.0));
    let rows = match (first, last) {
        (Some(first), Some(last)) => rows(first, last),
        _ => Vec::new(),
    };
    Some(MemoryGrowth {
        bytes_per_minute: trend.per_second * MINUTE,
        objects_bytes_per_minute: objects * MINUTE,
        confidence_ratio: (1.0 - trend.chance) * trend.straight,
        is_leak: match (first, last) {
            (Some(first), Some(last)) => {
                let foreign = foreign_bytes(last) - foreign_bytes(first);
                foreign >= MIN_BYTES && foreign >= trend.net * MIN_FOREIGN
            }
            // Objects need blocks larger than they are, and tables that grow in steps.
            _ => trend.per_second > objects * 2.0,
        },
        rows,
        trimmable_bytes: last.map_or(0, |last| last.trimmable_bytes),
    })
}

/// Resident bytes outside Python objects and their blocks.
fn foreign_bytes(account: &Account) -> f64 {
    let foreign = account
        .rows
        .iter()
        .filter(|row| !matches!(row.kind, MemoryKind::PythonObjects | MemoryKind::PythonOverhead));
    foreign.map(|row| row.resident_bytes() as f64).sum()
}

/// The rows that grew from one account to another, largest first.
fn rows(first: &Account, last: &Account) -> Vec<MemoryRowGrowth> {
    let grown =
        row_changes(&first.rows, &last.rows).into_iter().filter_map(|RowChange { kind, detail, bytes }| {
            let growth_bytes = u64::try_from(bytes).ok().filter(|&bytes| bytes > 0)?;
            let now = last.rows.iter().find(|row| (row.kind, &row.detail) == (kind, &detail));
            let current_bytes = now.map_or(0, MemoryRow::resident_bytes);
            Some(MemoryRowGrowth { kind, detail, growth_bytes, current_bytes })
        });
    grown.take(MAX_ROWS).collect()
}
