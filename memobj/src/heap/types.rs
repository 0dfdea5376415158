//! The types of a target's objects, each looked into once, when its first object is met.

use std::collections::HashMap;
use std::rc::Rc;

use crate::addr::Addr;
use crate::layout::encoding::TypeVisits;
use crate::layout::{FixedShape, Layout};
use crate::memory::{Memory, Unreadable};

use super::access::{Access, word};
use super::kinds::{self, Kind};
use super::python::{DICT_SUBCLASS, HAVE_GC, HEAP_TYPE, MANAGED_DICT, Python, STR_SUBCLASS, TYPE_SUBCLASS};
use super::{dict, text};

/// The longest chain of bases that is followed. A bound, no fact.
const MAX_BASES: usize = 200;
/// The most members that one class statement's `__slots__` may have. A bound, no fact.
const MAX_SLOTS: u64 = 10_000;
/// The longest name of a C type.
const MAX_NAME: usize = 256;
/// The largest object of a fixed size: 1 GiB. A bound, no fact: what claims more is no type.
const MAX_BASICSIZE: u64 = 1 << 30;
/// How many addresses that are no types are remembered.
const MAX_STRANGERS: usize = 1 << 16;
/// Slots of the table in which the types of late are found without hashing. A power of two.
const HOT: usize = 512;

/// A type in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type.
#[derive(Debug, Clone)]
pub struct Type {
    /// Where it is.
    pub at: Addr,
    /// What it derives from.
    pub base: Addr,
    /// Its module, as Python says: `builtins`, `collections`; `?` if it has none.
    pub module: String,
    /// Its name in its module.
    pub qualname: String,
    /// `tp_flags`.
    pub flags: u64,
    /// `tp_basicsize`.
    pub basicsize: u64,
    /// `tp_itemsize`.
    pub itemsize: i64,
    /// `tp_dictoffset`.
    pub dictoffset: i64,
    /// `tp_weaklistoffset`.
    pub weaklistoffset: i64,
    /// What its objects are in C; `None`: nothing that is known here by name.
    pub kind: Option<Kind>,
    /// Bytes of its objects that are a struct of C's: `tp_basicsize` of the nearest type that no `class` statement made.
    pub c_size: u64,
    /// Whether that type has a dict that the interpreter manages, and visits it.
    pub manages_dict_in_c: bool,
    /// What the collector sees of its objects.
    pub traverse: Traverse,
    /// Whether the `tp_traverse` of C visits the object's type.
    pub visits_type: bool,
    /// What a `class` statement added to its objects; `None` for a type of C.
    pub class: Option<Class>,
    /// How `sys.getsizeof` weighs its objects; `None`: by their basic size and items.
    pub sizeof: Option<Kind>,
    /// Whether that is how it does, or only the best that can be known from outside.
    pub size_exact: bool,
}

/// What the `tp_traverse` of a type's C part visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traverse {
    /// Nothing: there is none.
    Nothing,
    /// What is known of this kind.
    Known(Kind),
    /// The members at these offsets.
    Members(&'static [u32]),
    /// Nobody knows: every word of the object is taken for a reference that points to an object.
    Guess,
}

/// What a `class` statement adds to the objects of a type, and `subtype_traverse` visits.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Offsets of the object slots of `__slots__`, of all levels.
    pub slots: Box<[u32]>,
    /// Whether the class statements added a dict to what C has.
    pub dict: bool,
    /// Whether the object's type is visited.
    pub visits_type: bool,
}

impl Type {
    /// Whether its objects are the collector's business.
    #[must_use]
    pub const fn is_gc(&self) -> bool {
        self.flags & HAVE_GC != 0
    }

    /// Whether it was made at run time.
    #[must_use]
    pub const fn is_heap(&self) -> bool {
        self.flags & HEAP_TYPE != 0
    }

    /// Its name as Python says it: builtins bare, all others with their module.
    #[must_use]
    pub fn name(&self) -> String {
        if self.module == "builtins" {
            self.qualname.clone()
        } else {
            format!("{}.{}", self.module, self.qualname)
        }
    }

    /// Whether its objects are types.
    #[must_use]
    pub const fn is_metatype(&self) -> bool {
        self.flags & TYPE_SUBCLASS != 0
    }
}

/// The types that were met so far. One a thread: it is filled from foreign memory alone, so that two of the same memory agree.
#[derive(Debug)]
pub struct Types<'p, 'm, M> {
    python: &'p Python<'m, M>,
    list: Vec<Rc<Type>>,
    ids: HashMap<Addr, Option<TypeId>>,
    hot: Vec<(Addr, TypeId)>,
    sizeofs: HashMap<Addr, bool>,
}

/// What is read of a type at once.
struct Raw {
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

impl<'p, 'm, M: Memory> Types<'p, 'm, M> {
    /// No types yet.
    #[must_use]
    pub fn new(python: &'p Python<'m, M>) -> Self {
        Self {
            python,
            list: Vec::new(),
            ids: HashMap::new(),
            hot: vec![(Addr::NULL, TypeId(0)); HOT],
            sizeofs: HashMap::new(),
        }
    }

    /// The Python that they are of.
    #[must_use]
    pub fn python(&self) -> &'p Python<'m, M> {
        self.python
    }

    /// Those met so far, by their [`TypeId`].
    #[must_use]
    pub fn list(&self) -> &[Rc<Type>] {
        &self.list
    }

    /// A type.
    #[must_use]
    #[inline]
    pub fn get(&self, id: TypeId) -> Option<&Rc<Type>> {
        self.list.get(id.0 as usize)
    }

    /// The type at `at`; `None` if there is none.
    #[inline]
    pub fn at(&mut self, at: Addr) -> Option<TypeId> {
        let slot = (at.0 >> 4) as usize & (HOT - 1);
        if let Some(&(hot, id)) = self.hot.get(slot)
            && hot == at
            && !at.is_null()
        {
            return Some(id);
        }
        let id = self.look_up(at)?;
        if let Some(hot) = self.hot.get_mut(slot) {
            *hot = (at, id);
        }
        Some(id)
    }

    /// The type of the object at `at`; `None` if that is no object.
    #[inline]
    pub fn of(&mut self, at: Addr) -> Option<TypeId> {
        let at = self.python.read_type_of(at).ok()?;
        self.at(at)
    }

    fn look_up(&mut self, at: Addr) -> Option<TypeId> {
        if let Some(&known) = self.ids.get(&at) {
            return known;
        }
        let id = self.read_type(at).ok().flatten().map(|found| {
            let id = TypeId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
            self.list.push(Rc::new(found));
            id
        });
        if id.is_some() || self.ids.len() < MAX_STRANGERS + self.list.len() {
            self.ids.insert(at, id);
        }
        id
    }

    /// Looks into the type at `at`. What is none, is `None`.
    fn read_type(&mut self, at: Addr) -> Result<Option<Type>, Unreadable> {
        let Some(raw) = self.read_raw(at)? else { return Ok(None) };
        let python = self.python;
        let layout = python.layout;
        let chain = self.read_chain(&raw);
        // The levels that class statements made, and the nearest type of C below them.
        let is_class =
            |raw: &Raw| raw.flags & HEAP_TYPE != 0 && raw.dealloc == python.landmarks.class_dealloc;
        let c_at = chain.iter().position(|level| !is_class(level)).unwrap_or(chain.len().saturating_sub(1));
        let c_types = chain.get(c_at..).unwrap_or_default();
        let kind = c_types.iter().find_map(|level| self.read_kind(level));
        let (module, qualname) = self.read_name(&raw)?;

        // `subtype_traverse` visits its own levels, then leaves the rest to the first other traverse below.
        let ours = python.landmarks.class_traverse;
        let levels = chain.iter().take_while(|level| level.traverse == ours).count();
        let below = chain.get(levels..).unwrap_or_default();
        let bottom = below.first();
        let nothing = Ok((Traverse::Nothing, false));
        let (traverse, visits_type) = bottom.map_or(nothing, |bottom| self.read_traverse(bottom, below))?;
        let class = (raw.traverse == ours).then(|| {
            let bottom_is_heap = bottom.is_some_and(|bottom| bottom.flags & HEAP_TYPE != 0);
            Class {
                slots: chain.iter().take(levels).flat_map(|level| self.read_slots(level)).collect(),
                dict: bottom.is_none_or(|bottom| bottom.dictoffset != raw.dictoffset),
                visits_type: match layout.encodings.type_visits {
                    TypeVisits::Always => true,
                    TypeVisits::UnlessBaseDoes => !bottom_is_heap || matches!(traverse, Traverse::Nothing),
                },
            }
        });
        let (sizeof, size_exact) = self.read_sizeof(&raw, &chain);
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
            c_size: c_types.first().map_or(raw.basicsize, |level| level.basicsize),
            manages_dict_in_c: bottom.is_some_and(|bottom| bottom.flags & MANAGED_DICT != 0)
                && class.as_ref().is_none_or(|class| !class.dict),
            traverse,
            visits_type,
            class,
            sizeof,
            size_exact,
        }))
    }

    /// What is at `at`, if that is a type: its own type says that its objects are types, and so on up to `type` itself.
    fn read_raw(&self, at: Addr) -> Result<Option<Raw>, Unreadable> {
        if at.0 % 4 != 0 {
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
        if flags & TYPE_SUBCLASS == 0
            || (metatype != python.landmarks.type_type && !self.is_metatype(metatype))
        {
            return Ok(None);
        }
        memory.read(at, bytes)?;
        let raw = Raw {
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
    fn read_chain(&self, raw: &Raw) -> Vec<Raw> {
        let mut chain = Vec::new();
        let mut at = raw.at;
        while chain.len() < MAX_BASES {
            let Ok(Some(level)) = self.read_raw(at) else { break };
            at = level.base;
            chain.push(level);
        }
        chain
    }

    /// What a type of C is, if it is known by name.
    fn read_kind(&self, raw: &Raw) -> Option<Kind> {
        let python = self.python;
        if raw.flags & HEAP_TYPE != 0 && raw.dealloc == python.landmarks.class_dealloc {
            return None;
        }
        let name = python.memory.read_c_string(raw.name, MAX_NAME).ok()?;
        kinds::known(&name, raw.basicsize, python.layout)
    }

    /// What the traverse of `bottom`, a type of C, visits, and whether that is the object's type too. It is known by the type
    /// that brought it in: the last of the bases that have the same one.
    fn read_traverse(&self, bottom: &Raw, below: &[Raw]) -> Result<(Traverse, bool), Unreadable> {
        let python = self.python;
        // Whatever its flags say: `subtype_traverse` asks no more than that.
        if bottom.traverse == 0 {
            return Ok((Traverse::Nothing, false));
        }
        let owner =
            below.iter().take_while(|level| level.traverse == bottom.traverse).last().unwrap_or(bottom);
        // Types that are made at run time show themselves, since 3.9.
        let visits_type = bottom.flags & HEAP_TYPE != 0
            && python.layout.encodings.type_visits == TypeVisits::UnlessBaseDoes;
        // A few that share a traverse with their base have more of their own to show than it has.
        for level in [bottom, owner] {
            let name = python.memory.read_c_string(level.name, MAX_NAME)?;
            if let Some(shape) = fixed(python.layout, &name, level.basicsize) {
                let visits_type = shape.visits_type && bottom.flags & HEAP_TYPE != 0;
                return Ok((Traverse::Members(shape.visited), visits_type));
            }
        }
        if let Some(kind) = self.read_kind(owner).filter(|kind| kind.is_traversed()) {
            return Ok((Traverse::Known(kind), visits_type));
        }
        let is_tuple = owner.base != Addr::NULL
            && below.iter().any(|level| level.at == owner.base && self.read_kind(level) == Some(Kind::Tuple));
        if is_tuple {
            return Ok((Traverse::Known(Kind::StructSequence), visits_type));
        }
        Ok((Traverse::Guess, visits_type))
    }

    /// The object slots that one class statement's `__slots__` made: `PyMemberDef`s that follow the type.
    fn read_slots(&self, level: &Raw) -> Vec<u32> {
        let python = self.python;
        let (memory, known) = (python.memory, &python.layout.member_def);
        let mut slots = Vec::new();
        let Ok(size) = memory.read_word(level.metatype, python.layout.type_object.tp_basicsize) else {
            return slots;
        };
        let first = level.at.plus(size);
        for index in 0..level.slots.min(MAX_SLOTS) {
            let member = first.plus(index * u64::from(known.size));
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
    fn read_name(&self, raw: &Raw) -> Result<(String, String), Unreadable> {
        let python = self.python;
        let (memory, layout) = (python.memory, python.layout);
        if raw.flags & HEAP_TYPE != 0 {
            let qualname = memory.read_pointer(raw.at, layout.heap_type_object.ht_qualname)?;
            let qualname = self.read_str(qualname)?.unwrap_or_else(|| "?".into());
            let dict = python.read_type_dict(raw.at)?;
            let module = match self.read_dict_item(dict, "__module__")? {
                Some(module) => self.read_str(module)?,
                None => None,
            };
            return Ok((module.unwrap_or_else(|| "?".into()), qualname));
        }
        let name = memory.read_c_string(raw.name, MAX_NAME)?;
        let name = String::from_utf8_lossy(&name);
        Ok(match name.rsplit_once('.') {
            Some((module, qualname)) => (module.to_owned(), qualname.to_owned()),
            None => ("builtins".to_owned(), name.into_owned()),
        })
    }

    /// A string; `None` if the object at `at` is none.
    pub(crate) fn read_str(&self, at: Addr) -> Result<Option<String>, Unreadable> {
        let python = self.python;
        let flags = python.memory.read_word(python.read_type_of(at)?, python.layout.type_object.tp_flags)?;
        if flags & STR_SUBCLASS == 0 {
            return Ok(None);
        }
        text::read_text(python.memory, python.layout, at).map(Some)
    }

    /// An item of a dict; `None` if the object at `at` is no dict, or has none.
    pub(crate) fn read_dict_item(&self, at: Addr, name: &str) -> Result<Option<Addr>, Unreadable> {
        let python = self.python;
        let flags = python.memory.read_word(python.read_type_of(at)?, python.layout.type_object.tp_flags)?;
        if flags & DICT_SUBCLASS == 0 {
            return Ok(None);
        }
        dict::read_item(python.memory, python.layout, at, name)
    }

    /// How many items an object of a named tuple of C has, hidden ones too (`REAL_SIZE_TP` in `Objects/structseq.c`): the
    /// `n_fields` of its type.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read_struct_sequence_fields(&self, of: &Type) -> Result<u64, Unreadable> {
        let python = self.python;
        let dict = python.read_type_dict(of.at)?;
        let Some(fields) = self.read_dict_item(dict, "n_fields")? else { return Ok(0) };
        // A small `int`: its first digit.
        let digit = python.memory.read_int(fields, python.layout.long_object.ob_digit)?;
        Ok(u64::try_from(digit).unwrap_or(0))
    }

    /// Whether an object is at `at`, though nothing says so: its type is one, it is referred to, and what stands at its head is
    /// what stands there in an object. Tables of C's, of names and types side by side, look much like objects.
    #[inline]
    pub(crate) fn is_object(&mut self, at: Addr) -> bool {
        if at.0 < 4096 || at.0 % 4 != 0 || at.0 >> 47 != 0 {
            return false;
        }
        let Some(of) = self.of(at).and_then(|id| self.get(id)) else { return false };
        let collected = of.is_gc() && !of.is_metatype();
        self.is_referred(at) && (!collected || self.is_linked(at).unwrap_or(false))
    }

    /// Whether the count of references is one. A block that was freed has its type still, and where the count was the address of
    /// the next free one (`pymalloc_free` in `Objects/obmalloc.c`), which has bits that no count has: not even the flags that
    /// 3.14 has in the top 16 (`ob_flags` in `Include/object.h`).
    fn is_referred(&self, at: Addr) -> bool {
        const OF_ADDRESSES: u64 = 0x0000_ffff_0000_0000;
        let known = &self.python.layout.object;
        let memory = self.python.memory;
        let counted = |member| memory.read_word(at, member);
        match (known.ob_refcnt, known.ob_ref_local, known.ob_ref_shared) {
            (Some(count), ..) => counted(count).is_ok_and(|count| count != 0 && count & OF_ADDRESSES == 0),
            // One count of the thread that owns the object, and one, above two bits of flags, of all others.
            (None, Some(local), Some(shared)) => {
                memory.read_int(at, local).is_ok_and(|count| count != 0)
                    || counted(shared).is_ok_and(|count| count >> 2 != 0)
            }
            _ => true,
        }
    }

    /// Whether an object's head is that of one that the collector may track: it is in no list, or its neighbour in the list
    /// knows it; in free-threaded builds, its lock and its marks have values that these may have.
    fn is_linked(&self, at: Addr) -> Result<bool, Unreadable> {
        let memory = self.python.memory;
        let (known, head) = (&self.python.layout.object, &self.python.layout.gc_head);
        if let (Some(lock), Some(marks)) = (known.ob_mutex, known.ob_gc_bits) {
            return Ok(memory.read_byte(at, lock)? <= 3 && memory.read_byte(at, marks)? < 0x80);
        }
        let link = at.minus(u64::from(head.size));
        let next = memory.read_pointer(link, head._gc_next)?.without(3);
        Ok(next.is_null() || memory.read_pointer(next, head._gc_prev)?.without(3) == link)
    }

    /// How `sys.getsizeof` weighs objects of a type: by the first `__sizeof__` in its order of classes.
    fn read_sizeof(&mut self, raw: &Raw, chain: &[Raw]) -> (Option<Kind>, bool) {
        let mut exact = true;
        for at in self.read_order(raw, chain) {
            if at == self.python.landmarks.object || !self.defines_sizeof(at) {
                continue;
            }
            let Ok(Some(level)) = self.read_raw(at) else { continue };
            if level.flags & HEAP_TYPE != 0 && level.dealloc == self.python.landmarks.class_dealloc {
                // Written in Python: what it would say cannot be known from outside; what C says below it, can.
                exact = false;
                continue;
            }
            return self.read_kind(&level).map_or((None, false), |kind| (Some(kind), exact));
        }
        (None, exact)
    }

    /// The order in which attributes of a type are looked up (`tp_mro`); its bases if that cannot be read.
    fn read_order(&self, raw: &Raw, chain: &[Raw]) -> Vec<Addr> {
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
            .and_then(|dict| self.read_dict_item(dict, "__sizeof__"))
            .is_ok_and(|item| item.is_some());
        if self.sizeofs.len() < MAX_STRANGERS + self.list.len() {
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
