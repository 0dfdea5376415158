//! The rows of the account: what memory is used for.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::record::{MemoryKind, MemoryRow};

use super::span::{PageBytes, RowId};

/// A file gets a row from one part in this many of the resident set on.
const FILE_PARTS: u64 = 1000;

/// The place of an object in such memory.
pub const fn place(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::PythonObjects
        | MemoryKind::PythonUsed
        | MemoryKind::PythonFreeBlocks
        | MemoryKind::PythonFreePools
        | MemoryKind::PythonOverhead => "pools",
        MemoryKind::NativeUsed
        | MemoryKind::NativeCached
        | MemoryKind::NativeFree
        | MemoryKind::NativeTop
        | MemoryKind::NativeOverhead => "malloc",
        MemoryKind::NativeMapped => "mappings of their own",
        MemoryKind::File => "static data",
        MemoryKind::SharedMemory => "shared memory",
        _ => "elsewhere",
    }
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

/// The rows of a record: small files are one row.
pub fn without_small_files(rows: &[MemoryRow], rss_bytes: u64) -> Vec<MemoryRow> {
    let is_small = |row: &MemoryRow| {
        row.kind == MemoryKind::File && row.resident_bytes().saturating_mul(FILE_PARTS) < rss_bytes
    };
    let (small, mut listed): (Vec<MemoryRow>, Vec<MemoryRow>) = rows.iter().cloned().partition(is_small);
    let sum = |sum: MemoryRow, row: MemoryRow| MemoryRow {
        kind: MemoryKind::File,
        detail: None,
        private_bytes: sum.private_bytes.saturating_add(row.private_bytes),
        shared_bytes: sum.shared_bytes.saturating_add(row.shared_bytes),
        swap_bytes: sum.swap_bytes.saturating_add(row.swap_bytes),
    };
    if let Some(small) = small.into_iter().map(|row| MemoryRow { detail: None, ..row }).reduce(sum) {
        listed.push(small);
        listed.sort_by_key(|row| Reverse(row.resident_bytes()));
    }
    listed
}
