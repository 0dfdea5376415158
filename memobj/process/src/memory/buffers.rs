//! The buffer of a copy: allocated and faulted in before the process is paused, and reused by the next copy.

use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, MmapMut, MmapOptions};

use super::PAGE_SIZE;

/// A buffer has this share of spare room: the process may grow between the estimate and the pause. Spare room is only address space until it
/// is written to.
const SPARE_SHARE: usize = 4;
/// The least spare room, in bytes.
const SPARE: usize = 64 << 20;

/// Memory of our own for a copy, in huge pages where the kernel has some.
///
/// Copying into fresh memory takes three times as long, since the kernel clears each page on the first write. [`prepare`](Self::prepare)
/// spends that time while the process still runs.
#[derive(Debug, Default)]
pub struct CopyBuffer {
    map: Option<MmapMut>,
    /// Bytes from the beginning that are faulted in.
    populated: usize,
    /// Identifies its content: changes when a copy begins that overwrites it.
    content: u64,
}

/// The last number of a content: each is used once, in one buffer.
static LAST_CONTENT: AtomicU64 = AtomicU64::new(0);

impl CopyBuffer {
    /// Creates an empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { map: None, populated: 0, content: 0 }
    }

    /// Makes room for `bytes` and faults it in. Its content is undefined afterwards. Returns memory to the system if far too much is held.
    ///
    /// # Errors
    /// If there is no address space. Check beforehand whether the copy fits into memory: running out of it here is no error.
    pub fn prepare(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes.max(PAGE_SIZE).next_multiple_of(PAGE_SIZE);
        let held = self.len();
        if held < bytes || self.populated / 2 > bytes.saturating_add(SPARE) {
            // Frees the old buffer first, or both would exist at once.
            *self = Self::new();
            let wanted = bytes.saturating_add((bytes / SPARE_SHARE).max(SPARE));
            let map = self.map.insert(MmapOptions::new().len(wanted).no_reserve_swap().map_anon()?);
            // Fails on kernels without transparent huge pages; small pages work too.
            let _ = map.advise(Advice::HugePage);
        }
        self.fault_in(bytes);
        Ok(())
    }

    /// Reserves address space for `bytes`, for copies of unknown size: memory is allocated as it is written to.
    ///
    /// # Errors
    /// If there is no address space.
    pub fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        *self = Self::new();
        let bytes = bytes.max(PAGE_SIZE).next_multiple_of(PAGE_SIZE);
        self.map = Some(MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?);
        Ok(())
    }

    fn fault_in(&mut self, bytes: usize) {
        let Some(cold) = bytes.checked_sub(self.populated).filter(|&cold| cold > 0) else { return };
        let Some(map) = &mut self.map else { return };
        // Linux before 5.14 lacks this advice: a byte of each page is written instead.
        if map.advise_range(Advice::PopulateWrite, self.populated, cold).is_err() {
            let pages = map.get_mut(self.populated..bytes).unwrap_or_default().iter_mut().step_by(PAGE_SIZE);
            pages.for_each(|byte| *byte = std::hint::black_box(0));
        }
        self.populated = bytes;
    }

    /// Its size in bytes, faulted in or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    /// Whether its size is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that were written to at least once: their part of our own resident size.
    #[must_use]
    pub const fn populated_bytes(&self) -> usize {
        self.populated
    }

    /// What [`overwrite`](Self::overwrite) numbered last; 0 for nothing.
    pub(super) const fn content(&self) -> u64 {
        self.content
    }

    /// Says that a new copy begins at its beginning.
    pub(super) fn overwrite(&mut self) {
        self.content = LAST_CONTENT.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// Borrows a range to write to; `None` outside of the buffer.
    pub(super) fn part_mut(&mut self, from: usize, length: usize) -> Option<&mut [u8]> {
        let end = from.checked_add(length)?;
        let part = self.map.as_mut()?.get_mut(from..end)?;
        self.populated = self.populated.max(end);
        Some(part)
    }
}

impl Deref for CopyBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_too_large_buffers_are_freed() {
        let mut buffers = CopyBuffer::new();
        assert!(buffers.is_empty() && buffers.part_mut(0, 1).is_none());
        buffers.prepare(10_000).unwrap();
        assert!(buffers.populated_bytes() == 12_288 && buffers.len() >= 12_288 + SPARE);
        buffers.part_mut(0, 4).unwrap().copy_from_slice(b"held");

        buffers.prepare(PAGE_SIZE).unwrap();
        assert_eq!(&buffers[..4], b"held");
        assert!(buffers.part_mut(usize::MAX, 2).is_none());

        buffers.prepare(4 * SPARE).unwrap();
        assert!(buffers[..4 * SPARE].iter().all(|&byte| byte == 0));
        buffers.prepare(PAGE_SIZE).unwrap();
        assert!(buffers.populated_bytes() == PAGE_SIZE && buffers.len() < 2 * SPARE);
    }
}
