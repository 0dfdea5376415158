//! Inspects types: the C type, the name, the traversal and the size rule of their objects.

use std::collections::HashMap;

use crate::heap::python_heap::PythonHeap;
use crate::layout::encoding::TypeVisits;
use crate::layout::{FixedShape, Layout, flags};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::type_info::{Class, Traverse, Type};
use crate::heap::builtins::{self, Builtin};
use crate::heap::descriptors::find_descriptor_field;
use crate::object::memory_ext::{MemoryExt, word};

/// Classes for which it is remembered whether they define `__sizeof__`: more than any program has.
const MAX_CLASSES: usize = 1 << 20;
/// More bases than any class has.
const MAX_BASES: usize = 200;
/// More members than any `__slots__` has.
const MAX_SLOTS: u64 = 10_000;
/// The longest name of a C type.
const MAX_NAME: usize = 256;
/// The largest `tp_basicsize`, 1 GiB: no type of C has as large a struct.
const MAX_BASICSIZE: u64 = 1 << 30;

/// The fields of a type that are read at once.
struct RawType {
    at: Addr,
    metatype: Addr,
    name: Addr,
    basicsize: u64,
    itemsize: i64,
    dealloc: u64,
    flags: u64,
    traverse: u64,
    weaklistoffset: i64,
    base: Addr,
    dictoffset: i64,
    mro: Addr,
    slots: u64,
}

/// Inspects types.
#[derive(Debug)]
pub struct TypeInspector<'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    /// Whether a class defines `__sizeof__`.
    sizeofs: HashMap<Addr, bool>,
}

impl<'p, 'm, M: Memory> TypeInspector<'p, 'm, M> {
    /// A new inspector.
    pub fn new(python: &'p PythonHeap<'m, M>) -> Self {
        Self { python, sizeofs: HashMap::new() }
    }

    /// Reads the type at `at`; `None` if there is none.
    pub fn read_type(&mut self, at: Addr) -> Result<Option<Type>, Unreadable> {
        let Some(raw) = self.read_raw(at)? else { return Ok(None) };
        let python = self.python;
        let layout = python.layout;
        let chain = self.read_chain(&raw);
        // The levels that class statements made, and the nearest type of C below them.
        let c_at =
            chain.iter().position(|level| !self.is_class(level)).unwrap_or(chain.len().saturating_sub(1));
        let c_types = chain.get(c_at..).unwrap_or_default();
        let names: Vec<(&RawType, Vec<u8>)> =
            c_types.iter().filter_map(|level| Some((level, self.read_tp_name(level)?))).collect();
        let kind =
            names.iter().find_map(|(level, name)| builtins::find_builtin(name, level.basicsize, layout));
        let descriptor =
            names.iter().find_map(|(level, name)| find_descriptor_field(name, level.basicsize, layout));
        let (module, qualname) = self.read_name(&raw)?;

        // `subtype_traverse` visits its own levels, then leaves the rest to the first other traverse below.
        let ours = python.landmarks.class_traverse;
        let levels = chain.iter().take_while(|level| level.traverse == ours).count();
        let below = chain.get(levels..).unwrap_or_default();
        let bottom = below.first();
        let nothing = Ok((Traverse::Nothing, false));
        let (traverse, visits_type) = bottom.map_or(nothing, |bottom| self.read_traverse(bottom, below))?;
        let class = (raw.traverse == ours).then(|| {
            let bottom_is_heap = bottom.is_some_and(|bottom| bottom.flags & flags::HEAPTYPE != 0);
            Class {
                slots: chain.iter().take(levels).flat_map(|level| self.read_slots(level)).collect(),
                dict: bottom.is_none_or(|bottom| bottom.dictoffset != raw.dictoffset),
                visits_type: match layout.encodings.type_visits {
                    TypeVisits::Always => true,
                    TypeVisits::UnlessBaseDoes => !bottom_is_heap || matches!(traverse, Traverse::Nothing),
                },
            }
        });
        let (sizeof, size_exact) = self.read_sizeof(&raw, &chain, kind);
        Ok(Some(Type {
            at,
            base: raw.base,
            module,
            qualname,
            flags: raw.flags,
            basicsize: raw.basicsize,
            itemsize: raw.itemsize,
            dictoffset: raw.dictoffset,
            weaklistoffset: raw.weaklistoffset,
            kind,
            descriptor,
            c_size: c_types.first().map_or(raw.basicsize, |level| level.basicsize),
            manages_dict_in_c: bottom.is_some_and(|bottom| bottom.flags & flags::MANAGED_DICT != 0)
                && class.as_ref().is_none_or(|class| !class.dict),
            traverse,
            visits_type,
            class,
            sizeof,
            size_exact,
        }))
    }

    /// Reads the fields of the type at `at`; `None` unless its own type is a metatype, and so on up to `type` itself.
    fn read_raw(&self, at: Addr) -> Result<Option<RawType>, Unreadable> {
        if !at.0.is_multiple_of(4) {
            return Ok(None);
        }
        let python = self.python;
        let memory = python.memory;
        let known = &python.layout.type_object;
        let mut bytes = [0; 512];
        let Some(bytes) = bytes.get_mut(..(known.size as usize).min(512)) else { return Ok(None) };
        // The metatype first: most addresses that are no types fail here, and cheaply.
        let metatype = python.read_type_of(at)?;
        let flags = memory.read_word(metatype, known.tp_flags)?;
        if flags & flags::TYPE_SUBCLASS == 0
            || (metatype != python.landmarks.type_type && !self.is_metatype(metatype))
        {
            return Ok(None);
        }
        memory.read(at, bytes)?;
        let raw = RawType {
            at,
            metatype,
            name: Addr(word(bytes, known.tp_name)),
            basicsize: word(bytes, known.tp_basicsize),
            itemsize: word(bytes, known.tp_itemsize).cast_signed(),
            dealloc: word(bytes, known.tp_dealloc),
            flags: word(bytes, known.tp_flags),
            traverse: word(bytes, known.tp_traverse),
            weaklistoffset: word(bytes, known.tp_weaklistoffset).cast_signed(),
            base: Addr(word(bytes, known.tp_base)),
            dictoffset: word(bytes, known.tp_dictoffset).cast_signed(),
            mro: Addr(word(bytes, known.tp_mro)),
            slots: word(bytes, python.layout.var_object.ob_size),
        };
        let head = u64::from(python.layout.object.size);
        let plausible =
            (head..MAX_BASICSIZE).contains(&raw.basicsize) && raw.itemsize.unsigned_abs() < MAX_BASICSIZE;
        Ok(plausible.then_some(raw))
    }

    /// Whether a `class` statement made a type.
    fn is_class(&self, raw: &RawType) -> bool {
        raw.flags & flags::HEAPTYPE != 0 && raw.dealloc == self.python.landmarks.class_dealloc
    }

    /// Whether a type derives from `type`.
    fn is_metatype(&self, at: Addr) -> bool {
        let mut at = at;
        for _ in 0..MAX_BASES {
            if at == self.python.landmarks.type_type {
                return true;
            }
            match self.python.memory.read_pointer(at, self.python.layout.type_object.tp_base) {
                Ok(base) if !base.is_null() => at = base,
                _ => return false,
            }
        }
        false
    }

    /// A type and its bases, the type itself first.
    fn read_chain(&self, raw: &RawType) -> Vec<RawType> {
        let mut chain = Vec::new();
        let mut at = raw.at;
        while chain.len() < MAX_BASES {
            let Ok(Some(level)) = self.read_raw(at) else { break };
            at = level.base;
            chain.push(level);
        }
        chain
    }

    /// The name of a C type as its source has it, `tp_name`; `None` for a class.
    fn read_tp_name(&self, raw: &RawType) -> Option<Vec<u8>> {
        if self.is_class(raw) {
            return None;
        }
        self.python.memory.read_c_string(raw.name, MAX_NAME).ok()
    }

    /// The builtin that a C type is, by its name.
    fn read_kind(&self, raw: &RawType) -> Option<Builtin> {
        builtins::find_builtin(&self.read_tp_name(raw)?, raw.basicsize, self.python.layout)
    }

    /// The references that `tp_traverse` of `bottom`, a C type, visits, and whether it visits the object's type. It is known by the type
    /// that introduced it: the last base with the same function.
    fn read_traverse(&self, bottom: &RawType, below: &[RawType]) -> Result<(Traverse, bool), Unreadable> {
        let python = self.python;
        // Its flags do not matter: `subtype_traverse` does not check them.
        if bottom.traverse == 0 {
            return Ok((Traverse::Nothing, false));
        }
        let owner =
            below.iter().take_while(|level| level.traverse == bottom.traverse).last().unwrap_or(bottom);
        // Types that are made at run time show themselves, since 3.9.
        let visits_type = bottom.flags & flags::HEAPTYPE != 0
            && python.layout.encodings.type_visits == TypeVisits::UnlessBaseDoes;
        // A few that share a traverse with their base have more of their own to show than it has.
        for level in [bottom, owner] {
            let name = python.memory.read_c_string(level.name, MAX_NAME)?;
            if let Some(shape) = fixed(python.layout, &name, level.basicsize) {
                let visits_type = shape.visits_type && bottom.flags & flags::HEAPTYPE != 0;
                return Ok((Traverse::Members(shape), visits_type));
            }
        }
        if let Some(kind) = self.read_kind(owner).filter(|kind| kind.is_traversed()) {
            return Ok((Traverse::Known(kind), visits_type));
        }
        let is_tuple = owner.base != Addr::NULL
            && below
                .iter()
                .any(|level| level.at == owner.base && self.read_kind(level) == Some(Builtin::Tuple));
        if is_tuple {
            return Ok((Traverse::Known(Builtin::StructSequence), visits_type));
        }
        Ok((Traverse::Guess, visits_type))
    }

    /// The object slots that one class statement's `__slots__` made: `PyMemberDef`s that follow the type.
    fn read_slots(&self, level: &RawType) -> Vec<u32> {
        let python = self.python;
        let (memory, known) = (python.memory, &python.layout.member_def);
        let mut slots = Vec::new();
        let Ok(size) = memory.read_word(level.metatype, python.layout.type_object.tp_basicsize) else {
            return slots;
        };
        let first = level.at.plus(size);
        for index in 0..level.slots.min(MAX_SLOTS) {
            let member = first.plus(index.saturating_mul(known.size.into()));
            let Ok(kind) = memory.read_int(member, known.r#type) else { break };
            let Ok(offset) = memory.read_word(member, known.offset) else { break };
            // `T_OBJECT_EX` (`Include/structmember.h`).
            if kind == 16
                && let Ok(offset) = u32::try_from(offset)
            {
                slots.push(offset);
            }
        }
        slots
    }

    /// The module and the qualified name of a type (`type_module`, `type_qualname` in `Objects/typeobject.c`).
    fn read_name(&self, raw: &RawType) -> Result<(String, String), Unreadable> {
        let python = self.python;
        let (memory, layout) = (python.memory, python.layout);
        if raw.flags & flags::HEAPTYPE != 0 {
            let qualname = memory.read_pointer(raw.at, layout.heap_type_object.ht_qualname)?;
            let qualname = python.read_str(qualname)?.unwrap_or_else(|| "?".into());
            let dict = python.read_type_dict(raw.at)?;
            let module = match python.read_dict_item(dict, "__module__")? {
                Some(module) => python.read_str(module)?,
                None => None,
            };
            if let Some(module) = module {
                return Ok((module, qualname));
            }
            // `__module__` of Cython's functions describes an attribute of the functions. The name in C has the type's own module:
            // `PyType_FromSpec` keeps it as it was given.
            let module = self.read_c_name(raw)?.0;
            return Ok((module.unwrap_or_else(|| "?".into()), qualname));
        }
        let (module, name) = self.read_c_name(raw)?;
        Ok((module.unwrap_or_else(|| "builtins".to_owned()), name))
    }

    /// The module in the name of a type in C (`tp_name`), if that has one, and the rest of the name.
    fn read_c_name(&self, raw: &RawType) -> Result<(Option<String>, String), Unreadable> {
        let name = self.python.memory.read_c_string(raw.name, MAX_NAME)?;
        let name = String::from_utf8_lossy(&name);
        Ok(match name.rsplit_once('.') {
            Some((module, name)) => (Some(module.to_owned()), name.to_owned()),
            None => (None, name.into_owned()),
        })
    }

    /// Finds the first `__sizeof__` in the order of classes of a type whose objects are a `kind`, and whether sizes are exact.
    fn read_sizeof(
        &mut self,
        raw: &RawType,
        chain: &[RawType],
        kind: Option<Builtin>,
    ) -> (Option<Builtin>, bool) {
        let mut exact = true;
        for at in self.read_order(raw, chain) {
            if at == self.python.landmarks.object || !self.defines_sizeof(at) {
                continue;
            }
            let Ok(Some(level)) = self.read_raw(at) else { continue };
            if self.is_class(&level) {
                // Written in Python: its result is unknown from outside. That of C below it is known.
                exact = false;
                continue;
            }
            return match self.read_kind(&level) {
                // The size of numpy's scalars adds the bytes of the value, which are known by the builtin only.
                Some(Builtin::NumpyGeneric)
                    if !matches!(
                        kind,
                        Some(Builtin::NumpyScalar(_) | Builtin::NumpyVoid | Builtin::Bytes)
                    ) =>
                {
                    (None, false)
                }
                Some(Builtin::MultiDict) => (Some(Builtin::MultiDict), false),
                Some(sizeof) => (Some(sizeof), exact),
                None => (None, false),
            };
        }
        (None, exact)
    }

    /// The order in which attributes of a type are looked up (`tp_mro`); its bases if that cannot be read.
    fn read_order(&self, raw: &RawType, chain: &[RawType]) -> Vec<Addr> {
        let python = self.python;
        let (memory, layout) = (python.memory, python.layout);
        let mut order = Vec::new();
        let read = || {
            let count = memory.read_count(raw.mro, layout.var_object.ob_size)?;
            let items = raw.mro.plus(u64::from(layout.tuple_object.ob_item));
            memory.read_words(items, count.min(MAX_BASES as u64), |at| order.push(Addr(at)))
        };
        let mut read = read;
        if read().is_err() || order.is_empty() {
            return chain.iter().map(|level| level.at).collect();
        }
        order
    }

    fn defines_sizeof(&mut self, class: Addr) -> bool {
        if let Some(&known) = self.sizeofs.get(&class) {
            return known;
        }
        let python = self.python;
        let found = python
            .read_type_dict(class)
            .and_then(|dict| python.read_dict_item(dict, "__sizeof__"))
            .is_ok_and(|item| item.is_some());
        if self.sizeofs.len() < MAX_CLASSES {
            self.sizeofs.insert(class, found);
        }
        found
    }
}

/// The members that a C type of a fixed shape visits, by its name in C, if its basic size is that of the struct they were
/// looked up in.
fn fixed(layout: &Layout, name: &[u8], basicsize: u64) -> Option<&'static FixedShape> {
    let shapes: &'static [FixedShape] = layout.fixed;
    // A struct that ends in an array of items has one of them: the type's own size leaves it out.
    shapes.iter().find(|shape| {
        shape.tp_name.as_bytes() == name && (0..=8).contains(&u64::from(shape.size).wrapping_sub(basicsize))
    })
}
