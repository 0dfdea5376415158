//! Holders of the objects in nearly empty arenas of Python's allocator.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use common::record::PinnedHolder;

use crate::graph::NodeId;
use crate::holders::Holders;
use memobj_process::addr::Addr;

/// Finds the holders of the objects in `kept`: arenas by address, each with the bytes it keeps. Those that keep most come first.
pub fn find_pinning(holders: &Holders<'_>, kept: &[(Range<Addr>, u64)]) -> Vec<PinnedHolder> {
    let graph = holders.graph();
    let mut counts: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    let mut all = vec![0_u64; kept.len()];
    let nodes = if kept.is_empty() { 0 } else { graph.objects() };
    for node in (0..).take(nodes).map(NodeId) {
        let Some(at) = graph.address(node) else { continue };
        let arena = kept.partition_point(|(range, _)| range.end <= at);
        let is_inside = kept.get(arena).is_some_and(|(range, _)| range.contains(&at));
        if let (true, Some(place)) = (is_inside, holders.holder(node)) {
            *counts.entry((arena, place.0)).or_default() += 1;
            if let Some(all) = all.get_mut(arena) {
                *all += 1;
            }
        }
    }
    let mut by_place: BTreeMap<u32, PinnedHolder> = BTreeMap::new();
    for ((arena, number), objects) in counts {
        let (Some((_, bytes)), Some(all), Some(place)) =
            (kept.get(arena), all.get(arena), holders.places().get(number as usize))
        else {
            continue;
        };
        let part = u128::from(*bytes) * u128::from(objects) / u128::from((*all).max(1));
        let sum = by_place.entry(number).or_insert_with(|| PinnedHolder {
            holder: Arc::clone(&place.text),
            objects: 0,
            arenas: 0,
            pinned_bytes: 0,
        });
        sum.objects += objects;
        sum.arenas += 1;
        sum.pinned_bytes = sum.pinned_bytes.saturating_add(u64::try_from(part).unwrap_or(*bytes));
    }
    let mut found: Vec<PinnedHolder> = by_place.into_values().collect();
    found.sort_by(|a, b| (Reverse(a.pinned_bytes), &a.holder).cmp(&(Reverse(b.pinned_bytes), &b.holder)));
    found
}
