//! References by name: how one object refers to another, as an attribute, an index, a local variable.
//!
//! Names are read on demand, for objects that are shown. Contents are not shown: of the keys of a dict only those that could be names
//! (docs/schema.md, law 7).

mod code;
mod greenlets;
mod instances;
pub mod modules;
pub mod similar;
mod struct_members;
pub mod suspended;
pub mod threads;

pub use code::{code_line, qualified_name};

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use crate::object_graph::read_references;
use memobj_cpython::heap::builtins::{Builtin, Content};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_cpython::heap::referents::EdgeKind;
use memobj_cpython::heap::types::{Type, TypeRegistry};
use memobj_cpython::object::Objects;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use modules::Origin;

/// The longest key that is taken for a name, in characters.
const LONGEST_KEY: usize = 64;

/// A reference of an object to another, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A part without a name of its own: the dict of an instance or module, the content of a cell.
    Internal,
    /// The object that it is a view of or a proxy for: the dict of a `mappingproxy`.
    Wrapped,
    /// An attribute, a slot, a member of a C type.
    Attribute(Arc<str>),
    /// The value of the key at this address.
    Entry(Addr),
    /// A key.
    Key,
    /// The item with this number.
    Index(u64),
    /// One of many: an element of a set, an item of a queue.
    Element,
    /// A local variable, also in a cell.
    Local(Arc<str>),
    /// The tuple of default arguments.
    Defaults,
    /// The dict of keyword-only default arguments.
    KeywordDefaults,
    /// The tuple of closure variables.
    Closure,
    /// A key or a result in the cache of a function.
    Cached,
    /// The awaitable that it waits for: `cr_await` of a coroutine, or of its frame.
    Awaited(&'static str),
    /// The value of a context variable.
    ContextVariable(Arc<str>),
    /// The dict of dicts of a `threading.local`, one for each thread.
    ThreadLocals,
    /// A reference without a name.
    Unnamed,
    /// A word of an unknown struct that may be a reference.
    Guessed,
}

/// Offsets and names of the members of a type that are references.
type MemberNames = Arc<[(u32, Arc<str>)]>;

/// Reads names.
pub struct NameReader<'p, 'm, M> {
    python: &'p PythonHeap<'m, M>,
    objects: Objects<'m>,
    types: TypeRegistry<'p, 'm, M>,
    /// Offsets and names of the members of types.
    members: HashMap<Addr, MemberNames>,
    /// Texts of `str` objects that were read: the names of attributes come again and again.
    texts: HashMap<Addr, Option<Arc<str>>>,
    /// Lines of code where something is suspended, by code and instruction.
    source_lines: HashMap<(Addr, u64), suspended::SourceLine>,
    /// Where code is from, by code.
    origins: HashMap<Addr, Origin>,
    /// The folder of the standard library.
    library: Option<Arc<str>>,
}

/// Texts that are kept.
const MAX_TEXTS: usize = 1 << 18;

impl<'p, 'm, M: Memory> NameReader<'p, 'm, M> {
    /// Reads the names in a Python.
    pub fn new(python: &'p PythonHeap<'m, M>) -> Self {
        Self {
            python,
            objects: Objects::new(python.memory, python.layout),
            types: TypeRegistry::new(python),
            members: HashMap::new(),
            texts: HashMap::new(),
            source_lines: HashMap::new(),
            origins: HashMap::new(),
            library: None,
        }
    }

    /// The Python.
    pub const fn python(&self) -> &'p PythonHeap<'m, M> {
        self.python
    }

    /// Access to single objects of the Python.
    pub const fn objects(&self) -> Objects<'m> {
        self.objects
    }

    /// The type of the object at `at`.
    pub fn type_of(&mut self, at: Addr) -> Option<Rc<Type>> {
        let id = self.types.type_of(at)?;
        self.types.get(id).map(Rc::clone)
    }

    /// The type that is at `at`.
    pub fn class(&mut self, at: Addr) -> Option<Rc<Type>> {
        let id = self.types.type_at(at)?;
        self.types.get(id).map(Rc::clone)
    }

    /// The text of a name: a `str`, cut to 1,024 characters.
    pub fn text(&mut self, at: Addr) -> Option<Arc<str>> {
        if let Some(known) = self.texts.get(&at) {
            return known.clone();
        }
        let text: Option<Arc<str>> = self.objects.read_name(at).map(Into::into);
        if self.texts.len() < MAX_TEXTS {
            self.texts.insert(at, text.clone());
        }
        text
    }

    /// A key of a dict, if it is a string that could be a name in a program.
    pub fn key(&mut self, at: Addr) -> Option<Arc<str>> {
        self.text(at).filter(|text| is_name(text))
    }

    /// The number of items in a container; `None` for other objects.
    pub fn entries(&mut self, at: Addr) -> Option<u64> {
        let count = self.count_address(at)?;
        self.python.memory.read_count(count, 0).ok()
    }

    /// The address of the number of items in a container; `None` for other objects.
    pub fn count_address(&mut self, at: Addr) -> Option<Addr> {
        let layout = self.python.layout;
        let offset = match self.type_of(at)?.kind?.content() {
            Content::Entries => layout.dict_object.ma_used,
            Content::Items => layout.var_object.ob_size,
            Content::Elements => layout.set_object.used,
            Content::Queued => match layout.simple_queue?.num_items {
                Some(count) => count,
                None => {
                    let list = self.python.memory.read_pointer(at, layout.simple_queue?.lst?).ok()?;
                    let is_list = self.type_of(list)?.kind == Some(Builtin::List);
                    return is_list.then(|| list.plus(layout.var_object.ob_size.into()));
                }
            },
            Content::Results => {
                let cache = self.python.memory.read_pointer(at, layout.lru_cache_object.cache).ok()?;
                // Any other object would be no cache; it may even be this one.
                let is_dict = self.type_of(cache)?.kind?.content() == Content::Entries;
                return is_dict.then(|| cache.plus(layout.dict_object.ma_used.into()));
            }
            Content::Value | Content::Other => return None,
        };
        Some(at.plus(offset.into()))
    }

    /// Calls `each` with every reference of the object at `at`. The most specific name of each comes first; some references come again
    /// without a name.
    pub fn visit_references(&mut self, at: Addr, mut each: impl FnMut(Addr, Reference)) {
        let Some(of) = self.type_of(at) else { return };
        self.visit_instance(at, &of, &mut each);
        self.visit_kind(at, &of, &mut each);
        read_references(&mut self.types, at, &of, &mut |to, kind| match kind {
            EdgeKind::Visited | EdgeKind::Hidden => each(to, Reference::Unnamed),
            EdgeKind::Guessed => each(to, Reference::Guessed),
            EdgeKind::Stack => {}
        });
    }

    /// The reference from one object to another, with the most specific name; `None` if there is none.
    pub fn reference(&mut self, from: Addr, to: Addr) -> Option<Reference> {
        let mut found = None;
        self.visit_references(from, |other, reference| {
            if other == to && found.is_none() {
                found = Some(reference);
            }
        });
        found
    }

    fn visit_kind(&mut self, at: Addr, of: &Type, each: &mut impl FnMut(Addr, Reference)) {
        let Some(kind) = of.kind else {
            self.visit_other(at, of, each);
            return;
        };
        let (memory, layout) = (self.python.memory, self.python.layout);
        match kind {
            Builtin::Module => {
                self.visit_fields(at, [(layout.module_object.md_dict, Reference::Internal)], each)
            }
            Builtin::DefaultDict => {
                let factory = Reference::Attribute("default_factory".into());
                self.visit_fields(at, [(layout.defdict_object.default_factory, factory)], each);
                self.visit_entries(at, each);
            }
            Builtin::OrderedDict => {
                self.visit_fields(at, [(layout.odict_object.od_inst_dict, Reference::Internal)], each);
                self.visit_entries(at, each);
            }
            Builtin::Dict | Builtin::FrozenDict => self.visit_entries(at, each),
            Builtin::List => {
                let count = memory.read_count(at, layout.var_object.ob_size).unwrap_or(0);
                if let Ok(items) = memory.read_pointer(at, layout.list_object.ob_item)
                    && count > 0
                {
                    self.visit_items(items, count, each);
                }
            }
            Builtin::Tuple | Builtin::StructSequence => {
                let count = memory.read_count(at, layout.var_object.ob_size).unwrap_or(0);
                self.visit_items(at.plus(u64::from(layout.tuple_object.ob_item)), count, each);
            }
            Builtin::Set => self.visit_items_of(at, of, |_| Reference::Element, each),
            Builtin::Deque => self.visit_items_of(at, of, Reference::Index, each),
            Builtin::SimpleQueue => match layout.simple_queue.and_then(|queue| queue.lst) {
                Some(list) => self.visit_fields(at, [(list, Reference::Internal)], each),
                None => self.visit_items_of(at, of, Reference::Index, each),
            },
            Builtin::HamtItems => self.visit_hamt_items(at, of, each),
            Builtin::HamtArray => self.visit_items_of(at, of, |_| Reference::Internal, each),
            Builtin::Type => self.visit_type(at, each),
            Builtin::Function => self.visit_function(at, each),
            Builtin::Frame => self.visit_frame_object(at, each),
            Builtin::Generator | Builtin::Coroutine | Builtin::AsyncGenerator => {
                self.visit_generator(at, each);
                if self.python.layout.interpreter_frame.is_some()
                    && let Some(frame) = self.frame_of_generator(at)
                {
                    self.visit_awaited(at, frame, each);
                }
            }
            Builtin::Greenlet => {
                self.visit_greenlet(at, each);
                self.visit_other(at, of, each);
            }
            Builtin::LruCache => {
                let known = &layout.lru_cache_object;
                let fields = [
                    (Some(known.func), Reference::Attribute("__wrapped__".into())),
                    (Some(known.cache), Reference::Cached),
                    (Some(known.dict), Reference::Internal),
                    (Some(known.cache_info_type), Reference::Unnamed),
                    (known.kwd_mark, Reference::Unnamed),
                    (known.lru_list_elem_type, Reference::Unnamed),
                ];
                self.visit_fields(at, known_fields(fields), each);
                self.visit_items_of(at, of, |_| Reference::Cached, each);
            }
            Builtin::WeakReference => {
                let callback = Reference::Attribute("__callback__".into());
                self.visit_fields(at, [(layout.weakref_object.wr_callback, callback)], each);
            }
            _ => self.visit_other(at, of, each),
        }
    }

    /// Visits the references in fields of an object.
    fn visit_fields(
        &self,
        at: Addr,
        fields: impl IntoIterator<Item = (u32, Reference)>,
        each: &mut impl FnMut(Addr, Reference),
    ) {
        for (offset, reference) in fields {
            if let Ok(to) = self.python.memory.read_pointer(at, offset)
                && !to.is_null()
            {
                each(to, reference);
            }
        }
    }

    /// Visits the items of an object that its traversal visits, by their number.
    fn visit_items_of(
        &mut self,
        at: Addr,
        of: &Type,
        reference: impl Fn(u64) -> Reference,
        each: &mut impl FnMut(Addr, Reference),
    ) {
        let mut index = 0;
        read_references(&mut self.types, at, of, &mut |to, kind| {
            if kind == EdgeKind::Visited && to != of.at {
                each(to, reference(index));
                index += 1;
            }
        });
    }

    fn visit_entries(&mut self, at: Addr, each: &mut impl FnMut(Addr, Reference)) {
        self.objects.read_entries(at, |key, value| {
            each(value, Reference::Entry(key));
            each(key, Reference::Key);
            ControlFlow::Continue(())
        });
    }

    fn visit_items(&self, items: Addr, count: u64, each: &mut impl FnMut(Addr, Reference)) {
        let mut index = 0;
        let _ = self.python.memory.read_words(items, count, |item| {
            if item != 0 {
                each(Addr(item), Reference::Index(index));
            }
            index += 1;
        });
    }
}

/// The fields that this Python has.
fn known_fields<const N: usize>(
    fields: [(Option<u32>, Reference); N],
) -> impl Iterator<Item = (u32, Reference)> {
    fields.into_iter().filter_map(|(offset, reference)| Some((offset?, reference)))
}

/// Whether a text could be a name in a program. Other texts are not shown, since they may be data.
pub fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && letters.all(|letter| letter == '_' || letter.is_alphanumeric())
        && text.chars().count() <= LONGEST_KEY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognized() {
        for name in ["a", "_sessions", "Größe", "x1", "__dict__"] {
            assert!(is_name(name), "{name}");
        }
        for other in ["", "1a", "a-b", "user@example.org", "a b", "a.b", "\n", &"x".repeat(65)] {
            assert!(!is_name(other), "{other}");
        }
    }
}
