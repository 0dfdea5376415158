//! Reads single Python objects: the text of a name, an entry of a dict, an attribute.
//!
//! It is made for names and small values; the heap has readers of its own, made for speed. Values that are invalid or cannot be read are
//! `None`.

pub mod dict;
pub mod memory_ext;
pub mod str_header;

use std::ops::ControlFlow;

use crate::layout::encoding::{InstanceAttributes, LongEncoding};
use crate::layout::{Layout, flags};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use dict::KeysTable;
use memory_ext::MemoryExt;
use str_header::StrHeader;

/// The longest name that is read; longer ones are cut.
const NAME_LIMIT: usize = 1 << 10;

/// Reads single objects of a target.
#[derive(Clone, Copy)]
pub struct Objects<'a> {
    /// Their memory.
    pub memory: &'a dyn Memory,
    /// Their layout.
    pub layout: &'a Layout,
}

impl<'a> Objects<'a> {
    /// Reads the objects in `memory`.
    pub const fn new(memory: &'a dyn Memory, layout: &'a Layout) -> Self {
        Self { memory, layout }
    }

    /// The pointer in a field of the struct at `at`.
    pub fn read_pointer(&self, at: Addr, offset: u32) -> Option<Addr> {
        self.memory.read_addr(at.plus(offset.into())).ok()
    }

    /// The type of an object.
    pub fn read_type_of(&self, object: Addr) -> Option<Addr> {
        self.read_pointer(object, self.layout.object.ob_type)
    }

    /// `tp_name` of a type: of static types with their module before it, of heap types the bare name.
    pub fn read_type_name(&self, ty: Addr) -> Option<String> {
        let name = self.read_pointer(ty, self.layout.type_object.tp_name)?;
        let name = self.memory.read_c_string(name, NAME_LIMIT).ok()?;
        String::from_utf8(name).ok()
    }

    /// `tp_name` of an object's type.
    pub fn read_type_name_of(&self, object: Addr) -> Option<String> {
        self.read_type_name(self.read_type_of(object)?)
    }

    /// `tp_flags` of a type.
    pub fn read_flags(&self, ty: Addr) -> Option<u64> {
        self.memory.read_u64(ty.plus(self.layout.type_object.tp_flags.into())).ok()
    }

    /// Whether the type of an object has a flag: [`flags::LIST_SUBCLASS`] is of lists, and of all that derive from `list`.
    pub fn is_instance(&self, object: Addr, flag: u64) -> bool {
        self.read_type_of(object).and_then(|ty| self.read_flags(ty)).is_some_and(|flags| flags & flag != 0)
    }

    /// The number in a field of the struct at `at`, as a size; a negative one is none.
    fn read_size(&self, at: Addr, offset: u32) -> Option<u64> {
        let size = self.memory.read_u64(at.plus(offset.into())).ok()?;
        i64::try_from(size).is_ok().then_some(size)
    }

    /// The length of a list, a tuple or a bytes.
    pub fn read_length(&self, object: Addr) -> Option<u64> {
        self.is_instance(object, flags::LIST_SUBCLASS | flags::TUPLE_SUBCLASS | flags::BYTES_SUBCLASS)
            .then_some(())?;
        self.read_size(object, self.layout.var_object.ob_size)
    }

    /// The bytes of a `bytes` object; none if it has more than `limit`.
    pub fn read_bytes(&self, object: Addr, limit: u64) -> Option<Vec<u8>> {
        self.is_instance(object, flags::BYTES_SUBCLASS).then_some(())?;
        let length = self.read_length(object).filter(|&length| length <= limit)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.memory.read(object.plus(self.layout.bytes_object.ob_sval.into()), &mut bytes).ok()?;
        Some(bytes)
    }

    /// The text of a `str` that is a name, cut to 1,024 characters.
    pub fn read_name(&self, object: Addr) -> Option<String> {
        self.is_instance(object, flags::UNICODE_SUBCLASS).then_some(())?;
        str_header::read_text(self.memory, self.layout, object).ok()
    }

    /// Whether a `str` is `name`.
    pub fn is_named(&self, object: Addr, name: &str) -> bool {
        let length = |text: StrHeader| text.length == name.chars().count() as u64;
        // Most names differ in length, which costs one read less than the text.
        self.is_instance(object, flags::UNICODE_SUBCLASS)
            && StrHeader::read(self.memory, self.layout, object).is_ok_and(length)
            && str_header::read_text(self.memory, self.layout, object).is_ok_and(|text| text == name)
    }

    /// The value of an `int` that fits; `True` is 1.
    pub fn read_integer(&self, object: Addr) -> Option<i64> {
        self.is_instance(object, flags::LONG_SUBCLASS).then_some(())?;
        let fields = &self.layout.long_object;
        let (negative, digits) = match self.layout.encodings.long {
            LongEncoding::SizeDigits => {
                let size = self.memory.read_signed(object, self.layout.var_object.ob_size).ok()?;
                (size < 0, size.unsigned_abs())
            }
            LongEncoding::LvTag => {
                let tag = self.memory.read_word(object, fields.lv_tag?).ok()?;
                // Include/internal/pycore_long.h: sign 0 is positive, 1 zero, 2 negative.
                (tag & 3 == 2, tag >> 3)
            }
        };
        // Digits of 30 bits, the lowest first (Include/cpython/longintrepr.h): three hold more than 64 bits.
        let mut value = 0_i128;
        for index in 0..digits.min(4) {
            let digit =
                fields.ob_digit.checked_add(u32::try_from(index).ok()?.checked_mul(fields.digit_size)?)?;
            value |= i128::from(self.memory.read_u32(object.plus(digit.into())).ok()?)
                << 30_u64.saturating_mul(index);
        }
        (digits < 4).then_some(())?;
        i64::try_from(if negative { 0_i128.saturating_sub(value) } else { value }).ok()
    }

    /// `True` or `False`.
    pub fn read_boolean(&self, object: Addr) -> Option<bool> {
        (self.read_type_name_of(object)? == "bool").then_some(())?;
        Some(self.read_integer(object)? != 0)
    }

    /// Whether an object is `None`.
    pub fn is_none(&self, object: Addr) -> bool {
        self.read_type_name_of(object).as_deref() == Some("NoneType")
    }

    /// Reads at most `most` keys and values of a dict: none if it is not a dict, and those before the first unreadable one.
    pub fn read_pairs(&self, dict: Addr, most: usize) -> Vec<(Addr, Addr)> {
        let mut pairs = Vec::new();
        self.read_entries(dict, |key, value| {
            pairs.push((key, value));
            if pairs.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        pairs
    }

    /// Calls `each` with the key and value of every entry of a dict, in order, until it breaks off.
    ///
    /// `None` if it is not a dict, or unreadable; entries before the unreadable one were given then.
    pub fn read_entries(
        &self,
        dict: Addr,
        mut each: impl FnMut(Addr, Addr) -> ControlFlow<()>,
    ) -> Option<()> {
        self.is_instance(dict, flags::DICT_SUBCLASS).then_some(())?;
        let fields = &self.layout.dict_object;
        let keys =
            KeysTable::read(self.memory, self.layout, self.read_pointer(dict, fields.ma_keys)?).ok()?;
        let values = self.read_pointer(dict, fields.ma_values)?;
        let mut values = (!values.is_null()).then(|| dict::first_value(self.layout, values));
        let mut flow = ControlFlow::Continue(());
        let read = keys.read_entries(self.memory, |key, value| {
            if flow.is_break() {
                return;
            }
            let value = match &mut values {
                Some(next) => {
                    let value = self.memory.read_addr(*next).unwrap_or_default();
                    *next = next.plus(8);
                    value
                }
                None => value,
            };
            if !key.is_null() && !value.is_null() {
                flow = each(key, value);
            }
        });
        read.ok()
    }

    /// The value that a dict has under the string `key`.
    pub fn read_item(&self, dict: Addr, key: &str) -> Option<Addr> {
        self.is_instance(dict, flags::DICT_SUBCLASS).then_some(())?;
        dict::read_item(self.memory, self.layout, dict, key).ok()?
    }

    /// An attribute that an instance itself has in its dict or its values: no class attribute, no slot, nothing computed.
    pub fn read_attribute(&self, instance: Addr, name: &str) -> Option<Addr> {
        let ty = self.read_type_of(instance)?;
        let tp_flags = self.read_flags(ty)?;
        let of_values = |values: Addr| self.read_value(ty, values, name);
        let of_dict = |slot: Addr| {
            let dict = self.memory.read_addr(slot).ok().filter(|dict| !dict.is_null())?;
            self.read_item(dict, name)
        };
        match self.layout.encodings.instance_attributes {
            _ if tp_flags & flags::MANAGED_DICT == 0 => of_dict(self.read_dict_slot(instance, ty)?),
            // Before 3.11 the flag had another meaning, if any.
            InstanceAttributes::DictOffset => of_dict(self.read_dict_slot(instance, ty)?),
            InstanceAttributes::ValuesAndDict { values_before, dict_before } => {
                let values = self.memory.read_addr(instance.minus(values_before.into())).ok()?;
                if values.is_null() { of_dict(instance.minus(dict_before.into())) } else { of_values(values) }
            }
            InstanceAttributes::TaggedWord { word_before, .. } => {
                let word = instance.minus(word_before.into());
                let tagged = self.memory.read_addr(word).ok()?;
                if tagged.0 & 1 == 1 { of_values(tagged.plus(1)) } else { of_dict(word) }
            }
            InstanceAttributes::InlineValues { dict_before, .. } => {
                let dict = instance.minus(dict_before.into());
                if !self.memory.read_addr(dict).ok()?.is_null() || tp_flags & flags::INLINE_VALUES == 0 {
                    return of_dict(dict);
                }
                let size = self.memory.read_word(ty, self.layout.type_object.tp_basicsize).ok()?;
                of_values(instance.plus(size))
            }
        }
    }

    /// The address of the pointer to an instance's dict (`_PyObject_GetDictPtr`, Objects/object.c).
    fn read_dict_slot(&self, instance: Addr, ty: Addr) -> Option<Addr> {
        let fields = &self.layout.type_object;
        let offset = self.memory.read_signed(ty, fields.tp_dictoffset).ok().filter(|&offset| offset != 0)?;
        if offset > 0 {
            return Some(instance.plus(offset.unsigned_abs()));
        }
        let items = self.memory.read_signed(instance, self.layout.var_object.ob_size).ok()?.unsigned_abs();
        let basic = self.memory.read_word(ty, fields.tp_basicsize).ok()?;
        let size =
            basic.checked_add(items.checked_mul(self.memory.read_word(ty, fields.tp_itemsize).ok()?)?)?;
        Some(instance.plus(size.checked_next_multiple_of(8)?).minus(offset.unsigned_abs()))
    }

    /// The value of a name in the values of an instance, whose type has the names.
    fn read_value(&self, ty: Addr, values: Addr, name: &str) -> Option<Addr> {
        let keys = self.read_pointer(ty, self.layout.heap_type_object.ht_cached_keys)?;
        let keys = KeysTable::read(self.memory, self.layout, keys).ok()?;
        let mut at = dict::first_value(self.layout, values);
        let mut found = None;
        let read = keys.read_entries(self.memory, |key, _| {
            if found.is_none() && !key.is_null() && self.is_named(key, name) {
                found = self.memory.read_addr(at).ok();
            }
            at = at.plus(8);
        });
        read.ok()?;
        found.filter(|value| !value.is_null())
    }

    /// The dict of a module object.
    pub fn read_module_dict(&self, module: Addr) -> Option<Addr> {
        self.read_pointer(module, self.layout.module_object.md_dict)
            .filter(|&dict| self.is_instance(dict, flags::DICT_SUBCLASS))
    }
}
