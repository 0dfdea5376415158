//! Reading the members of C structs, and arrays of words, out of foreign memory.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

/// Bytes of an array that are read at once: enough to spread a call's cost, small enough for the stack.
const PIECE: usize = 1024;
const PIECE_WORDS: u64 = (PIECE / 8) as u64;

/// Reads members of structs by the address of the struct and the member's offset in a [`Layout`](crate::layout::Layout).
pub trait MemoryExt: Memory {
    /// The eight bytes of a member.
    ///
    /// # Errors
    /// If they cannot be read; so of all others.
    #[inline]
    fn read_word(&self, at: Addr, member: u32) -> Result<u64, Unreadable> {
        self.read_u64(at.plus(u64::from(member)))
    }

    /// A member of type `Py_ssize_t`.
    ///
    /// # Errors
    /// As [`read_word`](Self::read_word).
    #[inline]
    fn read_signed(&self, at: Addr, member: u32) -> Result<i64, Unreadable> {
        self.read_word(at, member).map(u64::cast_signed)
    }

    /// A member of type `Py_ssize_t` that counts something: a negative one is no count, so nothing is there.
    ///
    /// # Errors
    /// As [`read_word`](Self::read_word).
    #[inline]
    fn read_count(&self, at: Addr, member: u32) -> Result<u64, Unreadable> {
        self.read_signed(at, member).map(|count| u64::try_from(count).unwrap_or(0))
    }

    /// A pointer.
    ///
    /// # Errors
    /// As [`read_word`](Self::read_word).
    #[inline]
    fn read_pointer(&self, at: Addr, member: u32) -> Result<Addr, Unreadable> {
        self.read_word(at, member).map(Addr)
    }

    /// A member of type `int`.
    ///
    /// # Errors
    /// As [`read_word`](Self::read_word).
    #[inline]
    fn read_int(&self, at: Addr, member: u32) -> Result<i32, Unreadable> {
        self.read_u32(at.plus(u64::from(member))).map(u32::cast_signed)
    }

    /// A member of one byte.
    ///
    /// # Errors
    /// As [`read_word`](Self::read_word).
    #[inline]
    fn read_byte(&self, at: Addr, member: u32) -> Result<u8, Unreadable> {
        self.read_u8(at.plus(u64::from(member)))
    }

    /// Calls `each` with every word of an array, in pieces. A hostile count does no harm: reading ends where the memory ends.
    ///
    /// # Errors
    /// If a word cannot be read; those before it have been given.
    #[inline]
    fn read_words(&self, at: Addr, count: u64, mut each: impl FnMut(u64)) -> Result<(), Unreadable> {
        let mut piece = [0; PIECE];
        let mut from = at;
        let mut left = count;
        while left > 0 {
            let words = left.min(PIECE_WORDS);
            let Some(bytes) = piece.get_mut(..(words as usize).wrapping_mul(8)) else { break };
            if self.read(from, bytes).is_err() {
                return self.read_words_singly(from, words, &mut each);
            }
            let (chunks, _) = bytes.as_chunks::<8>();
            for chunk in chunks {
                each(u64::from_le_bytes(*chunk));
            }
            from = from.plus(words.wrapping_mul(8));
            left = left.saturating_sub(words);
        }
        Ok(())
    }

    /// Reads a piece of an array with an unreadable part: word by word, up to that part.
    ///
    /// # Errors
    /// If a word cannot be read.
    #[cold]
    fn read_words_singly(&self, at: Addr, count: u64, each: &mut impl FnMut(u64)) -> Result<(), Unreadable> {
        for index in 0..count {
            each(self.read_u64(at.plus(index.wrapping_mul(8)))?);
        }
        Ok(())
    }
}

impl<M: Memory + ?Sized> MemoryExt for M {}

/// The word at `offset` of bytes that were read as a whole; 0 past their end.
#[inline]
pub fn word(bytes: &[u8], offset: u32) -> u64 {
    bytes
        .get(offset as usize..)
        .and_then(|rest| rest.first_chunk::<8>())
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
