//! Growth of the resident set outside Python objects, and the leaks that explain it.

use std::collections::BTreeMap;
use std::ops::Range;

use common::record::{ACTIVE_THREADS, MemoryGrowth, MemoryKind, MemoryRow, MemoryRowGrowth};
use common::units::whole;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::types::Type;
use memobj_cpython::heap::walk::ObjectCount;
use memobj_process::addr::Addr;

use super::find::{Candidate, LeakFinder, MINUTE};
use super::trend::Trends;
use crate::account::Account;
use crate::account::growth::{GrowthCause, RowChange, row_changes};
use crate::object_graph::TypeIndex;

/// The smallest growth that counts, in bytes: allocators take memory in large pieces.
const MIN_BYTES: f64 = (512 << 10) as f64;

/// The C struct of an object of a plain class, on builds with the largest one (free-threaded).
const PLAIN_OBJECT: u64 = 32;
/// The head of each object: reference count and type. A pointer behind it may be all that an object of C or Rust has.
const HEAD: u64 = 16;
/// Rows that are listed.
const MAX_ROWS: usize = 10;
/// The share of the growth that must not be objects, for a leak of its own.
const MIN_FOREIGN: f64 = 0.5;
/// The least share of the resident set that free memory of allocators must be, to count.
const MIN_FREE: f64 = 0.25;
/// The least growth of garbage that counts, in objects, and the most native memory that each may keep.
const MIN_GARBAGE: u64 = 8;
const MAX_NATIVE_EACH: u64 = 512 << 10;
/// The least native memory that an object keeps, if it keeps any worth a line.
const MIN_NATIVE_EACH: u64 = 256;
/// More bytes than the data of Python's program or library has. Those of an extension module are farther from it: the code is between them.
const PYTHON_DATA: u64 = 2 << 20;
/// Modules of the standard library whose objects keep memory of a library in C.
const NATIVE_MODULES: [&str; 14] = [
    "_bz2", "_ctypes", "_hashlib", "_lzma", "_sqlite3", "_ssl", "bz2", "ctypes", "lzma", "mmap", "pyexpat",
    "sqlite3", "ssl", "zlib",
];

/// The growth over all censuses.
pub(super) fn growth(
    moments: &[f64],
    rss: &[Option<u64>],
    totals: &[ObjectCount],
    in_use: &[Option<u64>],
    (first, last): (Option<&Account>, Option<&Account>),
) -> Option<MemoryGrowth> {
    let trends = Trends::new(moments);
    let rss: Vec<u64> = rss.iter().copied().collect::<Option<_>>()?;
    let trend = trends.trend(&rss).filter(|trend| trend.net >= MIN_BYTES && trends.is_rise(trend))?;
    let bytes: Vec<u64> = totals.iter().map(|total| total.bytes).collect();
    let objects = trends.trend(&bytes).map_or(0.0, |trend| trend.per_second.max(0.0));
    // The resident set stays as large as it once was, so it rises where memory is in use at times only.
    let in_use: Option<Vec<u64>> = in_use.iter().copied().collect();
    let in_use = in_use.and_then(|in_use| trends.trend(&in_use));
    let stays_in_use = in_use.is_none_or(|trend| trends.is_significant(&trend));
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
                let (used, free) = foreign_growth(first, last);
                let is_much = |bytes: f64| bytes >= MIN_BYTES && bytes >= trend.net * MIN_FOREIGN;
                is_much(used) && stays_in_use || free > 0.0 && is_much(used + free)
            }
            // Objects need blocks larger than they are, and tables that grow in steps.
            _ => trend.per_second > objects * 2.0,
        },
        rows,
        explained_bytes: 0,
        trimmable_bytes: last.map_or(0, |last| last.trimmable_bytes),
        suspects: Vec::new(),
    })
}

impl LeakFinder<'_, '_> {
    /// Assigns growth of native memory to the leak whose entries keep it, and adds up how much of the growth all leaks explain. Unless
    /// `all_frames` were read, the memory may be of objects that only those frames hold, and is assigned to none.
    pub(super) fn explain(
        &self,
        memory: &mut MemoryGrowth,
        found: &mut [Candidate],
        (first_bytes, last_bytes): (u64, u64),
        all_frames: bool,
    ) {
        let grown = |causes: &[GrowthCause]| grown(&memory.rows, causes);
        let seconds = self.seconds();
        // Rust's allocators are not read: their memory has no known owner.
        let causes = [GrowthCause::Native, GrowthCause::Mapped, GrowthCause::Allocator, GrowthCause::Unknown];
        let native = grown(&causes);
        let mut explained = 0_u64;
        let owners = self.native_owners(found);
        let most = (0..).zip(&owners).filter_map(|(number, owner)| Some((number, (*owner)?)));
        if all_frames
            && let Some((number, (of, count))) = most.max_by_key(|&(_, (_, count))| count)
            && native >= count.saturating_mul(MIN_NATIVE_EACH)
            && seconds > 0.0
            && let Some(candidate) = found.get_mut(number)
        {
            candidate.leak.native_bytes_per_minute = Some(native as f64 / seconds * MINUTE);
            candidate.leak.native_type = self.ids.type_of(of).map(|of| self.history.type_name(of));
            explained = explained.saturating_add(native);
        }
        if found.iter().any(|candidate| *candidate.leak.holder == *ACTIVE_THREADS) {
            explained = explained.saturating_add(grown(&[GrowthCause::Threads]));
        }
        let added: u64 = found.iter().filter_map(|candidate| candidate.leak.added_bytes).sum();
        let all = last_bytes.saturating_sub(first_bytes).max(added).max(1);
        let growth = memory.bytes_per_minute / MINUTE * seconds;
        memory.explained_bytes =
            explained.saturating_add(explained_by_objects(&memory.rows, growth, (added, all)));
        // Where leaks explain most of the growth, the rest is room of allocators, or a copy that was just being made.
        memory.is_leak &= explained == 0 && memory.explained_bytes as f64 <= growth * (1.0 - MIN_FOREIGN);
        // The collector will free what its garbage keeps.
        if memory.is_leak {
            let garbage = self.native_garbage();
            memory.is_leak = garbage < MIN_GARBAGE || native > garbage.saturating_mul(MAX_NATIVE_EACH);
        }
        if memory.is_leak {
            memory.suspects = self.suspects(std::iter::empty());
        }
    }

    /// The static data of Python's program or library, and what else is nearby; empty if it is not known where that is.
    pub(super) fn python_data(&self) -> Range<Addr> {
        let types = self.holders.graph().types().iter().map(|counted| &counted.ty);
        let is_type =
            |of: &&Type| of.kind == Some(Builtin::Type) && of.class.is_none() && of.qualname == "type";
        types.into_iter().find(is_type).map_or(Addr::NULL..Addr::NULL, |of| {
            let (first, end) = (of.at.0.saturating_sub(PYTHON_DATA), of.at.0.saturating_add(PYTHON_DATA));
            Addr(first)..Addr(end)
        })
    }

    /// By how many the objects grew that may keep memory of C code and will be freed by the collector.
    fn native_garbage(&self) -> u64 {
        let own = self.python_data();
        let rows = self.history.rows().filter(|((place, of), _)| {
            self.cause(*place).is_none() && self.index_of(*of).is_some_and(|of| self.keeps_native(&own, of))
        });
        let (first, last) = rows.fold((0_u64, 0_u64), |(first, last), (_, row)| {
            let sum = |sum: u64, value: Option<&u64>| sum.saturating_add(value.copied().unwrap_or(0));
            (sum(first, row.objects.first()), sum(last, row.objects.last()))
        });
        last.saturating_sub(first)
    }

    /// Whether objects of a type may keep memory of C code; `own` is [`python_data`](Self::python_data).
    fn keeps_native(&self, own: &Range<Addr>, of: TypeIndex) -> bool {
        // Types of C or Rust that name no module seem to be builtins.
        let is_foreign = |of: &Type| of.class.is_none() && !own.contains(&of.at);
        let of = self.holders.graph().type_at(of).filter(|of| of.kind.is_none() && !of.is_metatype());
        of.is_some_and(|of| {
            if of.module == "builtins" {
                return is_foreign(of);
            }
            let is_known = NATIVE_MODULES.contains(&&*of.module) || !self.holders.is_standard(&of.module);
            of.c_size > if of.class.is_none() { HEAD } else { PLAIN_OBJECT } && is_known
        })
    }

    /// For each leak the most frequent type of its new objects that may keep memory of C code, and how many there are; `None` for a side
    /// effect.
    fn native_owners(&self, found: &[Candidate]) -> Vec<Option<(TypeIndex, u64)>> {
        let graph = self.holders.graph();
        let at = self.candidate_of(found);
        let mut counts: Vec<BTreeMap<TypeIndex, u64>> = vec![BTreeMap::new(); found.len()];
        for node in graph.object_nodes().filter(|&node| self.generations.first_seen(node) > 0) {
            if let Some(counts) = at(node).and_then(|number| counts.get_mut(number)) {
                *counts.entry(graph.type_index(node)).or_default() += 1;
            }
        }
        let own = self.python_data();
        let most = |(candidate, counts): (&Candidate, BTreeMap<TypeIndex, u64>)| {
            let counts = counts.into_iter().filter(|_| candidate.leak.side_effect_of.is_none());
            // One that has little more than a head may be a number: numpy's scalars are.
            let is_large = |of: TypeIndex| graph.type_at(of).is_some_and(|of| of.c_size > PLAIN_OBJECT);
            counts
                .filter(|&(of, _)| self.keeps_native(&own, of))
                .max_by_key(|&(of, count)| (is_large(of), count))
        };
        found.iter().zip(counts).map(most).collect()
    }
}

/// By how many bytes the rows with these causes grew.
fn grown(rows: &[MemoryRowGrowth], causes: &[GrowthCause]) -> u64 {
    let rows = rows.iter().filter(|row| causes.contains(&GrowthCause::from_row(row.kind)));
    rows.map(|row| row.growth_bytes).sum()
}

/// How many bytes of the resident set's growth are objects that leak, if `added` of `all` new bytes of objects do. Blocks are larger than
/// objects, and tables have room: so the share of the objects counts. Without rows, since a census was not copied, it is their own bytes.
fn explained_by_objects(rows: &[MemoryRowGrowth], growth: f64, (added, all): (u64, u64)) -> u64 {
    if rows.is_empty() {
        return added.min(whole(growth));
    }
    let objects = grown(rows, &[GrowthCause::Objects, GrowthCause::PythonFree]);
    whole(objects as f64 * added as f64 / all as f64)
}

/// By how many resident bytes the memory outside Python objects and their blocks grew: what is in use, and what is free. Free memory that an
/// allocator keeps is bounded by what was once in use: its growth counts if it is a large part of the resident set.
fn foreign_growth(first: &Account, last: &Account) -> (f64, f64) {
    let growth = |wanted| resident(last, wanted) as f64 - resident(first, wanted) as f64;
    let is_much_free = resident(last, is_free) as f64 >= last.rss_bytes as f64 * MIN_FREE;
    (growth(is_in_use), if is_much_free { growth(is_free) } else { 0.0 })
}

/// The resident bytes outside Python objects and their blocks that are in use.
pub(super) fn foreign_in_use(account: &Account) -> u64 {
    resident(account, is_in_use)
}

fn resident(account: &Account, wanted: fn(MemoryKind) -> bool) -> u64 {
    account.rows.iter().filter(|row| wanted(row.kind)).map(MemoryRow::resident_bytes).sum()
}

fn is_in_use(kind: MemoryKind) -> bool {
    kind != MemoryKind::PythonObjects && !is_free(kind)
}

/// Whether memory is kept by Python's allocator or malloc, and not in use.
fn is_free(kind: MemoryKind) -> bool {
    matches!(GrowthCause::from_row(kind), GrowthCause::PythonFree | GrowthCause::NativeFree)
}

/// The rows that grew from one account to another, largest first. The stacks of several threads are one: each may have a name of its own.
fn rows(first: &Account, last: &Account) -> Vec<MemoryRowGrowth> {
    let mut grown: Vec<MemoryRowGrowth> = Vec::new();
    let changes = row_changes(&first.rows, &last.rows);
    let stacks = changes.iter().filter(|change| change.kind == MemoryKind::Stack && change.bytes > 0).count();
    for RowChange { kind, detail, bytes } in changes {
        let Some(growth_bytes) = u64::try_from(bytes).ok().filter(|&bytes| bytes > 0) else { continue };
        let now = last.rows.iter().find(|row| (row.kind, &row.detail) == (kind, &detail));
        let current_bytes = now.map_or(0, MemoryRow::resident_bytes);
        let is_one_of_many = kind == MemoryKind::Stack && stacks > 1;
        match grown.iter_mut().find(|row| is_one_of_many && row.kind == kind) {
            Some(row) => {
                row.growth_bytes = row.growth_bytes.saturating_add(growth_bytes);
                row.current_bytes = row.current_bytes.saturating_add(current_bytes);
            }
            None => {
                let detail = detail.filter(|_| !is_one_of_many);
                grown.push(MemoryRowGrowth { kind, detail, growth_bytes, current_bytes });
            }
        }
    }
    grown.sort_by_key(|row| std::cmp::Reverse(row.growth_bytes));
    grown.truncate(MAX_ROWS);
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn account(mebibytes: &[(MemoryKind, u64)]) -> Account {
        let row = |&(kind, size): &(MemoryKind, u64)| MemoryRow {
            kind,
            detail: None,
            private_bytes: size * MIB,
            shared_bytes: 0,
            swap_bytes: 0,
        };
        let rows: Vec<MemoryRow> = mebibytes.iter().map(row).collect();
        let rss_bytes = rows.iter().map(MemoryRow::resident_bytes).sum();
        Account { rss_bytes, rows, ..Account::default() }
    }

    #[test]
    fn leaking_objects_explain_their_share() {
        let row = |kind, growth_bytes| MemoryRowGrowth { kind, detail: None, growth_bytes, current_bytes: 0 };
        let rows = [row(MemoryKind::PythonObjects, 8 * MIB), row(MemoryKind::NativeUsed, 90 * MIB)];
        assert_eq!(explained_by_objects(&rows, (100 * MIB) as f64, (3 * MIB, 4 * MIB)), 6 * MIB);
        assert_eq!(explained_by_objects(&[], (5 * MIB) as f64, (3 * MIB, 4 * MIB)), 3 * MIB);
        assert_eq!(explained_by_objects(&[], (2 * MIB) as f64, (3 * MIB, 4 * MIB)), 2 * MIB);
    }

    #[test]
    fn little_free_memory_is_no_growth() {
        use MemoryKind::{NativeFree, NativeTop, NativeUsed, PythonObjects};
        let growth = |first: &[(MemoryKind, u64)], last: &[(MemoryKind, u64)]| {
            let (used, free) = foreign_growth(&account(first), &account(last));
            (used / MIB as f64, free / MIB as f64)
        };
        let first = [(PythonObjects, 40), (NativeUsed, 3), (NativeFree, 0), (NativeTop, 1)];
        let warm = [(PythonObjects, 41), (NativeUsed, 4), (NativeFree, 3), (NativeTop, 2)];
        assert_eq!(growth(&first, &warm), (1.0, 0.0));
        let fragmented = [(PythonObjects, 41), (NativeUsed, 4), (NativeFree, 30), (NativeTop, 2)];
        assert_eq!(growth(&first, &fragmented), (1.0, 31.0));
    }
}
