//! The tables inside of dicts.
//!
//! Facts: `Include/internal/pycore_dict.h` and `Objects/dictobject.c` of 3.11 to 3.14; `Objects/dict-common.h` of 3.8 to 3.10.

use crate::layout::Layout;
use crate::layout::encoding::DictKeysEncoding;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::memory_ext::MemoryExt;

/// A keys table (`PyDictKeysObject`): of one dict, or shared by the dicts of a class's instances.
#[derive(Debug, Clone, Copy)]
pub struct KeysTable {
    /// The number of its users; 1 if it belongs to one dict alone.
    pub refcount: i64,
    /// Whether its keys may be other than plain strings.
    pub generality: KeyKind,
    /// Its first entry.
    pub entries: Addr,
    /// Bytes from one entry to the next.
    pub stride: u32,
    /// The offset of the key in an entry.
    pub key: u32,
    /// The offset of the value in an entry.
    pub value: u32,
    /// Entries that were ever written, deleted ones too.
    pub used: u64,
    /// The entries that it has room for.
    pub room: u64,
    /// The values that a dict which shares this table has room for.
    pub shared_room: u64,
    /// The bytes of the whole table.
    pub bytes: u64,
}

/// Whether the keys of a table may be other than plain strings: then a dict's `tp_traverse` visits them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// All keys are plain strings; they are not visited.
    Strings,
    /// Keys of any type.
    Any,
    /// It depends on the lookup function at this address.
    Lookup(u64),
}

/// Entries that a table of `size` slots has room for (`USABLE_FRACTION`).
const fn usable(size: u64) -> u64 {
    (size << 1) / 3
}

impl KeysTable {
    /// Reads a table's header.
    ///
    /// # Errors
    /// It cannot be read, or is not a table: its size is no power of two, or too large.
    #[inline]
    pub fn read<M: Memory + ?Sized>(memory: &M, layout: &Layout, at: Addr) -> Result<Self, Unreadable> {
        let known = &layout.dict_keys;
        let none = Unreadable { at };
        let refcount = memory.read_signed(at, known.dk_refcnt)?;
        let used = memory.read_count(at, known.dk_nentries)?;
        let free = memory.read_count(at, known.dk_usable)?;
        let indices = at.plus(u64::from(known.dk_indices));
        let entry = &layout.dict_key_entry;
        let general = (entry.size, entry.me_key, entry.me_value);
        let (size, index_bytes, generality, (stride, key, value), shared_room) =
            match layout.encodings.dict_keys {
                DictKeysEncoding::Lookup => {
                    let size = memory.read_word(at, known.dk_size.ok_or(none)?)?;
                    let lookup = memory.read_word(at, known.dk_lookup.ok_or(none)?)?;
                    if size > 1 << 40 {
                        return Err(none);
                    }
                    let width = match size {
                        0..=0xff => 1,
                        0x100..=0xffff => 2,
                        0x1_0000..=0xffff_ffff => 4,
                        _ => 8,
                    };
                    (size, size.saturating_mul(width), KeyKind::Lookup(lookup), general, u64::MAX)
                }
                DictKeysEncoding::Kinds => {
                    let log2_size = memory.read_byte(at, known.dk_log2_size.ok_or(none)?)?;
                    let log2_bytes = memory.read_byte(at, known.dk_log2_index_bytes.ok_or(none)?)?;
                    let kind = memory.read_byte(at, known.dk_kind.ok_or(none)?)?;
                    if log2_size > 40 || log2_bytes > 43 {
                        return Err(none);
                    }
                    let (generality, entry) = if kind == 0 {
                        (KeyKind::Any, general)
                    } else {
                        let entry = layout.dict_unicode_entry.as_ref().ok_or(none)?;
                        (KeyKind::Strings, (entry.size, entry.me_key, entry.me_value))
                    };
                    (1 << log2_size, 1 << log2_bytes, generality, entry, used.saturating_add(free))
                }
            };
        let room = usable(size);
        Ok(Self {
            refcount,
            generality,
            entries: indices.plus(index_bytes),
            stride,
            key,
            value,
            used: used.min(room),
            room,
            shared_room: shared_room.min(room),
            bytes: u64::from(known.dk_indices)
                .saturating_add(index_bytes)
                .saturating_add(room.saturating_mul(stride.into())),
        })
    }

    /// Calls `each` with the key and the value of every entry; a deleted one has a null value, and so has every entry of a
    /// shared table.
    ///
    /// # Errors
    /// If an entry cannot be read; those before it have been given.
    #[inline]
    pub fn read_entries<M: Memory + ?Sized>(
        &self,
        memory: &M,
        mut each: impl FnMut(Addr, Addr),
    ) -> Result<(), Unreadable> {
        // Words of an entry: (hash, key, value) or (key, value), in the order of the offsets.
        let words = u64::from(self.stride / 8).max(1);
        let (key_word, value_word) = (u64::from(self.key / 8), u64::from(self.value / 8));
        let mut index = 0_u64;
        let mut key = Addr::NULL;
        let mut value = Addr::NULL;
        memory.read_words(self.entries, self.used.saturating_mul(words), |word| {
            if index == key_word {
                key = Addr(word);
            }
            if index == value_word {
                value = Addr(word);
            }
            index = index.wrapping_add(1);
            if index == words {
                index = 0;
                each(key, value);
            }
        })
    }
}

/// The value of a string key in a dict, combined or split; `None` if it is not there.
///
/// Compares the keys one by one: for the few dicts of modules and classes in which names are looked up.
///
/// # Errors
/// If the dict cannot be read.
pub fn read_item<M: Memory + ?Sized>(
    memory: &M,
    layout: &Layout,
    dict: Addr,
    name: &str,
) -> Result<Option<Addr>, Unreadable> {
    let table = memory.read_pointer(dict, layout.dict_object.ma_keys)?;
    let values = memory.read_pointer(dict, layout.dict_object.ma_values)?;
    let keys = KeysTable::read(memory, layout, table)?;
    let mut found = None;
    let mut offset = 0_u64;
    keys.read_entries(memory, |key, value| {
        if found.is_none() && !key.is_null() && super::str_header::is_text(memory, layout, key, name) {
            found = Some((offset, value));
        }
        offset = offset.saturating_add(8);
    })?;
    let Some((offset, value)) = found else { return Ok(None) };
    let value =
        if values.is_null() { value } else { memory.read_addr(first_value(layout, values).plus(offset))? };
    Ok((!value.is_null()).then_some(value))
}

/// The first value of a values array.
#[inline]
pub fn first_value(layout: &Layout, array: Addr) -> Addr {
    array.plus(layout.dict_values.as_ref().map_or(0, |values| u64::from(values.values)))
}
