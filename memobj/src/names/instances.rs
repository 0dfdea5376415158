//! Names of the references of instances, of types, and of C types with members.
//!
//! Facts: `PyMemberDef` in `Include/structmember.h` and `Include/descrobject.h`; `Modules/_threadmodule.c` for `threading.local`;
//! where attributes are, as in [`heap`](memobj_cpython::heap).

use memobj_cpython::layout::flags;
use std::sync::Arc;

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::heap::instance::{InlineValues, read_dict_slot};
use memobj_cpython::heap::types::Type;
use memobj_cpython::layout::encoding::InstanceAttributes;
use memobj_cpython::object::dict::{KeysTable, first_value};
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::{MemberNames, NameReader, Reference};

/// More bases than any class has.
const MAX_BASES: usize = 200;
/// More members than any type has.
const MAX_MEMBERS: u64 = 10_000;
/// The longest name of a member.
const MAX_NAME: usize = 256;
/// The largest offset of a member.
const MAX_MEMBER_OFFSET: u32 = 1 << 20;

impl<M: Memory> NameReader<'_, '_, M> {
    /// Finds an attribute of an object itself, in a slot, in its dict or its values; nothing of its class, nothing computed.
    pub fn attribute(&mut self, at: Addr, name: &str) -> Option<Addr> {
        let of = self.type_of(at)?;
        if of.class.as_ref().is_some_and(|class| !class.slots.is_empty()) {
            let slot =
                self.members_of(of.at).iter().find(|(_, known)| &**known == name).map(|&(offset, _)| offset);
            if let Some(slot) = slot {
                return self.objects.read_pointer(at, slot).filter(|to| !to.is_null());
            }
        }
        self.objects.read_attribute(at, name)
    }

    /// The names of attributes of a class's objects, as far as the class knows them: slots, and the keys that its objects share.
    pub fn attributes_of(&mut self, of: &Type) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        if of.class.as_ref().is_some_and(|class| !class.slots.is_empty()) {
            found.extend(self.members_of(of.at).iter().map(|(_, name)| Arc::clone(name)));
        }
        let (memory, layout) = (self.python.memory, self.python.layout);
        let keys = memory.read_pointer(of.at, layout.heap_type_object.ht_cached_keys);
        if let Some(keys) = keys.ok().filter(|keys| of.is_heap() && !keys.is_null())
            && let Ok(keys) = KeysTable::read(memory, layout, keys)
        {
            // Keys before an unreadable one are good.
            let _ = keys.read_entries(memory, |key, _| {
                found.extend(self.text(key).filter(|_| !key.is_null()));
            });
        }
        found
    }

    /// Whether the objects of a type may have a [namespace](Self::namespace).
    pub fn has_namespace(of: &Type) -> bool {
        matches!(of.kind, Some(Builtin::Module | Builtin::Type))
            || of.dictoffset != 0
            || of.flags & flags::MANAGED_DICT != 0
    }

    /// The dict of a module, a class or an instance: its keys are names, not data.
    pub fn namespace(&mut self, at: Addr) -> Option<Addr> {
        let of = self.type_of(at)?;
        let mut found = None;
        let mut each = |to: Addr, reference: Reference| {
            if reference == Reference::Internal {
                found = Some(to);
            }
        };
        match of.kind {
            Some(Builtin::Module) => {
                let dict = (self.python.layout.module_object.md_dict, Reference::Internal);
                self.visit_fields(at, [dict], &mut each);
            }
            Some(Builtin::Type) => self.visit_type(at, &mut each),
            _ => self.visit_instance(at, &of, &mut each),
        }
        found
    }

    /// Visits the references that a `class` statement adds: slots, attributes.
    pub(super) fn visit_instance(&mut self, at: Addr, of: &Type, each: &mut impl FnMut(Addr, Reference)) {
        if of.class.as_ref().is_some_and(|class| !class.slots.is_empty()) {
            self.visit_members(at, of.at, each);
        }
        if of.is_metatype() {
            return;
        }
        let _ = self.visit_attributes(at, of, each);
    }

    /// Visits the attributes in an object's own values, and its dict.
    fn visit_attributes(
        &mut self,
        at: Addr,
        of: &Type,
        each: &mut impl FnMut(Addr, Reference),
    ) -> Result<(), Unreadable> {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let mut dict_at = |slot: Addr| -> Result<(), Unreadable> {
            let dict = memory.read_pointer(slot, 0)?;
            if !dict.is_null() {
                each(dict, Reference::Internal);
            }
            Ok(())
        };
        if of.flags & flags::MANAGED_DICT == 0 {
            if let Some(slot) = read_dict_slot(self.python, at, of)? {
                dict_at(slot)?;
            }
            return Ok(());
        }
        match layout.encodings.instance_attributes {
            InstanceAttributes::DictOffset => {
                if let Some(slot) = read_dict_slot(self.python, at, of)? {
                    dict_at(slot)?;
                }
                Ok(())
            }
            InstanceAttributes::ValuesAndDict { values_before, dict_before } => {
                dict_at(at.minus(u64::from(dict_before)))?;
                let array = memory.read_pointer(at.minus(u64::from(values_before)), 0)?;
                if array.is_null() { Ok(()) } else { self.visit_values(of, first_value(layout, array), each) }
            }
            InstanceAttributes::TaggedWord { word_before, .. } => {
                let word = memory.read_word(at.minus(u64::from(word_before)), 0)?;
                if word & 1 != 0 {
                    return self.visit_values(of, first_value(layout, Addr(word.wrapping_add(1))), each);
                }
                if word != 0 {
                    each(Addr(word), Reference::Internal);
                }
                Ok(())
            }
            InstanceAttributes::InlineValues { dict_before, .. } => {
                dict_at(at.minus(u64::from(dict_before)))?;
                if of.flags & flags::INLINE_VALUES == 0 {
                    return Ok(());
                }
                let values = InlineValues::read(self.python, at, of)?;
                if values.valid { self.visit_values(of, values.first, each) } else { Ok(()) }
            }
        }
    }

    /// Visits the values of an instance, by the names in its class.
    fn visit_values(
        &mut self,
        of: &Type,
        first: Addr,
        each: &mut impl FnMut(Addr, Reference),
    ) -> Result<(), Unreadable> {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let keys = memory.read_pointer(of.at, layout.heap_type_object.ht_cached_keys)?;
        if keys.is_null() {
            return Ok(());
        }
        let mut at = first;
        KeysTable::read(memory, layout, keys)?.read_entries(memory, |key, _| {
            if let Ok(value) = memory.read_pointer(at, 0)
                && !value.is_null()
                && let Some(name) = self.text(key)
            {
                each(value, Reference::Attribute(name));
            }
            at = at.plus(8);
        })
    }

    /// The members of a type and its bases that are references, with their offsets.
    fn members_of(&mut self, class: Addr) -> MemberNames {
        if let Some(known) = self.members.get(&class) {
            return Arc::clone(known);
        }
        let (memory, layout) = (self.python.memory, self.python.layout);
        let known = &layout.member_def;
        let mut found: Vec<(u32, Arc<str>)> = Vec::new();
        let mut level = class;
        for _ in 0..MAX_BASES {
            if level.is_null() {
                break;
            }
            let mut member = memory.read_pointer(level, layout.type_object.tp_members).unwrap_or(Addr::NULL);
            for _ in 0..MAX_MEMBERS {
                let Ok(name) = memory.read_pointer(member, known.name) else { break };
                if name.is_null() {
                    break;
                }
                // `T_OBJECT` and `T_OBJECT_EX`.
                let is_object =
                    memory.read_int(member, known.r#type).is_ok_and(|kind| kind == 6 || kind == 16);
                let offset = memory.read_word(member, known.offset).ok().and_then(|o| u32::try_from(o).ok());
                if let Some(offset) = offset.filter(|&offset| is_object && offset < MAX_MEMBER_OFFSET)
                    && let Ok(name) = memory.read_c_string(name, MAX_NAME)
                {
                    found.push((offset, String::from_utf8_lossy(&name).into()));
                }
                member = member.plus(u64::from(known.size));
            }
            level = memory.read_pointer(level, layout.type_object.tp_base).unwrap_or(Addr::NULL);
        }
        let found: MemberNames = found.into();
        self.members.insert(class, Arc::clone(&found));
        found
    }

    fn visit_members(&mut self, at: Addr, class: Addr, each: &mut impl FnMut(Addr, Reference)) {
        let members = self.members_of(class);
        let fields = members.iter().map(|(offset, name)| (*offset, Reference::Attribute(Arc::clone(name))));
        self.visit_fields(at, fields, each);
    }

    /// Visits the references of a C type from members with names, or with a known layout.
    pub(super) fn visit_other(&mut self, at: Addr, of: &Type, each: &mut impl FnMut(Addr, Reference)) {
        self.visit_members(at, of.at, each);
        if of.name() == "_thread._local" {
            self.visit_thread_local(at, of, each);
        }
        if let Some(shape) = Self::shape(of) {
            self.visit_shape(at, shape, each);
        }
    }

    /// Visits the one dict of a `threading.local` that has a dict for each thread: `dummies` until 3.12, then `localdicts`. Its struct is
    /// in no layout; the dict is found by its values, which are all dicts.
    fn visit_thread_local(&mut self, at: Addr, of: &Type, each: &mut impl FnMut(Addr, Reference)) {
        let mut dicts = Vec::new();
        crate::object_graph::read_references(&mut self.types, at, of, &mut |to, _| dicts.push(to));
        for dict in dicts {
            let pairs = self.objects.read_pairs(dict, usize::MAX);
            if !pairs.is_empty()
                && pairs.iter().all(|&(_, value)| self.objects.is_instance(value, flags::DICT_SUBCLASS))
            {
                each(dict, Reference::ThreadLocals);
            }
        }
    }

    /// Visits the references of a type.
    pub(super) fn visit_type(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        if let Ok(dict) = self.python.read_type_dict(at)
            && !dict.is_null()
        {
            each(dict, Reference::Internal);
        }
        let known = &self.python.layout.type_object;
        let members = [
            (known.tp_mro, "__mro__"),
            (known.tp_bases, "__bases__"),
            (known.tp_base, "__base__"),
            (known.tp_subclasses, "__subclasses__"),
        ];
        let fields = members.map(|(offset, name)| (offset, Reference::Attribute(name.into())));
        self.visit_fields(at, fields, each);
    }
}
