//! Advice on leaks.

use std::sync::Arc;

use crate::record::{
    ACTIVE_THREADS, AUDIT_HOOKS, CODEC_ERRORS, CODECS, EXIT_CALLBACKS, FORK_CALLBACKS, GREENLETS, GrowthMode,
    Leak, LeaksRecord, Liveness, MemoryGrowth, MemoryKind,
};
use crate::units::Bytes;

use super::short_forms::last_part;

/// Advice on growing objects.
pub(super) fn for_leak(record: &LeaksRecord, leak: &Leak) -> String {
    let holder = &leak.holder;
    let container = leak.container_or_holder();
    match (leak.cause, leak.growth_mode) {
        (Liveness::Garbage, _) => {
            "enable the collector (gc.enable()) or call gc.collect() regularly; or break the reference cycles with weakref".into()
        }
        (Liveness::Uncollectable, _) => "empty gc.garbage, and check whether gc.set_debug(gc.DEBUG_SAVEALL) is on".into(),
        (Liveness::Unreferred | Liveness::Native, _) => for_lost_objects(record, leak),
        _ if leak.is_made_anew => format!("limit what {container} keeps each time it is made anew"),
        (_, GrowthMode::Enlarged) => format!("flush {container}, or replace it by a new one, from time to time"),
        (_, GrowthMode::Cached) => "give the cache a maxsize, or call cache_clear()".into(),
        _ if &**holder == EXIT_CALLBACKS => {
            "call atexit.unregister() when an object is done with, or register one function that ends all of them".into()
        }
        _ if [FORK_CALLBACKS, AUDIT_HOOKS].contains(&&**holder) => {
            "these cannot be removed: register one function for all objects, once".into()
        }
        _ if [CODEC_ERRORS, CODECS].contains(&&**holder) => {
            "register one function for all objects, once, and not for each object".into()
        }
        _ if &*leak.name == "threading.Timer" => {
            "cancel() timers that are no longer wanted: each is a thread until it fires".into()
        }
        _ if &**holder == ACTIVE_THREADS => "end threads that have no more work, or use a thread pool".into(),
        _ if leak.name.ends_with("Task") && has_ended(leak) => {
            let kept = last_part(container);
            let remove = match leak.growth_mode {
                GrowthMode::Added => format!("{kept}.discard"),
                GrowthMode::KeysSet => format!("lambda task: {kept}.pop(key)"),
                _ => format!("{kept}.remove"),
            };
            format!("these tasks have finished: let them go, with task.add_done_callback({remove})")
        }
        _ if leak.function.is_some() && leak.name.ends_with("Task") => {
            "these tasks never end: add a timeout where they wait, or cancel them".into()
        }
        _ if &**holder == GREENLETS
            || leak.waiting.as_deref().is_some_and(|waiting| waiting.starts_with("greenlet ")) =>
        {
            "these greenlets never end: add a timeout where they wait, or kill them".into()
        }
        (_, GrowthMode::Linked) if &*leak.name == "function" && leak.container.as_deref() == Some("function") => {
            format!("{container} is wrapped again and again: wrap it once, or wrap the first function anew")
        }
        _ if holder.contains(" local ") => format!("delete it within the function: {holder} lives as long as the function runs"),
        (_, GrowthMode::KeysSet) => format!("delete unused keys of {container}, or limit its size"),
        _ => format!("remove unused items from {container}, or limit its size"),
    }
}

/// Advice on objects that the program cannot reach.
fn for_lost_objects(record: &LeaksRecord, leak: &Leak) -> String {
    let packages = any_of(&leak.suspects);
    match (leak.cause, &leak.hiding_type) {
        (_, Some(of)) => format!(
            "upgrade {packages}, or report it there: {of} does not visit what it holds (tp_traverse); until then delete the attribute that \
             refers to it when the object is done with"
        ),
        _ if !record.unread_frames_of.is_empty() => {
            format!("check whether all code that waits in {} ends", record.unread_frames_of.join(" or "))
        }
        _ if leak.suspects.is_empty() => {
            "C code of Python itself may hold them, and no extension module is loaded: look again with a longer --for".into()
        }
        (Liveness::Native, _) => {
            format!("C code of {packages} may keep them: check what it is given, and when it releases that")
        }
        _ => format!("C code of {packages} may forget a Py_DECREF: upgrade it, or report it there"),
    }
}

/// Whether most of these tasks have finished: those of asyncio have no coroutine left that is suspended.
fn has_ended(leak: &Leak) -> bool {
    let is_of_asyncio = leak.name.starts_with("_asyncio.") || leak.name.starts_with("asyncio.");
    leak.waiting.as_deref().map_or(is_of_asyncio, |waiting| waiting.ends_with(", ended"))
}

/// `a`, `a or b`, `a, b or c`.
fn any_of(names: &[Arc<str>]) -> String {
    match names {
        [] => "an extension module".into(),
        [one] => one.to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Advice on growing memory outside objects.
pub(super) fn for_memory(record: &LeaksRecord, memory: &MemoryGrowth) -> String {
    let most = memory.rows.first().map(|row| row.kind);
    let trim = Bytes(memory.trimmable_bytes);
    let packages = any_of(&memory.suspects);
    match most {
        Some(MemoryKind::NativeUsed | MemoryKind::NativeMapped) if !record.unread_frames_of.is_empty() => {
            format!(
                "frames of {} may hold it, which cannot be read: check whether all code that waits in them ends",
                record.unread_frames_of.join(" or ")
            )
        }
        Some(MemoryKind::NativeUsed | MemoryKind::NativeMapped) => {
            format!(
                "C code of {packages} allocates and does not free: memray --native or heaptrack shows where"
            )
        }
        Some(MemoryKind::PythonUsed) if !memory.suspects.is_empty() => {
            format!(
                "C code of {packages} takes memory of Python and does not free it: upgrade it, or report it there"
            )
        }
        Some(
            MemoryKind::NativeFree
            | MemoryKind::NativeTop
            | MemoryKind::NativeCached
            | MemoryKind::NativeOverhead,
        ) => {
            format!(
                "malloc keeps freed memory: try MALLOC_ARENA_MAX=2; malloc_trim(0) would return {trim} to the system"
            )
        }
        Some(MemoryKind::PythonFreeBlocks | MemoryKind::PythonFreePools | MemoryKind::PythonOverhead) => {
            let pinned = Bytes(record.pinned_bytes.unwrap_or(0));
            let by = record.pinned_type.as_deref().unwrap_or("few objects");
            let holder = record.leaks.iter().find(|leak| leak.types.iter().any(|grown| &*grown.name == by));
            let held = holder.map(|leak| format!(" held by {}", leak.holder)).unwrap_or_default();
            format!(
                "{pinned} of free memory are pinned by {by}{held}: create long-lived objects before short-lived ones, or copy them later"
            )
        }
        Some(MemoryKind::Stack | MemoryKind::ThreadData) => {
            "threads are started and do not end: use a thread pool".into()
        }
        Some(MemoryKind::File) => {
            "files are mapped and not closed: check mmap and data that is loaded".into()
        }
        Some(MemoryKind::SharedMemory) => "shared memory is created and not unlinked".into(),
        _ => "compare memobj --memory -p PID now and later to see what grows".into(),
    }
}
