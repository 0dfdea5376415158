//! Bits of `tp_flags` in CPython's spelling, without `Py_TPFLAGS_` (`Include/object.h`).

/// The instances have their attribute values behind their C struct (3.13 and newer).
pub const INLINE_VALUES: u64 = 1 << 2;
/// The interpreter manages the instances' lists of weak references (3.12 and newer).
pub const MANAGED_WEAKREF: u64 = 1 << 3;
/// The interpreter manages the instances' dicts (3.11 and newer).
pub const MANAGED_DICT: u64 = 1 << 4;
/// The type was made at run time.
pub const HEAPTYPE: u64 = 1 << 9;
/// The garbage collector can track the instances.
pub const HAVE_GC: u64 = 1 << 14;
/// The type is `int`, or derives from it; likewise for the following ones.
pub const LONG_SUBCLASS: u64 = 1 << 24;
/// `list`.
pub const LIST_SUBCLASS: u64 = 1 << 25;
/// `tuple`.
pub const TUPLE_SUBCLASS: u64 = 1 << 26;
/// `bytes`.
pub const BYTES_SUBCLASS: u64 = 1 << 27;
/// `str`.
pub const UNICODE_SUBCLASS: u64 = 1 << 28;
/// `dict`.
pub const DICT_SUBCLASS: u64 = 1 << 29;
/// `type`.
pub const TYPE_SUBCLASS: u64 = 1 << 31;
