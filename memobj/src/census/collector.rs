//! The garbage collector's own counters.

use common::record::{GcGeneration, GcState};

use memobj_cpython::layout::encoding::GcStats;
use memobj_cpython::layout::flags;
use memobj_cpython::object::Objects;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::runtime::Interpreter;
use memobj_process::addr::Addr;
use memobj_process::memory::Unreadable;

/// Reads the collector of an interpreter. Object counts (`frozen`, `tracked`, `objects`) stay unknown.
pub fn read_collector(objects: Objects<'_>, interpreter: &Interpreter) -> GcState {
    let fields = &objects.layout.gc_state;
    let enabled = objects.memory.read_int(interpreter.gc, fields.enabled).ok().map(|enabled| enabled != 0);
    // Some versions create the list when the first collection needs it.
    let garbage = objects.read_pointer(interpreter.gc, fields.garbage).and_then(|list| {
        if list.is_null() {
            Some(0)
        } else {
            objects.is_instance(list, flags::LIST_SUBCLASS).then(|| objects.read_length(list))?
        }
    });
    let generations = (0..3).map(|index| read_generation(objects, interpreter.gc, index)).collect();
    GcState { enabled, generations, frozen: None, garbage, tracked: None }
}

fn read_generation(objects: Objects<'_>, gc: Addr, index: u32) -> GcGeneration {
    let memory = objects.memory;
    let mut generation = GcGeneration::default();
    if let Some(at) = generation_at(objects, gc, index) {
        let count =
            |field: u32| memory.read_int(at, field).ok().map(|count| u64::try_from(count).unwrap_or(0));
        let fields = &objects.layout.gc_generation;
        (generation.pending, generation.threshold) = (count(fields.count), count(fields.threshold));
    }
    if let Ok(Some(at)) = statistics_at(objects, gc, index) {
        let fields = &objects.layout.gc_generation_stats;
        let count = |field: u32| memory.read_count(at, field).ok();
        generation.collections = count(fields.collections);
        generation.collected = count(fields.collected);
        generation.uncollectable = count(fields.uncollectable);
    }
    generation
}

/// The address of a generation's threshold and count.
fn generation_at(objects: Objects<'_>, gc: Addr, index: u32) -> Option<Addr> {
    let (state, size) = (&objects.layout.gc_state, objects.layout.gc_generation.size);
    let offset = match (state.generations, index) {
        (Some(all), _) => all.checked_add(size.checked_mul(index)?)?,
        (None, 0) => state.young?,
        (None, _) => state.old?.checked_add(size.checked_mul(index - 1)?)?,
    };
    Some(gc.plus(offset.into()))
}

/// The address of a generation's statistics: since 3.15 in the last record of a ring.
fn statistics_at(objects: Objects<'_>, gc: Addr, index: u32) -> Result<Option<Addr>, Unreadable> {
    let layout = objects.layout;
    let place = gc.plus(layout.gc_state.generation_stats.into());
    let size = u64::from(layout.gc_generation_stats.size);
    match layout.encodings.gc_stats {
        GcStats::Records => Ok(Some(place.plus(size.wrapping_mul(index.into())))),
        GcStats::Rings => {
            let (Some(all), Some(young), Some(old)) =
                (layout.gc_stats, layout.gc_young_stats, layout.gc_old_stats)
            else {
                return Ok(None);
            };
            let rings = objects.memory.read_addr(place)?;
            let (ring, items, count, last) = match index {
                0 => (rings.plus(all.young.into()), young.items, young.items_count, young.index),
                _ => {
                    let ring = u64::from(all.old) + u64::from(all.old_stride) * u64::from(index - 1);
                    (rings.plus(ring), old.items, old.items_count, old.index)
                }
            };
            let last = u64::from(objects.memory.read_byte(ring, last)?);
            if last >= u64::from(count) {
                return Ok(None);
            }
            Ok(Some(ring.plus(items.into()).plus(size.wrapping_mul(last))))
        }
    }
}
