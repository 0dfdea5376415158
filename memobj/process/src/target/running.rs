//! The memory of a process while it runs.

use std::ops::Range;
use std::time::SystemTime;

use super::attached::Target;
use super::available_memory::AvailableMemory;
use super::copy_source::{Copied, Pages};
use super::frozen_process::{CopyInfo, FrozenProcess};
use super::page_choice::PageChoice;
use super::page_map::PageMap;
use super::procfs;
use crate::addr::Addr;
use crate::error::Error;
use crate::info::Mapping;
use crate::memory::{CopyBuffer, CopyBuilder, LazyCopy, Memory, PageCache, merge_nearby};

impl Target {
    /// Its memory while it runs, through a cache of at most `cache_bytes`.
    #[must_use]
    pub fn live(&self, cache_bytes: u64) -> PageCache<'_> {
        let files = self.copied_mappings().filter(|mapping| self.files.part(mapping).is_some());
        let mut written: Vec<Range<Addr>> = files.map(|mapping| mapping.range.clone()).collect();
        let has_no_file = |mapping: &Mapping| self.files.part(mapping).is_none();
        self.scan(&PageChoice::default(), has_no_file, |pages| written.push(pages.range().0));
        let cache = PageCache::new(&self.memory, cache_bytes)
            .with_written_regions(merge_nearby(written, self.memory.regions()));
        let pid = self.info.id.pid;
        if procfs::shares_memory(pid) { cache } else { cache.with_batches(pid) }
    }

    /// The pages that a full copy made now would have.
    #[must_use]
    pub fn own_pages(&self) -> Vec<Range<Addr>> {
        let mut pages = Vec::new();
        self.scan(&PageChoice::default(), |_| true, |own| pages.push(own.range().0));
        pages
    }

    /// Its memory while it runs, copied where it is read, up to `limit` bytes: to find out which pages a copy needs. As in a copy, the content
    /// of pages that it never changed is that of their files. `None` if there is no room for `room` bytes.
    #[must_use]
    pub fn lazy_copy(&self, limit: u64, room: u64) -> Option<LazyCopy<'_>> {
        // A limit of our address space does not show in what is available.
        let is_reservable = |bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        if !AvailableMemory::now().fits(room) || !usize::try_from(room).is_ok_and(is_reservable) {
            return None;
        }
        let own = self.own_pages();
        let mut builder = CopyBuilder::default();
        own.iter().for_each(|pages| builder.skip(pages.clone()));
        let copied = Copied { builder, mappings: self.info.mappings.clone(), unreadable: Vec::new() };
        let others = self.frozen(copied, SystemTime::now(), CopyInfo::default()).memory;
        Some(LazyCopy::new(&self.memory, others, &own, limit))
    }

    /// Copies it while it runs: its pages are of different moments.
    ///
    /// # Errors
    /// If it has exited, or memory is short ([`Error::out_of_memory`]).
    pub fn copy_running(&mut self, buffer: &mut CopyBuffer) -> Result<FrozenProcess, Error> {
        self.refresh()?;
        self.forget_copy();
        self.make_room(buffer)?;
        let mut source = self.open_source(PageMap::open(self.info.id.pid, false))?;
        let copied = source.copy(buffer, Pages::All, &self.files, &mut || true);
        let copied = copied.map_err(|_| Error { out_of_memory: true, ..self.outgrown() })?;
        let copy = CopyInfo { lost_pages: copied.lost_pages(), ..CopyInfo::default() };
        Ok(self.frozen(copied, SystemTime::now(), copy))
    }
}
