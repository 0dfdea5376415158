//! The C types that are known one by one: what their objects keep outside of their basic size, and behind pointers that are
//! no references.
//!
//! A type is known by the name in its C source *and* the size of its struct, and only if no `class` statement made it: a name
//! alone proves nothing, since `enum.property` is called `property` too.

use crate::layout::Layout;

/// What an object is in C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// A class, or a static type.
    Type,
    /// A module.
    Module,
    /// `dict`.
    Dict,
    /// `frozendict` (3.15).
    FrozenDict,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `collections.defaultdict`.
    DefaultDict,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// A named tuple of C, such as `os.stat_result`. Known by its base and its hidden members.
    StructSequence,
    /// `set` or `frozenset`.
    Set,
    /// `str`.
    Str,
    /// `int`.
    Int,
    /// `float` or `complex`.
    Number,
    /// `bytes`.
    Bytes,
    /// `bytearray`.
    ByteArray,
    /// Code.
    Code,
    /// A function.
    Function,
    /// A frame object.
    Frame,
    /// A generator.
    Generator,
    /// A coroutine.
    Coroutine,
    /// An async generator.
    AsyncGenerator,
    /// `collections.deque`.
    Deque,
    /// What `functools.lru_cache` makes.
    LruCache,
    /// A weak reference or proxy.
    WeakReference,
    /// `array.array`.
    Array,
    /// `struct.Struct`.
    Struct,
    /// `decimal.Decimal` of C.
    Decimal,
    /// `io.BytesIO`.
    BytesIo,
    /// A buffered file.
    Buffered,
    /// `pickle.Pickler` of C.
    Pickler,
    /// `pickle.Unpickler` of C.
    Unpickler,
    /// `queue.SimpleQueue`.
    SimpleQueue,
    /// `xml.etree.ElementTree.Element` of C.
    Element,
    /// `contextvars.ContextVar`. The value that it remembers is the context's (`var_cached` in `Python/context.c`): no reference.
    ContextVariable,
    /// A node of the tree in a context (`Python/hamt.c`), with as many items as its size says.
    HamtItems,
    /// A node of that tree that is an array.
    HamtArray,
    /// What the ends of an `itertools.tee` share.
    TeeData,
    /// `itertools.product`.
    Product,
    /// `itertools.combinations`, with or without replacement.
    Combinations,
    /// `itertools.permutations`.
    Permutations,
    /// A type of `ctypes` types.
    CtypesType,
    /// The dict of a `ctypes` type (3.12 and older).
    CtypesDict,
    /// `numpy.ndarray`.
    NumpyArray,
    /// What all scalars of numpy derive from.
    NumpyGeneric,
    /// A scalar of numpy, with the bytes of its value.
    NumpyScalar(u8),
    /// `numpy.void`: a row of an array, with fields or without.
    NumpyVoid,
}

impl Builtin {
    /// Whether what its `tp_traverse` visits is known here; of the others only what they weigh is.
    pub const fn is_traversed(self) -> bool {
        matches!(
            self,
            Self::Type
                | Self::Module
                | Self::Dict
                | Self::FrozenDict
                | Self::OrderedDict
                | Self::DefaultDict
                | Self::List
                | Self::Tuple
                | Self::StructSequence
                | Self::Set
                | Self::Code
                | Self::Function
                | Self::Frame
                | Self::Generator
                | Self::Coroutine
                | Self::AsyncGenerator
                | Self::Deque
                | Self::LruCache
                | Self::WeakReference
                | Self::Element
                | Self::HamtItems
                | Self::HamtArray
                | Self::TeeData
                | Self::CtypesType
                | Self::Pickler
                | Self::Unpickler
        )
    }
}

/// A row: the name in C, what it is, and the size of its struct where that must be the type's basic size for what lies at
/// fixed places in it to be read. `None`: a layout does not know the struct, so objects of the type are not looked into.
type Row = (&'static str, Builtin, fn(&Layout) -> Option<u32>);

/// No check: the object has no struct of a fixed size, or is looked into no further than its own type says.
const ANY: fn(&Layout) -> Option<u32> = |_| Some(0);

const KNOWN: &[Row] = &[
    ("type", Builtin::Type, ANY),
    ("module", Builtin::Module, |l| Some(l.module_object.size)),
    ("dict", Builtin::Dict, |l| Some(l.dict_object.size)),
    ("frozendict", Builtin::FrozenDict, ANY),
    ("collections.OrderedDict", Builtin::OrderedDict, |l| Some(l.odict_object.size)),
    ("collections.defaultdict", Builtin::DefaultDict, |l| Some(l.defdict_object.size)),
    ("list", Builtin::List, |l| Some(l.list_object.size)),
    ("tuple", Builtin::Tuple, ANY),
    ("set", Builtin::Set, |l| Some(l.set_object.size)),
    ("frozenset", Builtin::Set, |l| Some(l.set_object.size)),
    ("str", Builtin::Str, |l| Some(l.unicode_object.size)),
    ("int", Builtin::Int, ANY),
    ("float", Builtin::Number, ANY),
    ("complex", Builtin::Number, ANY),
    ("bytes", Builtin::Bytes, ANY),
    ("bytearray", Builtin::ByteArray, |l| Some(l.bytearray_object.size)),
    ("code", Builtin::Code, ANY),
    ("function", Builtin::Function, |l| Some(l.function_object.size)),
    ("frame", Builtin::Frame, ANY),
    ("generator", Builtin::Generator, ANY),
    ("coroutine", Builtin::Coroutine, ANY),
    ("async_generator", Builtin::AsyncGenerator, ANY),
    ("collections.deque", Builtin::Deque, |l| Some(l.deque_object.size)),
    ("functools._lru_cache_wrapper", Builtin::LruCache, |l| Some(l.lru_cache_object.size)),
    ("weakref", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("weakproxy", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("weakcallableproxy", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("weakref.ReferenceType", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("weakref.ProxyType", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("weakref.CallableProxyType", Builtin::WeakReference, |l| Some(l.weakref_object.size)),
    ("array.array", Builtin::Array, |l| l.array_object.as_ref().map(|s| s.size)),
    ("Struct", Builtin::Struct, |l| l.struct_object.as_ref().map(|s| s.size)),
    ("_struct.Struct", Builtin::Struct, |l| l.struct_object.as_ref().map(|s| s.size)),
    ("decimal.Decimal", Builtin::Decimal, |l| l.dec_object.as_ref().map(|s| s.size)),
    ("_io.BytesIO", Builtin::BytesIo, |l| Some(l.bytes_io.size)),
    ("_io.BufferedReader", Builtin::Buffered, |l| Some(l.buffered.size)),
    ("_io.BufferedWriter", Builtin::Buffered, |l| Some(l.buffered.size)),
    ("_io.BufferedRandom", Builtin::Buffered, |l| Some(l.buffered.size)),
    ("_pickle.Pickler", Builtin::Pickler, |l| l.pickler.as_ref().map(|s| s.size)),
    ("_pickle.Unpickler", Builtin::Unpickler, |l| l.unpickler.as_ref().map(|s| s.size)),
    ("_queue.SimpleQueue", Builtin::SimpleQueue, |l| l.simple_queue.as_ref().map(|s| s.size)),
    ("xml.etree.ElementTree.Element", Builtin::Element, |l| l.element_object.as_ref().map(|s| s.size)),
    ("itertools.product", Builtin::Product, |l| Some(l.product_object.size)),
    ("itertools.combinations", Builtin::Combinations, |l| Some(l.combinations_object.size)),
    ("itertools.combinations_with_replacement", Builtin::Combinations, |l| Some(l.cwr_object.size)),
    ("itertools.permutations", Builtin::Permutations, |l| Some(l.permutations_object.size)),
    ("ContextVar", Builtin::ContextVariable, |l| Some(l.contextvar_object.size)),
    ("_contextvars.ContextVar", Builtin::ContextVariable, |l| Some(l.contextvar_object.size)),
    ("hamt_bitmap_node", Builtin::HamtItems, ANY),
    ("hamt_collision_node", Builtin::HamtItems, ANY),
    ("hamt_array_node", Builtin::HamtArray, |l| Some(l.hamt_node_array.size)),
    ("itertools._tee_dataobject", Builtin::TeeData, |l| Some(l.tee_data_object.size)),
    ("_ctypes.CType_Type", Builtin::CtypesType, ANY),
    ("_ctypes.PyCStructType", Builtin::CtypesType, ANY),
    ("_ctypes.UnionType", Builtin::CtypesType, ANY),
    ("_ctypes.PyCPointerType", Builtin::CtypesType, ANY),
    ("_ctypes.PyCArrayType", Builtin::CtypesType, ANY),
    ("_ctypes.PyCSimpleType", Builtin::CtypesType, ANY),
    ("_ctypes.PyCFuncPtrType", Builtin::CtypesType, ANY),
    ("StgDict", Builtin::CtypesDict, |l| l.ctypes_dict.as_ref().map(|s| s.size)),
    ("numpy.ndarray", Builtin::NumpyArray, ANY),
    ("numpy.generic", Builtin::NumpyGeneric, ANY),
    // `numpy/core/src/multiarray/scalartypes.c.src`; the names of before 2.0, and since.
    ("numpy.bool_", Builtin::NumpyScalar(1), ANY),
    ("numpy.bool", Builtin::NumpyScalar(1), ANY),
    ("numpy.int8", Builtin::NumpyScalar(1), ANY),
    ("numpy.uint8", Builtin::NumpyScalar(1), ANY),
    ("numpy.int16", Builtin::NumpyScalar(2), ANY),
    ("numpy.uint16", Builtin::NumpyScalar(2), ANY),
    ("numpy.int32", Builtin::NumpyScalar(4), ANY),
    ("numpy.uint32", Builtin::NumpyScalar(4), ANY),
    ("numpy.int64", Builtin::NumpyScalar(8), ANY),
    ("numpy.uint64", Builtin::NumpyScalar(8), ANY),
    ("numpy.longlong", Builtin::NumpyScalar(8), ANY),
    ("numpy.ulonglong", Builtin::NumpyScalar(8), ANY),
    ("numpy.float16", Builtin::NumpyScalar(2), ANY),
    ("numpy.float32", Builtin::NumpyScalar(4), ANY),
    ("numpy.float64", Builtin::NumpyScalar(8), ANY),
    ("numpy.float128", Builtin::NumpyScalar(16), ANY),
    ("numpy.longdouble", Builtin::NumpyScalar(16), ANY),
    ("numpy.complex64", Builtin::NumpyScalar(8), ANY),
    ("numpy.complex128", Builtin::NumpyScalar(16), ANY),
    ("numpy.complex256", Builtin::NumpyScalar(32), ANY),
    ("numpy.clongdouble", Builtin::NumpyScalar(32), ANY),
    ("numpy.datetime64", Builtin::NumpyScalar(8), ANY),
    ("numpy.timedelta64", Builtin::NumpyScalar(8), ANY),
    ("numpy.void", Builtin::NumpyVoid, ANY),
];

/// What a C type is, by its name in C and its basic size; `None` if it is not known.
pub fn find_builtin(name: &[u8], basicsize: u64, layout: &Layout) -> Option<Builtin> {
    let (_, kind, size) = KNOWN.iter().find(|(known, _, _)| known.as_bytes() == name)?;
    match size(layout)? {
        0 => Some(*kind),
        size => (u64::from(size) == basicsize).then_some(*kind),
    }
}
