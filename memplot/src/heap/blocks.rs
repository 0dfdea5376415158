//! Makes blocks of a census, and the difference of two.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use common::log::Census;
use common::record::{HeapNode, HeapNodeKind, MemoryKind, MemoryRow, Omitted};
use common::units::counted;

use super::{Amount, Block, BlockKind};

/// Levels of a tree, so that functions that call themselves end whatever a log says. memobj writes fewer.
const MAX_DEPTH: u32 = 64;

/// The blocks of a census: its tree of holders, beside the rest of the resident memory if it has an account of that.
pub fn blocks(census: &Census) -> Option<Block> {
    let mut nodes = census.heap_tree.iter().peekable();
    let first = nodes.next()?;
    let heap = branch(first, 1, &mut nodes, "");
    let mut rest = rest(&census.memory_rows, census.rss_bytes, heap.now.bytes);
    if rest.is_empty() {
        return Some(heap);
    }
    let bytes = rest.iter().fold(heap.now.bytes, |sum, part| sum.saturating_add(part.now.bytes));
    let objects = heap.now.objects;
    rest.insert(0, heap);
    Some(block(BlockKind::Whole, "Resident memory", Amount { bytes, objects }, rest))
}

/// The blocks of several processes, each with its name, as parts of one; `None` without any.
pub fn processes(of: impl Iterator<Item = (String, Block)>) -> Option<Block> {
    let parts: Vec<Block> = of.map(|(name, block)| Block { label: name.clone(), name, ..block }).collect();
    let sum = |amount: fn(&Block) -> u64| parts.iter().map(amount).fold(0_u64, u64::saturating_add);
    let now = Amount { bytes: sum(|part| part.now.bytes), objects: sum(|part| part.now.objects) };
    (!parts.is_empty()).then(|| block(BlockKind::Whole, "All processes", now, parts))
}

fn block(kind: BlockKind, name: &str, now: Amount, mut parts: Vec<Block>) -> Block {
    parts.sort_by_key(|part| (part.kind == BlockKind::Omitted, Reverse(part.now.bytes)));
    Block { kind, name: name.to_owned(), label: name.to_owned(), now, before: None, parts }
}

/// The block of a node, with those of the nodes that follow below it. `depth` is that of the nodes directly below.
fn branch<'a>(
    node: &'a HeapNode,
    depth: u32,
    nodes: &mut std::iter::Peekable<impl Iterator<Item = &'a HeapNode>>,
    within: &str,
) -> Block {
    let kind = match node.kind {
        HeapNodeKind::Heap => BlockKind::Whole,
        HeapNodeKind::Module => BlockKind::Module,
        HeapNodeKind::Holder => BlockKind::Holder,
        HeapNodeKind::Type | HeapNodeKind::Unknown => BlockKind::Type,
    };
    let path = if kind == BlockKind::Type { within } else { &*node.name };
    let mut parts = Vec::new();
    while let Some(next) = nodes.next_if(|next| next.depth >= depth) {
        if depth < MAX_DEPTH {
            parts.push(branch(next, depth.saturating_add(1), nodes, path));
        }
    }
    if let Some(Omitted { rows, count, size_bytes }) = node.omitted {
        let now = Amount { bytes: size_bytes, objects: count };
        parts.push(block(BlockKind::Omitted, &counted(rows, "smaller one", "smaller ones"), now, Vec::new()));
    }
    let now = Amount { bytes: node.size_bytes, objects: node.count };
    let mut made = block(kind, &node.name, now, parts);
    if kind == BlockKind::Holder
        && let Some(rest) = node.name.strip_prefix(within).and_then(|rest| rest.strip_prefix(['.', ' ']))
        && !within.is_empty()
    {
        made.label = rest.to_owned();
    }
    made
}

/// The resident memory that is not in objects, by use; empty without an account.
fn rest(rows: &[MemoryRow], rss_bytes: Option<u64>, heap_bytes: u64) -> Vec<Block> {
    let mut uses: BTreeMap<&str, Vec<Block>> = BTreeMap::new();
    let mut others = 0_u64;
    for row in rows.iter().filter(|row| row.kind != MemoryKind::PythonObjects && row.resident_bytes() > 0) {
        let bytes = row.resident_bytes();
        others = others.saturating_add(bytes);
        let name =
            row.detail.as_deref().map_or_else(|| row.kind.to_string().replace('_', " "), str::to_owned);
        let parts = uses.entry(name_of_use(row.kind)).or_default();
        // A library has a row for its file and one for its data. A difference matches blocks by name.
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.now.bytes = part.now.bytes.saturating_add(bytes),
            None => parts.push(block(BlockKind::Rest, &name, Amount { bytes, objects: 0 }, Vec::new())),
        }
    }
    let sum = |parts: &[Block]| parts.iter().map(|part| part.now.bytes).fold(0_u64, u64::saturating_add);
    let mut blocks: Vec<Block> = uses
        .into_iter()
        .map(|(name, parts)| {
            let bytes = sum(&parts);
            block(BlockKind::Rest, name, Amount { bytes, objects: 0 }, parts)
        })
        .collect();
    // Blocks of the allocator are larger than the objects in them.
    let used = heap_bytes.saturating_add(others);
    let beside = rss_bytes.filter(|_| !rows.is_empty()).map_or(0, |rss| rss.saturating_sub(used));
    if beside > 0 {
        blocks.push(block(
            BlockKind::Rest,
            "around objects",
            Amount { bytes: beside, objects: 0 },
            Vec::new(),
        ));
    }
    blocks
}

fn name_of_use(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::PythonObjects
        | MemoryKind::PythonUsed
        | MemoryKind::PythonFreeBlocks
        | MemoryKind::PythonFreePools
        | MemoryKind::PythonOverhead => "Python's allocator",
        MemoryKind::NativeUsed | MemoryKind::NativeMapped | MemoryKind::NativeCached => {
            "native code (malloc)"
        }
        MemoryKind::NativeFree | MemoryKind::NativeTop | MemoryKind::NativeOverhead => "free in malloc",
        MemoryKind::File | MemoryKind::Library => "files and libraries",
        MemoryKind::Stack | MemoryKind::ThreadData => "stacks",
        MemoryKind::SharedMemory => "shared memory",
        MemoryKind::Allocator | MemoryKind::Kernel | MemoryKind::Named => "other",
        MemoryKind::Unexplained | MemoryKind::Unknown => "unexplained",
    }
}

/// The difference of two: each block of either, with both amounts. Blocks with the same kinds and names above them are the same.
pub fn difference(before: Option<&Block>, now: Option<&Block>) -> Option<Block> {
    let either = now.or(before)?;
    let parts = |of: Option<&Block>| -> Vec<((BlockKind, String), Block)> {
        let parts = of.map(|of| &*of.parts).unwrap_or_default().iter();
        // What is left out has no name: it differs in its number.
        let name =
            |part: &Block| if part.kind == BlockKind::Omitted { String::new() } else { part.name.clone() };
        parts.map(|part| ((part.kind, name(part)), part.clone())).collect()
    };
    let mut old: BTreeMap<_, _> =
        parts(before).into_iter().map(|(key, part)| ((key.0 as u8, key.1), part)).collect();
    let mut all = Vec::new();
    for ((kind, name), part) in parts(now) {
        all.extend(difference(old.remove(&(kind as u8, name)).as_ref(), Some(&part)));
    }
    all.extend(old.values().filter_map(|gone| difference(Some(gone), None)));
    all.sort_by_cached_key(|part| (part.kind == BlockKind::Omitted, Reverse(part.width())));
    let amount = |of: Option<&Block>| of.map(|of| of.now).unwrap_or_default();
    Some(Block { now: amount(now), before: Some(amount(before)), parts: all, ..either.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_one_name_are_one_block() {
        let row = |kind, private_bytes| MemoryRow {
            kind,
            detail: Some("/usr/lib/libx.so".into()),
            private_bytes,
            shared_bytes: 0,
            swap_bytes: 0,
        };
        let rows = [row(MemoryKind::File, 4000), row(MemoryKind::Library, 100), row(MemoryKind::Stack, 7)];
        let made = rest(&rows, None, 0);
        let files = made.iter().find(|block| block.name == "files and libraries").unwrap();
        assert_eq!((files.now.bytes, files.parts.len(), files.parts[0].now.bytes), (4100, 1, 4100));
        assert_eq!(made.len(), 2, "{made:?}");
        // Without a change nothing grew.
        let whole = block(BlockKind::Whole, "", Amount { bytes: 4107, objects: 0 }, made);
        let same = difference(Some(&whole), Some(&whole)).unwrap();
        let all = same.parts.iter().flat_map(|part| &part.parts).chain(&same.parts);
        for part in all {
            assert_eq!(part.before, Some(part.now), "{part:?}");
        }
    }
}
