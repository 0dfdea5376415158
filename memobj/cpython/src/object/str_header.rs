//! The contents of strings, for names only: of types, modules, attributes, functions and threads.
//!
//! Facts: `Include/cpython/unicodeobject.h`.

use crate::layout::{BitField, Layout};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::memory_ext::MemoryExt;

/// The longest name that is read, in characters. Longer ones are cut.
const LIMIT: u64 = 1024;

/// The head of a `str`.
#[derive(Debug, Clone, Copy)]
pub struct StrHeader {
    /// Characters.
    pub length: u64,
    /// Bytes of a character: 1, 2 or 4; 0 in a string that is not ready (3.11 and older).
    pub kind: u64,
    /// Whether the characters follow the head.
    pub compact: bool,
    /// Whether all are ASCII.
    pub ascii: bool,
    /// Whether the characters are stored yet (3.11 and older; always true later).
    pub ready: bool,
}

impl StrHeader {
    /// Reads the head of the `str` at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    #[inline]
    pub fn read<M: Memory + ?Sized>(memory: &M, layout: &Layout, at: Addr) -> Result<Self, Unreadable> {
        let known = &layout.ascii_object;
        // All its bits lie in eight bytes, wherever a build puts them.
        let state = memory.read_word(at, known.state)?;
        let bits = |field: BitField| field.extract(state, known.state);
        Ok(Self {
            length: memory.read_count(at, known.length)?,
            kind: bits(known.kind),
            compact: bits(known.compact) != 0,
            ascii: bits(known.ascii) != 0,
            ready: known.ready.is_none_or(|ready| bits(ready) != 0),
        })
    }

    /// The address of the characters of the string at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_data<M: Memory + ?Sized>(
        &self,
        memory: &M,
        layout: &Layout,
        at: Addr,
    ) -> Result<Addr, Unreadable> {
        if !self.compact {
            return memory.read_pointer(at, layout.unicode_object.data);
        }
        let head = if self.ascii { layout.ascii_object.size } else { layout.compact_unicode_object.size };
        Ok(at.plus(u64::from(head)))
    }
}

/// The string at `at`, which must be a `str`; a long one is cut, and ends with `…` then.
///
/// # Errors
/// If it cannot be read.
pub fn read_text<M: Memory + ?Sized>(memory: &M, layout: &Layout, at: Addr) -> Result<String, Unreadable> {
    let head = StrHeader::read(memory, layout, at)?;
    let data = head.read_data(memory, layout, at)?;
    let length = head.length.min(LIMIT) as usize;
    let mut bytes = vec![0; length.saturating_mul(head.kind.min(4) as usize)];
    memory.read(data, &mut bytes)?;
    let mut text: String = match head.kind {
        // One byte a character: Latin-1, of which ASCII is a part.
        1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
        2 => {
            let (units, _) = bytes.as_chunks::<2>();
            units.iter().map(|unit| letter(u32::from(u16::from_le_bytes(*unit)))).collect()
        }
        4 => {
            let (units, _) = bytes.as_chunks::<4>();
            units.iter().map(|unit| letter(u32::from_le_bytes(*unit))).collect()
        }
        _ => String::new(),
    };
    if head.length > LIMIT {
        text.push('…');
    }
    Ok(text)
}

/// A character; the replacement character for a lone surrogate or an invalid code.
fn letter(code: u32) -> char {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether the string at `at` is `text`, which is ASCII and short; false if it is unreadable.
pub fn is_text<M: Memory + ?Sized>(memory: &M, layout: &Layout, at: Addr, text: &str) -> bool {
    let mut bytes = [0; 64];
    let compare = || {
        let head = StrHeader::read(memory, layout, at)?;
        if !(head.ascii && head.compact) || head.length != text.len() as u64 {
            return Ok(false);
        }
        let Some(bytes) = bytes.get_mut(..text.len()) else { return Ok(false) };
        memory.read(at.plus(u64::from(layout.ascii_object.size)), bytes)?;
        Ok::<bool, Unreadable>(bytes == text.as_bytes())
    };
    let mut compare = compare;
    compare().unwrap_or(false)
}
