//! The rows of the account: what memory is used for.

use std::collections::HashMap;
use std::sync::Arc;

use common::record::{MemoryKind, MemoryRow};

use super::span::{PageBytes, RowId};

/// A description for a person, and the place of an object in such memory.
const fn texts(kind: MemoryKind) -> (&'static str, &'static str) {
    match kind {
        MemoryKind::PythonObjects => ("Python objects", "pools"),
        MemoryKind::PythonUsed => ("other blocks of Python in use", "pools"),
        MemoryKind::PythonFreeBlocks => ("free blocks in used pools", "pools"),
        MemoryKind::PythonFreePools => ("free pools of Python", "pools"),
        MemoryKind::PythonOverhead => ("overhead of pools", "pools"),
        MemoryKind::NativeUsed => ("malloc, in use", "malloc"),
        MemoryKind::NativeMapped => ("malloc, large, in use", "mappings of their own"),
        MemoryKind::NativeCached => ("malloc, free in caches", "malloc"),
        MemoryKind::NativeFree => ("malloc, free but kept", "malloc"),
        MemoryKind::NativeTop => ("malloc, never used or given back", "malloc"),
        MemoryKind::NativeOverhead => ("malloc, its own", "malloc"),
        MemoryKind::Allocator => ("memory of", "elsewhere"),
        MemoryKind::Stack => ("stacks of threads", "elsewhere"),
        MemoryKind::ThreadData => ("static data of threads", "elsewhere"),
        MemoryKind::File => ("file", "static data"),
        MemoryKind::SharedMemory => ("shared memory", "shared memory"),
        MemoryKind::Kernel => ("from the kernel", "elsewhere"),
        MemoryKind::Library => ("mapped by", "elsewhere"),
        MemoryKind::Named => ("named by the program", "elsewhere"),
        MemoryKind::Unexplained => ("not explained", "elsewhere"),
        MemoryKind::Unknown => ("other memory", "elsewhere"),
    }
}

/// A description for a person.
pub const fn describe(kind: MemoryKind) -> &'static str {
    texts(kind).0
}

/// The place of an object in such memory.
pub const fn place(kind: MemoryKind) -> &'static str {
    texts(kind).1
}

/// Whether the kind names a use of the memory.
pub const fn explains(kind: MemoryKind) -> bool {
    !matches!(kind, MemoryKind::Unexplained | MemoryKind::Allocator | MemoryKind::Unknown)
}

/// A row while it is filled.
#[derive(Debug)]
pub(super) struct Row {
    pub kind: MemoryKind,
    pub detail: Option<Arc<str>>,
    bytes: PageBytes,
}

/// The rows while they are filled.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    known: HashMap<(MemoryKind, Option<Arc<str>>), RowId>,
}

impl Rows {
    /// The number of a row, which is new if there was none.
    pub(super) fn id(&mut self, kind: MemoryKind, detail: Option<&str>) -> RowId {
        let next = RowId(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        let detail: Option<Arc<str>> = detail.map(Arc::from);
        *self.known.entry((kind, detail.clone())).or_insert_with(|| {
            self.rows.push(Row { kind, detail, bytes: PageBytes::default() });
            next
        })
    }

    /// A row by its number.
    pub(super) fn get(&self, row: RowId) -> Option<&Row> {
        self.rows.get(row.0 as usize)
    }

    /// The bytes of a row.
    pub(super) fn bytes_mut(&mut self, row: RowId) -> Option<&mut PageBytes> {
        self.rows.get_mut(row.0 as usize).map(|row| &mut row.bytes)
    }

    /// The rows with any bytes, the largest first.
    pub(super) fn into_sorted(self) -> Vec<MemoryRow> {
        let filled = self.rows.into_iter().filter(|row| row.bytes != PageBytes::default());
        let mut rows: Vec<MemoryRow> = filled
            .map(|Row { kind, detail, bytes }| MemoryRow {
                kind,
                detail,
                private_bytes: bytes.private_bytes,
                shared_bytes: bytes.shared_bytes,
                swap_bytes: bytes.swapped_bytes,
            })
            .collect();
        rows.sort_by(|a, b| {
            let size = |row: &MemoryRow| (row.resident_bytes(), row.swap_bytes);
            size(b).cmp(&size(a)).then_with(|| (a.kind, &a.detail).cmp(&(b.kind, &b.detail)))
        });
        rows
    }
}
