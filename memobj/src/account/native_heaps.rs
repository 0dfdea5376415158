//! The heaps of malloc and the stacks of a process.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;
use memobj_process::residence::Residence;

use super::glibc::Glibc;
use super::mappings::search_areas;
use super::musl::Musl;
use super::span::sorted;
use super::stacks::{Stack, find_stacks};

/// The memory of a process that belongs to malloc and to threads.
#[derive(Debug)]
pub struct NativeHeaps {
    /// The memory of glibc's malloc.
    pub glibc: Glibc,
    /// The memory of musl's.
    pub(super) musl: Musl,
    pub(super) stacks: Vec<Stack>,
    /// Memory that does not belong to malloc, by address.
    pub(super) claimed: Vec<Range<Addr>>,
}

impl NativeHeaps {
    /// Reads the memory of a process. `arenas` is the memory that Python's allocator took from the system, by address.
    pub fn read(
        memory: &(impl Memory + ?Sized),
        facts: &ProcessInfo,
        residence: &Residence,
        arenas: &[Range<Addr>],
    ) -> Self {
        let stacks = find_stacks(memory, facts, residence);
        let claimed = sorted(arenas.iter().cloned().chain(stacks.iter().map(|stack| stack.range.clone())));
        let areas = search_areas(facts, residence.pages.runs(), &claimed);
        let glibc = Glibc::read(memory, &areas);
        let musl = if glibc.arenas.is_empty() { Musl::read(memory, &areas) } else { Musl::default() };
        Self { glibc, musl, stacks, claimed }
    }

    /// All memory whose owner is known here, by address.
    pub(super) fn known(&self) -> Vec<Range<Addr>> {
        let mapped = self.glibc.mapped.iter().cloned().chain(self.musl.mapped());
        sorted(self.claimed.iter().cloned().chain(mapped).chain(self.glibc.heaps()))
    }

    /// The memory in use of malloc that was given out at an address, with its header.
    pub(super) fn chunk(&self, memory: &(impl Memory + ?Sized), at: Addr) -> Option<Range<Addr>> {
        self.glibc.chunk(memory, at).or_else(|| self.musl.chunk(memory, at))
    }

    /// Whether malloc is one whose memory is read.
    pub(super) fn has_malloc(&self) -> bool {
        !self.glibc.arenas.is_empty() || !self.musl.pieces.is_empty()
    }
}
