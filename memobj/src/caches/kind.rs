//! Kinds of caches by type.
//!
//! Facts: `Modules/_functoolsmodule.c`; `Lib/weakref.py`; cachetools 4 to 8 (`cachetools/__init__.py`); Django 2 to 5
//! (`django/core/cache/backends/locmem.py`).

use std::rc::Rc;

use crate::names::NameReader;
use memobj_cpython::heap::builtins::Growth;
use memobj_cpython::heap::types::Type;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

/// More classes than any `__mro__` has.
const MAX_CLASSES: u64 = 200;

/// The kind of cache that a type's objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CacheKind {
    /// A wrapper of `functools.lru_cache`.
    Lru,
    /// A mapping of cachetools, or of a derived class.
    Cachetools,
    /// Django's local-memory cache.
    Locmem,
    /// A weak dictionary.
    Weak,
    /// A `dict`, or an object of a derived class.
    Table,
    /// An object of another class.
    Instance,
    /// Neither.
    Other,
}

impl CacheKind {
    /// The kind of a type's objects.
    pub fn from_type<M: Memory>(names: &mut NameReader<'_, '_, M>, of: &Type) -> Self {
        if of.is_metatype() {
            return Self::Other;
        }
        match of.kind {
            Some(kind) if kind.growth() == Growth::Results => return Self::Lru,
            Some(kind) if kind.growth() == Growth::Keys => return Self::Table,
            _ if of.class.is_none() => return Self::Other,
            _ => {}
        }
        for class in classes(names, of) {
            let is_of = |library: &str| {
                class
                    .module
                    .strip_prefix(library)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            match class.qualname.as_str() {
                "Cache" if is_of("cachetools") => return Self::Cachetools,
                "LocMemCache" if is_of("django.core.cache.backends.locmem") => return Self::Locmem,
                "WeakValueDictionary" | "WeakKeyDictionary" if class.module == "weakref" => {
                    return Self::Weak;
                }
                _ => {}
            }
        }
        Self::Instance
    }

    /// The attribute with the entries of a cache of this kind.
    pub const fn table(self) -> Option<&'static str> {
        match self {
            Self::Cachetools => Some("_Cache__data"),
            Self::Locmem => Some("_cache"),
            Self::Weak => Some("data"),
            Self::Lru | Self::Table | Self::Instance | Self::Other => None,
        }
    }
}

/// The classes in `tp_mro` of a type.
fn classes<M: Memory>(names: &mut NameReader<'_, '_, M>, of: &Type) -> Vec<Rc<Type>> {
    let (memory, layout) = (names.python().memory, names.python().layout);
    let mut order = Vec::new();
    if let Some(tuple) = names.objects().read_pointer(of.at, layout.type_object.tp_mro) {
        let count = names.objects().read_length(tuple).unwrap_or(0).min(MAX_CLASSES);
        let items = tuple.plus(u64::from(layout.tuple_object.ob_item));
        // Classes before an unreadable one are good.
        let _ = memory.read_words(items, count, |class| order.push(Addr(class)));
    }
    order.into_iter().filter_map(|class| names.class(class)).collect()
}
