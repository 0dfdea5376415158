//! The heaps of malloc and the stacks of a process.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::info::ProcessInfo;
use memobj_process::memory::Memory;
use memobj_process::residence::Residence;

use super::glibc::Glibc;
use super::mappings::search_areas;
use super::span::sorted;
use super::stacks::{Stack, find_stacks};

/// The memory of a process that belongs to malloc and to threads.
#[derive(Debug)]
pub struct NativeHeaps {
    /// The memory of malloc.
    pub glibc: Glibc,
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
        let glibc = Glibc::read(memory, &search_areas(facts, residence.pages.runs(), &claimed));
        Self { glibc, stacks, claimed }
    }

    /// All memory whose owner is known here, by address.
    pub(super) fn known(&self) -> Vec<Range<Addr>> {
        sorted(
            self.claimed.iter().cloned().chain(self.glibc.mapped.iter().cloned()).chain(self.glibc.heaps()),
        )
    }
}
