//! What to do about what grows.

use common::record::{Leak, LeaksRecord, MemoryGrowth};
use common::units::Bytes;

use crate::account::rows::RowKind;

/// What to do about a leak.
pub(super) fn of(leak: &Leak) -> String {
    let holder = &leak.holder;
    match (&*leak.cause, &*leak.growth_mode) {
        ("garbage", _) => {
            "turn the collector on (gc.enable()) or call gc.collect() now and then; or break the circles, with weakref".into()
        }
        ("uncollectable", _) => "empty gc.garbage, and look whether gc.set_debug(gc.DEBUG_SAVEALL) is on".into(),
        ("unreferred", _) => {
            "an extension module forgets a Py_DECREF: look at the ones that make such objects".into()
        }
        ("native", _) => "an extension module keeps them: look at what it is given, and when it lets go".into(),
        (_, "enlarged") => format!("write {holder} out, or begin it anew, now and then"),
        (_, "cached") => "give the cache a maxsize, or call cache_clear()".into(),
        _ if &*leak.name == "threading.Thread" => "end threads that are done with, or use a pool of them".into(),
        _ if leak.function.is_some() && leak.name.ends_with("Task") => {
            "tasks that never end: give what they wait for a timeout, or cancel them".into()
        }
        _ if holder.contains(" local ") => format!("let go of it within the function: {holder} lives as long as that runs"),
        (_, "keys_set") => format!("delete keys of {holder} when they are done with, or give it a limit"),
        _ => format!("take what is done with out of {holder}, or give it a limit"),
    }
}

/// What a kind of memory is, for a person.
pub(super) fn words(kind: &str) -> &'static str {
    RowKind::ALL.iter().find(|known| known.as_str() == kind).map_or("other memory", |known| known.describe())
}

/// What to do about memory that is no object.
pub(super) fn of_memory(record: &LeaksRecord, memory: &MemoryGrowth) -> String {
    let most =
        memory.rows.first().and_then(|row| RowKind::ALL.iter().find(|kind| kind.as_str() == &*row.kind));
    let trim = Bytes(memory.trimmable_bytes);
    match most {
        Some(RowKind::NativeUsed | RowKind::NativeMapped) => {
            "C code allocates and does not free: memray --native or heaptrack shows where; look at ctypes and extension modules"
                .into()
        }
        Some(RowKind::NativeFree | RowKind::NativeTop | RowKind::NativeCached | RowKind::NativeOverhead) => {
            format!("malloc keeps what was freed: try MALLOC_ARENA_MAX=2; malloc_trim(0) would give {trim} back")
        }
        Some(RowKind::PythonFreeBlocks | RowKind::PythonFreePools | RowKind::PythonOverhead) => {
            let pinned = Bytes(record.pinned_bytes.unwrap_or(0));
            let by = record.pinned_type.as_deref().unwrap_or("few objects");
            let holder = record.leaks.iter().find(|leak| leak.types.iter().any(|grown| &*grown.name == by));
            let held = holder.map(|leak| format!(" held by {}", leak.holder)).unwrap_or_default();
            format!("{pinned} of free memory are pinned by {by}{held}: make what stays before what goes, or copy it afterwards")
        }
        Some(RowKind::Stack | RowKind::ThreadData) => "threads are started and do not end: use a pool".into(),
        Some(RowKind::File) => "files are mapped and not closed: look at mmap and at data that is loaded".into(),
        Some(RowKind::SharedMemory) => "shared memory is made and not unlinked".into(),
        _ => "memobj --memory -p PID now and later says what grows".into(),
    }
}
