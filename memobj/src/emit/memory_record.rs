//! The account of the resident set in a record.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::record::{LargeRegion, MemoryAccount, Omitted, PinnedHolder, PinnedType, TypeMemory};

use crate::account::process_memory::ProcessMemory;
use crate::account::rows::without_small_files;
use crate::account::span::{PageBytes, RowId};

/// A type gets a row from one part in this many of the resident set on.
const TYPE_PARTS: u64 = 10_000;
/// Types and holders that are listed as keeping arenas.
const MAX_PINNING: usize = 10;
/// Large regions that are listed.
const MAX_LARGE: usize = 20;

/// Makes the record of an account. `pinning` are the holders of objects in nearly empty arenas, if known.
pub fn memory(of: &ProcessMemory, pinning: Option<&[PinnedHolder]>) -> MemoryAccount {
    let account = &of.account;
    let name = |row: RowId| of.types.get(row.0 as usize).cloned();
    let (types, types_omitted) = types(of);
    MemoryAccount {
        rss_bytes: account.rss_bytes,
        explained_bytes: account.explained_bytes(),
        explained_ratio: account.explained_ratio(),
        rows: without_small_files(&account.rows, account.rss_bytes),
        types,
        types_omitted,
        malloc_arenas: account.arenas.as_ref().map(|arenas| arenas.len() as u64),
        trimmable_bytes: account.trimmable_bytes,
        pinned_arenas: account.pinned.arenas,
        pinned_bytes: account.pinned.arena_bytes,
        pinned_types: of
            .pinning()
            .take(MAX_PINNING)
            .map(|(name, pinning)| PinnedType {
                name: Arc::clone(name),
                blocks: pinning.in_arenas,
                pinned_bytes: pinning.arena_bytes,
            })
            .collect(),
        pinned_holders: pinning.map(|pinning| pinning.iter().take(MAX_PINNING).cloned().collect()),
        large_regions: account
            .large
            .iter()
            .take(MAX_LARGE)
            .map(|large| LargeRegion {
                kind: large.kind,
                owner: large.owner.and_then(name),
                resident_bytes: large.bytes.resident_bytes(),
            })
            .collect(),
        huge_page_bytes: account.huge_bytes,
        swap_bytes: account.swap_bytes,
        hugetlb_bytes: account.hugetlb_bytes,
        page_table_bytes: account.page_table_bytes,
    }
}

/// Types that are large enough, and the sum of the others.
fn types(of: &ProcessMemory) -> (Vec<TypeMemory>, Option<Omitted>) {
    let mut sums: HashMap<&Arc<str>, PageBytes> = HashMap::new();
    for (name, tally) in of.types.iter().zip(&of.account.types) {
        sums.entry(name).or_default().merge(*tally);
    }
    let mut sums: Vec<(&Arc<str>, PageBytes)> = sums.into_iter().collect();
    sums.retain(|(_, tally)| *tally != PageBytes::default());
    sums.sort_unstable_by_key(|(name, tally)| (Reverse(tally.resident_bytes()), *name));
    let mut omitted = Omitted::default();
    let mut types = Vec::new();
    for (name, tally) in sums {
        if tally.resident_bytes().saturating_mul(TYPE_PARTS) < of.account.rss_bytes {
            omitted.add(0, tally.resident_bytes());
            continue;
        }
        types.push(TypeMemory {
            name: Arc::clone(name),
            private_bytes: tally.private_bytes,
            shared_bytes: tally.shared_bytes,
            swap_bytes: tally.swapped_bytes,
        });
    }
    (types, omitted.if_any())
}

#[cfg(test)]
mod tests {
    use common::record::{MemoryKind, MemoryRow};

    use super::*;
    use crate::account::Account;

    fn private(bytes: u64) -> PageBytes {
        PageBytes { private_bytes: bytes, ..PageBytes::default() }
    }

    #[test]
    fn small_files_share_one_row() {
        let row = |kind: MemoryKind, detail: &str, private_bytes: u64| MemoryRow {
            kind,
            detail: Some(detail.into()),
            private_bytes,
            shared_bytes: 0,
            swap_bytes: 0,
        };
        let account = Account {
            rss_bytes: 1_000_000,
            rows: vec![
                row(MemoryKind::PythonObjects, "pools", 900_000),
                row(MemoryKind::File, "/large", 99_000),
                row(MemoryKind::File, "/a", 600),
                row(MemoryKind::File, "/b", 300),
                row(MemoryKind::Kernel, "[vdso]", 100),
            ],
            types: vec![private(500_000), private(99), private(300_000), private(50)],
            ..Account::default()
        };
        let types = ["dict", "small", "dict", "tiny"].map(Arc::from).to_vec();
        let record = memory(&ProcessMemory { account, types }, None);
        assert_eq!((record.rss_bytes, record.rows.len()), (1_000_000, 4));
        let rows: Vec<_> = record.rows.iter().map(|row| (row.detail.as_deref(), row.private_bytes)).collect();
        assert_eq!(
            rows,
            [(Some("pools"), 900_000), (Some("/large"), 99_000), (None, 900), (Some("[vdso]"), 100)]
        );
        let types: Vec<_> = record.types.iter().map(|one| (&*one.name, one.private_bytes)).collect();
        assert_eq!(types, [("dict", 800_000)]);
        assert_eq!(record.types_omitted, Some(Omitted { rows: 2, count: 0, size_bytes: 149 }));
        assert_eq!((record.explained_bytes, record.explained_ratio), (1_000_000, 1.0));
    }
}
