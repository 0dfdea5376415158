//! A copy made before the pause, so that the copy within it has only the pages that the process has written to since.
//!
//! The kernel forgets the writes, then the pages are copied while the process runs. A page that it writes to meanwhile, or later, is copied again
//! when no thread runs. All others had their content since before they were read, so they show that moment too.

use super::attached::Target;
use super::available_memory::allocate;
use super::copy_source::Pages;
use super::page_map::PageMap;
use super::write_tracking::{CopyAhead, WriteTracking};
use crate::memory::CopyBuffer;

/// Copies of fewer bytes take less than some 10 ms.
const MIN_BYTES: u64 = 32 << 20;
/// Copies before a pause. One is not enough if the process has enlarged its largest mapping meanwhile: all of it counts as written to.
const MAX_ROUNDS: u32 = 2;
/// The part of the bytes that may be copied in the pause after the first of them.
const MAX_SHARE: u64 = 3;
/// The share of room for the pages that are copied again, and the least of it in bytes.
const SPARE_SHARE: u64 = 4;
const SPARE: u64 = 16 << 20;

impl Target {
    /// Copies its pages while it runs. The next copies in this buffer take over those that it does not write to until then, so that they are
    /// short, until one was made or [`forget_copy`](Self::forget_copy). The kernel has to track writes for that: returns false where it does not,
    /// for small processes, and where memory is short.
    pub fn copy_ahead(&mut self, buffer: &mut CopyBuffer) -> bool {
        for _ in 0..MAX_ROUNDS {
            self.ahead = None;
            let Some((ahead, all)) = self.copy_tracked(buffer) else { return false };
            self.ahead = Some(ahead);
            if self.estimate().bytes < all / MAX_SHARE {
                break;
            }
        }
        true
    }

    /// Lets others track its writes. The next copies have all pages.
    pub fn forget_copy(&mut self) {
        self.ahead = None;
    }

    /// Copies the pages whose writes are tracked. Returns them, and the number of bytes that a copy of all pages has.
    fn copy_tracked(&self, buffer: &mut CopyBuffer) -> Option<(CopyAhead, u64)> {
        let pid = self.info.id.pid;
        let tracking = WriteTracking::of(pid)?;
        let all = Some(self.estimate().bytes).filter(|&bytes| bytes >= MIN_BYTES)?;
        allocate(buffer, all.saturating_add((all / SPARE_SHARE).max(SPARE)), 0).ok()?;
        tracking.forget().ok()?;
        let mut source = self.open_source(PageMap::open(pid, true)).ok()?;
        let copied = source.copy(buffer, Pages::Tracked, &self.files, &mut || true).ok()?;
        let (kept, pages) = copied.builder.keep(&copied.unreadable);
        *buffer = kept;
        Some((CopyAhead { pages, _tracking: tracking }, all))
    }
}
