//! The C types that are known one by one, a row for each: what they are called, how large their objects are, what these refer to, what
//! they hold and how they grow.
//!
//! A type is recognized by the name in its C source *and* the size of its struct, and only if no `class` statement made it. A name alone
//! proves nothing: `enum.property` is called `property` too.

use crate::layout::Layout;

use super::numpy;

/// The content of a type's objects, as a program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A plain value, and no other object.
    Value,
    /// Entries of keys and values, counted by `ma_used`.
    Entries,
    /// Items in an order, counted by `ob_size`.
    Items,
    /// Items that wait in a queue of C: in a ring of its own, which counts them, or in a list.
    Queued,
    /// Elements without an order, counted by `used`.
    Elements,
    /// Results of a function, in a dict of its own.
    Results,
    /// Something else.
    Other,
}

/// The growth of a type's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Keys are set.
    Keys,
    /// Items are appended, prepended or inserted.
    Items,
    /// Elements are added.
    Elements,
    /// Results of a function are cached.
    Results,
    /// Longer copies are made.
    Copies,
    /// The size is fixed.
    Fixed,
}

/// The rows. Each expansion takes the columns that it needs; a row that lacks a column does not compile.
///
/// - `named`: `tp_name`, and the size that the type's struct must have for its members to be read: `ANY` where they are not read at
///   fixed offsets, `None` from a layout that lacks the struct.
/// - `sized`: the size that `sys.getsizeof` gives, without headers, by a method of [`ObjectSizer`](super::size).
/// - `visits`: the references that `tp_traverse` visits, by a method of [`ReferenceReader`](super::referents::ReferenceReader); `unknown` if it is
///   not known here.
/// - `hides`: the references that it does not visit, likewise.
/// - `holds` and `grows`: [`Content`] and [`Growth`].
macro_rules! builtin_rows {
    ($expand:ident) => { $expand! {
        /// A class, or a static type.
        Type: named ["type"] ANY,
            sized |o| o.type_object(), visits read_type, hides read_hidden_of_type, holds Other, grows Fixed;
        /// A module.
        Module: named ["module"] |l| Some(l.module_object.size),
            sized |o| o.default(), visits read_module, hides read_unvisited_words, holds Other, grows Fixed;
        /// `dict`.
        Dict: named ["dict"] |l| Some(l.dict_object.size),
            sized |o| o.dict(), visits read_dict, hides read_string_keys, holds Entries, grows Keys;
        /// `frozendict` (3.15).
        FrozenDict: named ["frozendict"] ANY,
            sized |o| o.dict(), visits read_dict, hides read_string_keys, holds Entries, grows Fixed;
        /// `collections.OrderedDict`.
        OrderedDict: named ["collections.OrderedDict"] |l| Some(l.odict_object.size),
            sized |o| o.ordered_dict(), visits read_ordered_dict, hides read_string_keys, holds Entries, grows Keys;
        /// `collections.defaultdict`.
        DefaultDict: named ["collections.defaultdict"] |l| Some(l.defdict_object.size),
            sized |o| o.default(), visits read_default_dict, hides read_string_keys, holds Entries, grows Keys;
        /// `list`.
        List: named ["list"] |l| Some(l.list_object.size),
            sized |o| o.words_at(o.layout.list_object.allocated), visits read_list, hides read_nothing, holds Items, grows Items;
        /// `tuple`.
        Tuple: named ["tuple"] ANY,
            sized |o| o.default(), visits read_tuple, hides read_nothing, holds Items, grows Copies;
        /// A named tuple of C, such as `os.stat_result`. Recognized by its base and its hidden members.
        StructSequence: named [] ANY,
            sized |o| o.default(), visits read_struct_sequence, hides read_nothing, holds Items, grows Fixed;
        /// `set` or `frozenset`.
        Set: named ["set", "frozenset"] |l| Some(l.set_object.size),
            sized |o| o.set(), visits read_set, hides read_nothing, holds Elements, grows Elements;
        /// `str`.
        Str: named ["str"] |l| Some(l.unicode_object.size),
            sized |o| o.str(), visits unknown, hides read_nothing, holds Value, grows Fixed;
        /// `int`.
        Int: named ["int"] ANY,
            sized |o| o.int(), visits unknown, hides read_nothing, holds Value, grows Fixed;
        /// `float` or `complex`.
        Number: named ["float", "complex"] ANY,
            sized |o| o.default(), visits unknown, hides read_nothing, holds Value, grows Fixed;
        /// `bytes`.
        Bytes: named ["bytes"] ANY,
            sized |o| o.default(), visits unknown, hides read_nothing, holds Value, grows Fixed;
        /// `bytearray`.
        ByteArray: named ["bytearray"] |l| Some(l.bytearray_object.size),
            sized |o| o.bytearray(), visits unknown, hides read_nothing, holds Other, grows Fixed;
        /// A code object.
        Code: named ["code"] ANY,
            sized |o| o.code(), visits read_code, hides read_hidden_of_code, holds Other, grows Fixed;
        /// A function.
        Function: named ["function"] |l| Some(l.function_object.size),
            sized |o| o.default(), visits read_function, hides read_nothing, holds Other, grows Fixed;
        /// A frame object.
        Frame: named ["frame"] ANY,
            sized |o| o.frame(), visits read_frame, hides read_hidden_of_frame, holds Other, grows Fixed;
        /// A generator.
        Generator: named ["generator"] ANY,
            sized |o| o.generator(), visits read_generator, hides read_nothing, holds Other, grows Fixed;
        /// A coroutine.
        Coroutine: named ["coroutine"] ANY,
            sized |o| o.generator(), visits read_generator, hides read_origin, holds Other, grows Fixed;
        /// An async generator.
        AsyncGenerator: named ["async_generator"] ANY,
            sized |o| o.generator(), visits read_async_generator, hides read_nothing, holds Other, grows Fixed;
        /// `greenlet.greenlet` (the package greenlet).
        Greenlet: named ["greenlet.greenlet"] ANY,
            sized |o| o.default(), visits unknown, hides read_greenlet, holds Other, grows Fixed;
        /// `collections.deque`.
        Deque: named ["collections.deque"] |l| Some(l.deque_object.size),
            sized |o| o.deque(), visits read_deque, hides read_nothing, holds Items, grows Items;
        /// The wrapper that `functools.lru_cache` makes.
        LruCache: named ["functools._lru_cache_wrapper"] |l| Some(l.lru_cache_object.size),
            sized |o| o.default(), visits read_lru_cache, hides read_nothing, holds Results, grows Results;
        /// A weak reference or proxy.
        WeakReference: named [
                "weakref", "weakproxy", "weakcallableproxy", "weakref.ReferenceType", "weakref.ProxyType",
                "weakref.CallableProxyType",
            ] |l| Some(l.weakref_object.size),
            sized |o| o.default(), visits read_weak_reference, hides read_nothing, holds Other, grows Fixed;
        /// `array.array`.
        Array: named ["array.array"] |l| l.array_object.map(|s| s.size),
            sized |o| o.array(), visits unknown, hides read_nothing, holds Other, grows Fixed;
        /// `struct.Struct`.
        Struct: named ["Struct", "_struct.Struct"] |l| l.struct_object.map(|s| s.size),
            sized |o| o.struct_formats(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `decimal.Decimal` of C.
        Decimal: named ["decimal.Decimal"] |l| l.dec_object.map(|s| s.size),
            sized |o| o.decimal(), visits unknown, hides read_nothing, holds Other, grows Fixed;
        /// `io.BytesIO`.
        BytesIo: named ["_io.BytesIO"] |l| Some(l.bytes_io.size),
            sized |o| o.bytes_io(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// A buffered file.
        Buffered: named ["_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom"] |l| Some(l.buffered.size),
            sized |o| o.buffered(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `pickle.Pickler` of C.
        Pickler: named ["_pickle.Pickler"] |l| l.pickler.map(|s| s.size),
            sized |o| o.pickler(), visits read_pickler, hides read_unvisited_words, holds Other, grows Fixed;
        /// `pickle.Unpickler` of C.
        Unpickler: named ["_pickle.Unpickler"] |l| l.unpickler.map(|s| s.size),
            sized |o| o.unpickler(), visits read_unpickler, hides read_unvisited_words, holds Other, grows Fixed;
        /// `queue.SimpleQueue`. Its `__sizeof__` counts the buffer since 3.15.
        SimpleQueue: named ["_queue.SimpleQueue"] |l| l.simple_queue.map(|s| s.size),
            sized |o| o.words_at(o.layout.simple_queue.and_then(|s| s.buf_cap)), visits read_simple_queue, hides read_unvisited_words, holds Queued, grows Items;
        /// `xml.etree.ElementTree.Element` of C.
        Element: named ["xml.etree.ElementTree.Element"] |l| l.element_object.map(|s| s.size),
            sized |o| o.element(), visits read_element, hides read_unvisited_words, holds Other, grows Fixed;
        /// `contextvars.ContextVar`. The value that it remembers is the context's (`var_cached` in `Python/context.c`): no reference.
        ContextVariable: named ["ContextVar", "_contextvars.ContextVar"] |l| Some(l.contextvar_object.size),
            sized |o| o.default(), visits unknown, hides read_nothing, holds Other, grows Fixed;
        /// A node of the tree in a context (`Python/hamt.c`), with as many items as its size says.
        HamtItems: named ["hamt_bitmap_node", "hamt_collision_node"] ANY,
            sized |o| o.default(), visits read_hamt_items, hides read_nothing, holds Other, grows Fixed;
        /// A node of that tree that is an array.
        HamtArray: named ["hamt_array_node"] |l| Some(l.hamt_node_array.size),
            sized |o| o.default(), visits read_hamt_array, hides read_nothing, holds Other, grows Fixed;
        /// The items that the iterators of an `itertools.tee` share.
        TeeData: named ["itertools._tee_dataobject"] |l| Some(l.tee_data_object.size),
            sized |o| o.default(), visits read_tee_data, hides read_nothing, holds Other, grows Fixed;
        /// `itertools.product`.
        Product: named ["itertools.product"] |l| Some(l.product_object.size),
            sized |o| o.product(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `itertools.combinations`.
        Combinations: named ["itertools.combinations"] |l| Some(l.combinations_object.size),
            sized |o| o.words_at(o.layout.combinations_object.r), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `itertools.combinations_with_replacement`.
        CombinationsWithReplacement: named ["itertools.combinations_with_replacement"] |l| Some(l.cwr_object.size),
            sized |o| o.words_at(o.layout.cwr_object.r), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `itertools.permutations`.
        Permutations: named ["itertools.permutations"] |l| Some(l.permutations_object.size),
            sized |o| o.permutations(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// A type of `ctypes` types.
        CtypesType: named [
                "_ctypes.CType_Type", "_ctypes.PyCStructType", "_ctypes.UnionType", "_ctypes.PyCPointerType",
                "_ctypes.PyCArrayType", "_ctypes.PyCSimpleType", "_ctypes.PyCFuncPtrType",
            ] ANY,
            sized |o| o.ctypes_type(), visits read_ctypes_type, hides read_hidden_of_type, holds Other, grows Fixed;
        /// The dict of a `ctypes` type (3.12 and older).
        CtypesDict: named ["StgDict"] |l| l.ctypes_dict.map(|s| s.size),
            sized |o| o.ctypes_dict(), visits unknown, hides read_string_keys, holds Other, grows Fixed;
        /// `numpy.ndarray`.
        NumpyArray: named ["numpy.ndarray"] ANY,
            sized |o| o.numpy_array(), visits unknown, hides read_numpy_array, holds Other, grows Fixed;
        /// The base of all scalars of numpy.
        NumpyGeneric: named ["numpy.generic"] ANY,
            sized |o| o.numpy_scalar(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// A scalar of numpy, with the bytes of its value. Recognized by `numpy::scalar_bytes`.
        NumpyScalar(u8): named [] ANY,
            sized |o| o.default(), visits unknown, hides read_nothing, holds Other, grows Fixed;
        /// `numpy.void`: a row of an array, with fields or without.
        NumpyVoid: named ["numpy.void"] ANY,
            sized |o| o.default(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
        /// `multidict.MultiDict`, whose sizes are lower bounds.
        MultiDict: named ["multidict._multidict.MultiDict"] ANY,
            sized |o| o.multidict(), visits unknown, hides read_unvisited_words, holds Other, grows Fixed;
    } };
}

/// Declares [`Builtin`] and the columns that need no memory.
macro_rules! declare_builtins {
    ($(
        $(#[$doc:meta])+
        $builtin:ident $(($payload:ty))?: named [$($name:literal),* $(,)?] $struct_size:expr, sized |$o:ident| $size:expr,
        visits $visits:ident, hides $hides:ident, holds $content:ident, grows $growth:ident;
    )+) => {
        /// The kind of a C type that is known by itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Builtin {
            $($(#[$doc])+ $builtin $(($payload))?,)+
        }

        impl Builtin {
            /// Whether `tp_traverse` is known here; of other builtins only the size is.
            pub fn is_traversed(self) -> bool {
                match self { $(Self::$builtin { .. } => stringify!($visits) != "unknown",)+ }
            }

            /// Whether the objects are functions that can be suspended, with a frame of their own.
            pub const fn is_suspendable(self) -> bool {
                matches!(self, Self::Generator | Self::Coroutine | Self::AsyncGenerator | Self::Greenlet)
            }

            /// Whether the objects are functions that an event loop resumes.
            pub const fn is_scheduled(self) -> bool {
                matches!(self, Self::Coroutine | Self::Greenlet)
            }

            /// The content of the objects.
            pub const fn content(self) -> Content {
                match self { $(Self::$builtin { .. } => Content::$content,)+ }
            }

            /// How the objects grow.
            pub const fn growth(self) -> Growth {
                match self { $(Self::$builtin { .. } => Growth::$growth,)+ }
            }
        }

        /// A name in C, the builtin, and the size of its struct.
        type Named = (&'static str, Builtin, fn(&Layout) -> Option<u32>);

        const NAMED: &[Named] = &[$($(($name, Builtin::$builtin, $struct_size),)*)+];
    };
}

/// Accepts any size of the struct.
const ANY: fn(&Layout) -> Option<u32> = |_| Some(0);

builtin_rows!(declare_builtins);
pub(super) use builtin_rows;

/// The builtin with this name in C and this basic size; `None` if it is not known.
pub fn find_builtin(name: &[u8], basicsize: u64, layout: &Layout) -> Option<Builtin> {
    if let Some(bytes) = numpy::scalar_bytes(name) {
        return Some(Builtin::NumpyScalar(bytes));
    }
    let (_, builtin, struct_size) = NAMED.iter().find(|(known, ..)| known.as_bytes() == name)?;
    let size = struct_size(layout)?;
    (size == 0 || u64::from(size) == basicsize).then_some(*builtin)
}
