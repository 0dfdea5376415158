//! The trait that all memories share.

use std::ops::Range;

use crate::addr::{Addr, PAGE_SIZE};

/// Bytes of a range that are scanned at most, and bytes of one read.
const MAX_SCANNED: u64 = 1 << 30;
const PIECE: usize = 1 << 16;

/// Bytes that cannot be read. Small, since hostile memory causes millions of these errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{at} is not readable")]
pub struct Unreadable {
    /// Where the read began.
    pub at: Addr,
}

/// Memory of a 64-bit little-endian process.
///
/// All methods are safe on hostile addresses: they read all bytes of the range, or return [`Unreadable`].
///
/// ```
/// use memobj_process::{addr::Addr, memory::{FakeMemory, Memory}};
///
/// let mut memory = FakeMemory::new();
/// memory.put(Addr(0x1000), b"hello\0");
/// assert_eq!(memory.read_c_string(Addr(0x1000), 100)?, b"hello");
/// assert!(memory.read_u64(Addr(0x9000)).is_err());
/// # Ok::<(), memobj_process::memory::Unreadable>(())
/// ```
pub trait Memory: Sync {
    /// Fills `into` with the bytes at `at`.
    ///
    /// # Errors
    /// If any of them cannot be read; the content of `into` is undefined then.
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable>;

    /// Borrows the bytes at `at` where they are contiguous in our own memory. After `None`, [`read`](Self::read) may still succeed.
    fn slice(&self, _at: Addr, _length: usize) -> Option<&[u8]> {
        None
    }

    /// Announces ranges that will be read soon, for memories that read several at once at less cost. Ranges that cannot be read are
    /// ignored.
    fn prefetch(&self, _wanted: &mut dyn Iterator<Item = Range<Addr>>) {}

    /// The readable ranges, in ascending order and without overlap.
    fn regions(&self) -> &[Range<Addr>];

    /// The parts of [`regions`](Self::regions) that may hold other bytes than zeros. Much less than all regions where a program reserved
    /// memory that it never wrote to, such as thread stacks.
    fn written_regions(&self) -> Vec<Range<Addr>> {
        self.regions().to_vec()
    }

    /// Whether pages were left out of a copy; see [`has_missed`](Self::has_missed).
    fn is_partial(&self) -> bool {
        false
    }

    /// Whether a read failed because its page was left out of a copy. Then nothing that was read can be relied on.
    fn has_missed(&self) -> bool {
        false
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`read`](Self::read); so of all methods below.
    #[inline]
    fn read_u8(&self, at: Addr) -> Result<u8, Unreadable> {
        read_array(self, at).map(u8::from_le_bytes)
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u16(&self, at: Addr) -> Result<u16, Unreadable> {
        read_array(self, at).map(u16::from_le_bytes)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u32(&self, at: Addr) -> Result<u32, Unreadable> {
        read_array(self, at).map(u32::from_le_bytes)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_u64(&self, at: Addr) -> Result<u64, Unreadable> {
        read_array(self, at).map(u64::from_le_bytes)
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    fn read_addr(&self, at: Addr) -> Result<Addr, Unreadable> {
        self.read_u64(at).map(Addr)
    }

    /// Reads a C string without its terminator, `limit` bytes at most.
    ///
    /// # Errors
    /// If a byte before its end cannot be read.
    fn read_c_string(&self, at: Addr, limit: usize) -> Result<Vec<u8>, Unreadable> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let mut text = Vec::new();
        // Pieces end at page boundaries: the page after the terminator may be unmapped.
        while text.len() < limit {
            let from = at.plus(text.len() as u64);
            let left = PAGE.saturating_sub(from.0 % PAGE).min(64).min((limit - text.len()) as u64);
            let mut piece = [0; 64];
            let Some(piece) = piece.get_mut(..left as usize) else { break };
            self.read(from, piece)?;
            let end = piece.iter().position(|&byte| byte == 0);
            text.extend(piece.iter().take(end.unwrap_or(piece.len())));
            if end.is_some() {
                break;
            }
        }
        Ok(text)
    }
}

#[inline]
fn read_array<const N: usize>(memory: &(impl Memory + ?Sized), at: Addr) -> Result<[u8; N], Unreadable> {
    let mut bytes = [0; N];
    memory.read(at, &mut bytes)?;
    Ok(bytes)
}

/// Forwards what types override, so that a reference is as fast as the memory itself.
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

    fn is_partial(&self) -> bool {
        (**self).is_partial()
    }

    fn has_missed(&self) -> bool {
        (**self).has_missed()
    }
}

/// Calls `each` with the address and the value of every aligned word of `ranges` that can be read, of each range up to 1 GiB: no program
/// has as much static data.
pub fn for_each_word(
    memory: &(impl Memory + ?Sized),
    ranges: &[Range<Addr>],
    mut each: impl FnMut(Addr, u64),
) {
    let mut buffer = vec![0; PIECE];
    for range in ranges {
        let mut at = Addr(range.start.0.checked_next_multiple_of(8).unwrap_or(u64::MAX));
        let end = range.end.0.min(range.start.0.saturating_add(MAX_SCANNED));
        while at.0 < end {
            let length = usize::try_from(end.saturating_sub(at.0)).unwrap_or(PIECE).min(PIECE);
            let Some(piece) = buffer.get_mut(..length) else { break };
            if memory.read(at, piece).is_ok() {
                let (chunks, _) = piece.as_chunks::<8>();
                for (index, chunk) in (0_u64..).zip(chunks) {
                    each(at.plus(index.wrapping_mul(8)), u64::from_le_bytes(*chunk));
                }
            }
            at = at.plus(length as u64);
        }
    }
}
