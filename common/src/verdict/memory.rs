//! The words for uses of memory.

use crate::record::MemoryKind;
use crate::stdio::escape_controls;

/// A description for a person.
#[must_use]
pub const fn describe(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::PythonObjects => "Python objects",
        MemoryKind::PythonUsed => "other blocks of Python in use",
        MemoryKind::PythonFreeBlocks => "free blocks in used pools",
        MemoryKind::PythonFreePools => "free pools of Python",
        MemoryKind::PythonOverhead => "overhead of pools",
        MemoryKind::NativeUsed => "malloc, in use",
        MemoryKind::NativeMapped => "malloc, large, in use",
        MemoryKind::NativeCached => "malloc, free in caches",
        MemoryKind::NativeFree => "malloc, free but kept",
        MemoryKind::NativeTop => "malloc, never used or given back",
        MemoryKind::NativeOverhead => "malloc, its own",
        MemoryKind::Allocator => "memory of",
        MemoryKind::Stack => "stacks of threads",
        MemoryKind::ThreadData => "static data of threads",
        MemoryKind::File => "file",
        MemoryKind::SharedMemory => "shared memory",
        MemoryKind::Kernel => "from the kernel",
        MemoryKind::Library => "mapped by",
        MemoryKind::Named => "named by the program",
        MemoryKind::Unexplained => "not explained",
        MemoryKind::Unknown => "other memory",
    }
}

/// The name of a use of memory for people.
#[must_use]
pub fn memory_use(kind: MemoryKind, detail: Option<&str>) -> String {
    let description = describe(kind);
    let detail = detail.filter(|detail| !detail.is_empty()).map(escape_controls);
    match (kind, detail) {
        (MemoryKind::PythonObjects, Some(detail)) => format!("{description} in {detail}"),
        (MemoryKind::PythonUsed | MemoryKind::PythonFreeBlocks, Some(detail)) => {
            format!("{description} (heap {detail})")
        }
        (MemoryKind::Unexplained | MemoryKind::Stack, Some(detail)) => format!("{description} ({detail})"),
        (_, Some(detail)) => format!("{description} {detail}"),
        (MemoryKind::File, None) => "smaller files".into(),
        (_, None) => description.to_owned(),
    }
}
