//! Stacks and static data of threads.
//!
//! Facts: nptl/allocatestack.c and nptl/descr.h of glibc 2.31 to 2.42: a thread's stack is a mapping with a guard below that cannot be
//! read, and its `struct pthread` stands at its upper end. On x86-64 that begins with a pointer to itself and has another one 16 bytes on
//! (`tcb` and `self` of `tcbhead_t`), for the code that loads it from `%fs:0` and `%fs:16`; the thread's number is at 720.

use std::ops::Range;

use memobj_cpython::object::memory_ext::MemoryExt as _;
use memobj_process::addr::{Addr, PAGE_SIZE};
use memobj_process::info::{Mapping, MappingKind, ProcessInfo};
use memobj_process::memory::Memory;
use memobj_process::residence::Residence;

const PAGE: u64 = PAGE_SIZE as u64;
/// Alignment of `struct pthread` (`TCB_ALIGNMENT`).
const ALIGNMENT: usize = 64;
/// `self` of `tcbhead_t`.
const SELF: usize = 16;
/// `tid` of `struct pthread`.
const NUMBER: u64 = 720;
/// `sizeof(struct pthread)` in 2.36.
const DESCRIPTOR: u64 = 2304;
/// The largest distance from a descriptor to the end of its stack.
const MAX_DESCRIPTOR: u64 = 3 * PAGE;
/// Pages that are searched in all: hostile memory may look like many guarded stacks.
const MAX_PAGES: u64 = 1 << 20;
/// Bytes at the end of memory without a guard that are searched.
const TAIL: u64 = 256 << 10;

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    pub range: Range<Addr>,
    /// The name of its thread; `None` if that has ended and the stack is kept for another one.
    pub thread: Option<String>,
    /// Whether this is the static data of the main thread alone, whose stack the kernel makes elsewhere.
    pub data_only: bool,
}

/// Finds the stacks of a process by address, except the one that the kernel made.
pub(super) fn find_stacks(
    memory: &(impl Memory + ?Sized),
    facts: &ProcessInfo,
    residence: &Residence,
) -> Vec<Stack> {
    let name = |number: u32| {
        let thread =
            facts.threads.iter().find(|thread| thread.inner_tid == Some(number) || thread.tid == number);
        thread.map(|thread| thread.name.clone())
    };
    let mut stacks = Vec::new();
    let mut left = MAX_PAGES;
    let mut before: Option<&Mapping> = None;
    for mapping in &facts.mappings {
        let guard = before.replace(mapping).filter(|guard| guard.range.end == mapping.range.start);
        if !is_plain(mapping) {
            continue;
        }
        let guarded =
            guard.is_some_and(|guard| !guard.access.read && !guard.access.write && guard.inode == 0);
        let range = &mapping.range;
        // The static data of the main thread was mapped first, so later memory lies below it, if anything.
        let searched = if guarded { range.start } else { range.start.max(range.end.minus(TAIL)) };
        if !guarded {
            let merged = merged_stacks(memory, range, residence, &mut left);
            if !merged.is_empty() {
                stacks.extend(merged.into_iter().map(|(number, range)| Stack {
                    range,
                    thread: name(number).or_else(|| Some(String::new())),
                    data_only: false,
                }));
                continue;
            }
        }
        if let Some(descriptor) = read_descriptor(memory, &(searched..range.end), residence, &mut left) {
            let end =
                descriptor.0.saturating_add(DESCRIPTOR).checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
            let number = memory.read_u32(descriptor.plus(NUMBER)).unwrap_or(0);
            let start = if guarded { range.start } else { descriptor.clear_bits(PAGE - 1) };
            stacks.push(Stack {
                range: start..Addr(end).min(range.end),
                thread: name(number),
                data_only: !guarded,
            });
            continue;
        }
        // With another C library, a stack is the memory that a thread's stack pointer points into.
        let thread = residence.stack_pointers.iter().find(|(_, at)| range.contains(at));
        if let (Some((number, _)), true) = (thread, guarded) {
            let thread = name(*number).or_else(|| Some(String::new()));
            stacks.push(Stack { range: range.clone(), thread, data_only: false });
        }
    }
    stacks
}

/// Finds the stacks in a mapping of several, with the threads' numbers: from glibc 2.42 and Linux 6.13 on, guards are no mappings of their
/// own (`MADV_GUARD_INSTALL`), so the kernel merges stacks that lie side by side.
fn merged_stacks(
    memory: &(impl Memory + ?Sized),
    range: &Range<Addr>,
    residence: &Residence,
    left: &mut u64,
) -> Vec<(u32, Range<Addr>)> {
    let mut pointers: Vec<(u32, Addr)> =
        residence.stack_pointers.iter().copied().filter(|(_, at)| range.contains(at)).collect();
    pointers.sort_by_key(|&(_, at)| at);
    let mut stacks: Vec<(u32, Range<Addr>)> = Vec::new();
    for (number, at) in pointers {
        let Some(descriptor) =
            read_descriptor(memory, &(at.clear_bits(PAGE - 1)..range.end), residence, left)
        else {
            continue;
        };
        let Some(block) = read_block(memory, descriptor).filter(|block| block.contains(&at)) else {
            continue;
        };
        if stacks.last().is_none_or(|(_, last)| last.end <= block.start) && range.end >= block.end {
            stacks.push((number, block.start.max(range.start)..block.end));
        }
    }
    stacks
}

/// Reads the block that a thread's stack and descriptor lie in: two words of the descriptor are its start and size (`stackblock`,
/// `stackblock_size`). Their offsets differ from version to version, but the block ends right behind the descriptor.
fn read_block(memory: &(impl Memory + ?Sized), descriptor: Addr) -> Option<Range<Addr>> {
    let mut words = Vec::new();
    memory.read_words(descriptor, DESCRIPTOR / 8, |word| words.push(word)).ok()?;
    words.windows(2).find_map(|pair| {
        let &[start, size] = pair else { return None };
        let end = start.checked_add(size)?;
        let is_block = size > 0
            && start.is_multiple_of(PAGE)
            && size.is_multiple_of(PAGE)
            && start < descriptor.0
            && end.checked_sub(descriptor.0).is_some_and(|rest| rest > 0 && rest <= MAX_DESCRIPTOR);
        is_block.then_some(Addr(start)..Addr(end))
    })
}

/// Whether a mapping is private anonymous memory without a name.
pub(super) fn is_plain(mapping: &Mapping) -> bool {
    let access = mapping.access;
    access.read
        && access.write
        && !access.shared
        && mapping.kind() == MappingKind::Anonymous
        && mapping.path.as_os_str().is_empty()
}

/// Finds the first thread descriptor in the resident pages of a range.
fn read_descriptor(
    memory: &(impl Memory + ?Sized),
    range: &Range<Addr>,
    residence: &Residence,
    left: &mut u64,
) -> Option<Addr> {
    let runs = residence.pages.runs();
    let first = runs.partition_point(|run| run.range.end <= range.start);
    let mut page = [0; PAGE_SIZE];
    for run in runs.iter().skip(first).take_while(|run| run.range.start < range.end) {
        let (start, end) = (run.range.start.max(range.start), run.range.end.min(range.end));
        for at in (start.0..end.0).step_by(PAGE_SIZE).map(Addr) {
            *left = left.checked_sub(1)?;
            if memory.read(at, &mut page).is_err() {
                continue;
            }
            for (offset, place) in (0..).step_by(ALIGNMENT).zip(page.as_chunks::<ALIGNMENT>().0) {
                let here = at.plus(offset);
                let word = |from: usize| {
                    let bytes = place.get(from..)?.first_chunk()?;
                    Some(u64::from_le_bytes(*bytes))
                };
                if word(0) == Some(here.0) && word(SELF) == Some(here.0) {
                    return Some(here);
                }
            }
        }
    }
    None
}
