//! Memory around an object: what stands before it, and the values of its attributes.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::sizer::ObjectSizer;
use crate::heap::instance;
use crate::layout::encoding::{GcHeader, GetsizeofPrefix, InstanceAttributes, SplitValues};
use crate::layout::{Layout, flags};
use crate::object::dict::KeysTable;
use crate::object::memory_ext::MemoryExt;

/// Bytes before an object of a type with these `tp_flags`: the collector's header if `collected`, and two words if the interpreter
/// manages the object's dict or weak references.
#[inline]
pub fn prefix_bytes(layout: &Layout, tp_flags: u64, collected: bool) -> u64 {
    let header = match layout.encodings.gc_header {
        GcHeader::Links if collected => u64::from(layout.gc_head.size),
        GcHeader::Links | GcHeader::Bits => 0,
    };
    let managed = match layout.encodings.instance_attributes {
        InstanceAttributes::DictOffset => 0,
        InstanceAttributes::ValuesAndDict { .. } => flags::MANAGED_DICT,
        InstanceAttributes::TaggedWord { .. } | InstanceAttributes::InlineValues { .. } => {
            flags::MANAGED_DICT | flags::MANAGED_WEAKREF
        }
    };
    header.saturating_add(if tp_flags & managed != 0 { 16 } else { 0 })
}

impl<M: Memory> ObjectSizer<'_, '_, M> {
    /// The bytes before the object that `getsizeof` counts.
    #[inline]
    pub fn prefix(&self) -> Result<u64, Unreadable> {
        let collected = match self.layout.encodings.getsizeof_prefix {
            // `tp_is_gc`, which only `type` has (`type_is_gc`): a static type is not the collector's.
            GetsizeofPrefix::PerObject | GetsizeofPrefix::ByTypeAndObject => {
                self.ty.is_gc() && (!self.ty.is_metatype() || self.python.read_is_heap_type(self.at)?)
            }
            GetsizeofPrefix::ByMetatype => self.ty.is_gc(),
        };
        Ok(prefix_bytes(self.layout, self.ty.flags, collected))
    }

    /// The values of attributes that are in no dict, and what stands around them (`new_values` and `init_inline_values` in
    /// `Objects/dictobject.c`).
    #[inline]
    pub fn overhead(&self) -> Result<u64, Unreadable> {
        if self.ty.flags & flags::MANAGED_DICT == 0 {
            return Ok(0);
        }
        let (memory, layout) = (self.memory, self.layout);
        let array = match layout.encodings.instance_attributes {
            InstanceAttributes::DictOffset => return Ok(0),
            InstanceAttributes::ValuesAndDict { values_before, .. } => {
                memory.read_pointer(self.at.minus(u64::from(values_before)), 0)?
            }
            InstanceAttributes::TaggedWord { word_before, .. } => {
                let word = memory.read_word(self.at.minus(u64::from(word_before)), 0)?;
                if word & 1 == 0 { Addr::NULL } else { Addr(word.wrapping_add(1)) }
            }
            InstanceAttributes::InlineValues { .. } => {
                if self.ty.flags & flags::INLINE_VALUES == 0 {
                    return Ok(0);
                }
                let values = instance::InlineValues::read(self.python, self.at, self.ty)?;
                let head = layout.dict_values.map_or(0, |known| u64::from(known.values));
                // Values, and a byte each for the order of insertion. A capacity is one byte.
                let order = values.capacity.checked_next_multiple_of(8).unwrap_or(0);
                return Ok(head.saturating_add(values.capacity.saturating_mul(8)).saturating_add(order));
            }
        };
        if array.is_null() || layout.encodings.split_values != SplitValues::Prefixed {
            return Ok(0);
        }
        // The byte before the values is how many bytes stand before them.
        let before = u64::from(memory.read_u8(array.minus(1))?);
        let keys = memory.read_pointer(self.ty.at, layout.heap_type_object.ht_cached_keys)?;
        let room = if keys.is_null() { 0 } else { KeysTable::read(memory, layout, keys)?.shared_room };
        Ok(before.saturating_add(room.saturating_mul(8)))
    }
}
