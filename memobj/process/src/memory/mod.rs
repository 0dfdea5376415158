//! Reading foreign memory, wherever it is: a live target, a frozen copy, a core file, a test image.

mod buffers;
mod fake;
mod file_part;
mod frozen;
mod paged;
mod proc_mem;
mod ranges;

use std::ops::Range;

use crate::addr::Addr;

pub use buffers::CopyBuffer;
pub use fake::FakeMemory;
pub use file_part::FilePart;
pub use frozen::{Backing, BufferFull, CopiedRun, CopyBuilder, FrozenMemory, Uncopied};
pub use paged::Paged;
pub use proc_mem::ProcMem;
pub use ranges::merge_nearby;

/// The smallest page of x86-64, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Some bytes could not be read. Cheap: hostile memory makes millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{at} is not readable")]
pub struct Unreadable {
    /// Where reading began.
    pub at: Addr,
}

/// Memory of a 64-bit little-endian process.
///
/// All methods are safe on hostile addresses: they read what was asked for, whole, or say [`Unreadable`].
pub trait Memory: Sync {
    /// Fills `into` with the bytes at `at`.
    ///
    /// # Errors
    /// If any of them cannot be read; then `into` holds nothing of use.
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable>;

    /// The bytes at `at` without copying them, where they lie in one piece of ours. `None` says nothing about whether they can be read:
    /// who needs them asks [`read`](Self::read) then.
    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        let _ = (at, length);
        None
    }

    /// Says what will be read soon, for memory where several reads at once are cheaper than one after the other. Nothing has to be done,
    /// and what cannot be read is no error.
    fn prefetch(&self, wanted: &mut dyn Iterator<Item = Range<Addr>>) {
        let _ = wanted;
    }

    /// The readable ranges in ascending order, without overlap: where objects can be.
    fn regions(&self) -> &[Range<Addr>];

    /// Those parts of [`regions`](Self::regions) that may hold something else than zeros, and some between them: far less, where a
    /// program has reserved much that it never wrote to, as the stacks of threads.
    fn written_regions(&self) -> Vec<Range<Addr>> {
        self.regions().to_vec()
    }

    /// The byte at `at`.
    ///
    /// # Errors
    /// As [`read`](Self::read); so of all others below.
    #[inline]
    fn read_u8(&self, at: Addr) -> Result<u8, Unreadable> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(u8::from_le_bytes(bytes))
    }

    /// Two bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u16(&self, at: Addr) -> Result<u16, Unreadable> {
        let mut bytes = [0; 2];
        self.read(at, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u32(&self, at: Addr) -> Result<u32, Unreadable> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u64(&self, at: Addr) -> Result<u64, Unreadable> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A pointer.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_addr(&self, at: Addr) -> Result<Addr, Unreadable> {
        self.read_u64(at).map(Addr)
    }

    /// The bytes of a C string without its end, `limit` at most.
    ///
    /// # Errors
    /// If a byte before its end cannot be read.
    fn read_c_string(&self, at: Addr, limit: usize) -> Result<Vec<u8>, Unreadable> {
        let mut text = Vec::new();
        // In pieces that do not cross a page, since the page after the string's last one need not be there.
        const PAGE_SIZE: u64 = self::PAGE_SIZE as u64;
        while text.len() < limit {
            let from = at.plus(text.len() as u64);
            let left = PAGE_SIZE.saturating_sub(from.0 % PAGE_SIZE).min(64).min((limit - text.len()) as u64);
            let mut piece = [0; 64];
            let Some(piece) = piece.get_mut(..left as usize) else { break };
            self.read(from, piece)?;
            match piece.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    text.extend(piece.iter().take(end));
                    break;
                }
                None => text.extend_from_slice(piece),
            }
        }
        Ok(text)
    }
}

/// All of it is handed on, so that what a memory can do better than by reading bytes is not lost behind a reference.
impl<M: Memory + ?Sized> Memory for &M {
    #[inline]
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        (**self).read(at, into)
    }

    #[inline]
    fn slice(&self, at: Addr, length: usize) -> Option<&[u8]> {
        (**self).slice(at, length)
    }

    fn prefetch(&self, wanted: &mut dyn Iterator<Item = Range<Addr>>) {
        (**self).prefetch(wanted);
    }

    fn regions(&self) -> &[Range<Addr>] {
        (**self).regions()
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        (**self).written_regions()
    }

    #[inline]
    fn read_u8(&self, at: Addr) -> Result<u8, Unreadable> {
        (**self).read_u8(at)
    }

    #[inline]
    fn read_u16(&self, at: Addr) -> Result<u16, Unreadable> {
        (**self).read_u16(at)
    }

    #[inline]
    fn read_u32(&self, at: Addr) -> Result<u32, Unreadable> {
        (**self).read_u32(at)
    }

    #[inline]
    fn read_u64(&self, at: Addr) -> Result<u64, Unreadable> {
        (**self).read_u64(at)
    }

    #[inline]
    fn read_addr(&self, at: Addr) -> Result<Addr, Unreadable> {
        (**self).read_addr(at)
    }

    fn read_c_string(&self, at: Addr, limit: usize) -> Result<Vec<u8>, Unreadable> {
        (**self).read_c_string(at, limit)
    }
}
