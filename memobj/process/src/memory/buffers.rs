//! Our own memory that a copy goes into: got and faulted in before the target is stopped, and kept from one census to the next.

use std::io;
use std::ops::Deref;

use memmap2::{Advice, MmapMut, MmapOptions};

use super::PAGE_SIZE;

/// What is mapped beyond what was asked for, as a share of it: the target may grow between the estimate and the stop. It is address space
/// alone, until it is written to.
const SPARE_SHARE: usize = 4;
/// And at least so much, in bytes.
const SPARE: usize = 64 << 20;

/// A stretch of our own memory, in huge pages where the kernel gives some.
///
/// Copying into memory that was never written to takes three times as long as into memory that was: the kernel clears a page at each first
/// write. [`prepare`](Self::prepare) takes that time while the target still runs.
#[derive(Debug, Default)]
pub struct CopyBuffer {
    map: Option<MmapMut>,
    /// How many bytes from the beginning are faulted in.
    warm: usize,
}

impl CopyBuffer {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { map: None, warm: 0 }
    }

    /// Makes room for `bytes` and faults it in. What was in it before is lost in part; what is far too large is given back.
    ///
    /// # Errors
    /// If the system gives no such address space. Memory that runs out while it is faulted in is no error here: it is no warmer then, and
    /// whether a copy fits is a question to be asked before.
    pub fn prepare(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes.max(PAGE_SIZE).next_multiple_of(PAGE_SIZE);
        let held = self.len();
        if held < bytes || self.warm / 2 > bytes.saturating_add(SPARE) {
            // First, or both would be there at once.
            *self = Self::new();
            let wanted = bytes.saturating_add((bytes / SPARE_SHARE).max(SPARE));
            let map = MmapOptions::new().len(wanted).no_reserve_swap().map_anon()?;
            // Kernels without transparent huge pages refuse; small ones serve too.
            let _ = map.advise(Advice::HugePage);
            self.map = Some(map);
        }
        self.warm_up_to(bytes);
        Ok(())
    }

    /// Address space for `bytes` and nothing more: memory is got as it is written to, for copies whose size is a guess.
    ///
    /// # Errors
    /// If the system gives no such address space.
    pub fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        *self = Self::new();
        let map = MmapOptions::new()
            .len(bytes.max(PAGE_SIZE).next_multiple_of(PAGE_SIZE))
            .no_reserve_swap()
            .map_anon()?;
        self.map = Some(map);
        Ok(())
    }

    fn warm_up_to(&mut self, bytes: usize) {
        let Some(cold) = bytes.checked_sub(self.warm).filter(|&cold| cold > 0) else { return };
        let Some(map) = &mut self.map else { return };
        // Linux before 5.14 has no such advice: a byte of each page is written instead.
        if map.advise_range(Advice::PopulateWrite, self.warm, cold).is_err() {
            let pages = map.get_mut(self.warm..bytes).unwrap_or_default().iter_mut().step_by(PAGE_SIZE);
            pages.for_each(|byte| *byte = std::hint::black_box(0));
        }
        self.warm = bytes;
    }

    /// How many bytes fit, whether they are faulted in or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes were written to at least once: what they add to our own resident size.
    #[must_use]
    pub const fn populated_bytes(&self) -> usize {
        self.warm
    }

    /// The bytes of a range, to be written; `None` if it is not within.
    pub(super) fn part_mut(&mut self, from: usize, length: usize) -> Option<&mut [u8]> {
        let end = from.checked_add(length)?;
        let part = self.map.as_mut()?.get_mut(from..end)?;
        self.warm = self.warm.max(end);
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
    fn room_is_kept_while_it_serves_and_given_back_when_it_is_far_too_much() {
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
