//! Differences between versions of CPython other than offsets. Only this folder compares versions; all other code matches on the
//! [`Encodings`] of a layout.

use memobj_process::addr::Addr;

/// Encoding of the digits and the sign of an `int`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongEncoding {
    /// `ob_size` is the number of digits, negative for a negative number (Include/cpython/longintrepr.h until 3.11).
    SizeDigits,
    /// `lv_tag` is the number of digits times eight, with the sign in its two lowest bits (the same file from 3.12 on).
    LvTag,
}

/// Encoding of the size and the entries of a table of dict keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DictKeysEncoding {
    /// `dk_size` slots; the function at `dk_lookup` depends on the kind of keys, and all entries are [`dict_key_entry`](super::Layout)
    /// (Objects/dict-common.h until 3.10).
    Lookup,
    /// Logarithms of sizes; `dk_kind` 0 has entries with a hash, others without (Include/internal/pycore_dict.h from 3.11 on).
    Kinds,
}

/// Place of the values of a dict with shared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitValues {
    /// `ma_values` is an array of pointers, one for each usable slot of the keys (until 3.10).
    Bare,
    /// The same, with a few bytes before it: its whole size, and the order of insertion (3.11 and 3.12).
    Prefixed,
    /// `ma_values` is a [`dict_values`](super::Layout) with its capacity, then its values, then the order (from 3.13 on).
    Headed,
}

/// Place of the attributes of an instance of a Python class. Offsets are in bytes before the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceAttributes {
    /// In a dict, at `tp_dictoffset` (until 3.10).
    DictOffset,
    /// Values and dict, each with a pointer of its own before the object, if the type's flags say so (3.11).
    ValuesAndDict {
        /// The offset of the pointer to the values.
        values_before: u32,
        /// The offset of the pointer to the dict.
        dict_before: u32,
    },
    /// One word before the object: the values if its lowest bit is set, one byte after that address less one, else the dict (3.12).
    TaggedWord {
        /// The offset of the word.
        word_before: u32,
        /// The offset of the list of weak references.
        weaklist_before: u32,
    },
    /// A dict before the object, and the values behind its C struct while they are valid (from 3.13 on).
    InlineValues {
        /// The offset of the pointer to the dict.
        dict_before: u32,
        /// The offset of the list of weak references.
        weaklist_before: u32,
        /// The part that a traversal visits first.
        first: VisitedFirst,
    },
}

/// The part of an instance that `tp_traverse` visits if there are inline values and a dict made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitedFirst {
    /// The inline values while they are valid, else the dict (until 3.13.12 and 3.14.3).
    Values,
    /// The dict; the inline values only where there is no dict (`PyObject_VisitManagedDict` of Objects/dictobject.c from 3.13.13 and
    /// 3.14.4 on, gh-130327; Debian's 3.13.5 has it too, by a patch).
    Dict,
}

/// Place of the objects that the garbage collector tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcLists {
    /// Three lists in `generations`.
    Generations,
    /// A young list and two old ones, `young` and `old` (3.14.0 to 3.14.4).
    YoungOld,
    /// Not in lists: in the pages of mimalloc's heaps (free-threaded builds).
    MimallocPages,
}

/// Encoding of the collector's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcStats {
    /// In the state, one record for each generation.
    Records,
    /// Behind a pointer: rings of the last collections (from 3.15 on).
    Rings,
}

/// Header before an object that the collector can track, and the mark of tracked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcHeader {
    /// Two words of links; tracked if `_gc_next` is not null.
    Links,
    /// Nothing; a bit of `ob_gc_bits` marks tracked objects (free-threaded builds).
    Bits,
}

/// Place of the dict, the subclasses and the list of weak references of static types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaticTypeState {
    /// In themselves (until 3.11).
    InType,
    /// In the interpreter; `tp_subclasses` is the place in `builtins` of its state, counted from 1 (3.12).
    Builtins,
    /// The same with a second array for the types of extension modules; in `builtins` counted from 1 too (from 3.13 on).
    BuiltinsAndExtensions,
}

/// Chain of a thread's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameChain {
    /// Frame objects, from `frame` of the thread state (until 3.10).
    PyFrame,
    /// Interpreter frames, from `current_frame` of the struct that `cframe` of the thread state points to (3.11 and 3.12).
    CFrame,
    /// Interpreter frames, from `current_frame` of the thread state (from 3.13 on).
    Current,
}

/// Content of a frame's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackRefs {
    /// Pointers.
    Plain,
    /// Pointers with marks in the two lowest bits; with both set, a number and no pointer (from 3.14 on, and free-threaded 3.13:
    /// Include/internal/pycore_stackref.h).
    Tagged,
}

impl StackRefs {
    /// The object that a slot refers to; null if it is a number.
    #[inline]
    pub const fn object(self, slot: u64) -> Addr {
        match self {
            Self::Plain => Addr(slot),
            Self::Tagged if slot & 3 == 3 => Addr::NULL,
            Self::Tagged => Addr(slot).clear_bits(3),
        }
    }
}

/// Encoding of a reference count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefCounts {
    /// A word (until 3.11).
    Word,
    /// A word; immortal if the lower half of it is negative (3.12 and 3.13).
    WordOrImmortal,
    /// Half a word, beside flags; immortal if it is negative (from 3.14 on).
    HalfOrImmortal,
    /// A count of the thread that owns the object, and one of all others (free-threaded builds).
    Biased,
}

/// Bytes before an object that `sys.getsizeof` adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetsizeofPrefix {
    /// The header, for objects that have one (until 3.10).
    PerObject,
    /// The header and what else stands before it, for all objects of a type whose flags say so: static types too (3.11 and 3.12).
    ByMetatype,
    /// The same, but not for objects that `tp_is_gc` denies one (from 3.13 on).
    ByTypeAndObject,
}

/// Whether the traversal of an instance of a Python class visits its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeVisits {
    /// Always (3.8).
    Always,
    /// Unless the C type that it inherits from is itself a heap type, which then does so (from 3.9 on).
    UnlessBaseDoes,
}

/// Encoding of the line table of a code object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineTable {
    /// `co_lnotab`: pairs of a step in bytes and a signed step in lines (Objects/lnotab_notes.txt until 3.9).
    Steps,
    /// `co_linetable`: pairs of a range's length and a signed step in lines, -128 for a range without a line (the same file of 3.10).
    Ranges,
    /// `co_linetable`: entries that begin with a byte above 127 and hold columns too (Objects/locations.md, later
    /// InternalDocs/code_objects.md, from 3.11 on).
    Locations,
}

/// Encoding of the current instruction of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastInstruction {
    /// `f_lasti` counts bytes (until 3.9).
    Bytes,
    /// `f_lasti` counts instructions of two bytes (3.10).
    Units,
    /// A pointer into the code object, or into the thread's own copy of its bytecode (from 3.11 on).
    Pointer,
}

/// Which byte a pointer of the evaluation loop to the next instruction is to, while an instruction is executed (`next_instr`,
/// Python/ceval.c and Python/bytecodes.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextInstruction {
    /// The first one behind the instruction (until 3.10, which has no inline caches, 3.13 and 3.14).
    Behind,
    /// The first one behind the opcode and its argument. A pointer to the instruction itself lies beside it (3.11 and 3.12).
    UnitBehind,
    /// As `Behind`, but while C code is called mostly only the frame has it. Other pointers are left over (from 3.15 on).
    InFrame,
}

/// Place of pymalloc's table of arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArenaTable {
    /// In static variables of Objects/obmalloc.c (until 3.11).
    Static,
    /// In the interpreter (3.12).
    InInterpreter,
    /// Behind a pointer in the interpreter (from 3.13 on).
    BehindPointer,
}

/// Arenas and pools of pymalloc (Objects/obmalloc.c; from 3.12 on Include/internal/pycore_obmalloc.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pymalloc {
    /// The place of its table of arenas.
    pub arenas: ArenaTable,
    /// `ARENA_SIZE`.
    pub arena_bytes: u32,
    /// `POOL_SIZE`.
    pub pool_bytes: u32,
}

/// Whether the traversal of a pickler or an unpickler visits its memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickleMemo {
    /// No (3.11.2 and before).
    Silent,
    /// Yes: the keys of a pickler's table, all of an unpickler's (from 3.11.7 on; 3.11.3 to 3.11.6 were not looked at).
    Visited,
}

/// Whether the traversal of a generator that has ended visits its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedGenerator {
    /// No: nothing of its frame (until 3.13).
    Silent,
    /// Yes (from 3.14 on).
    VisitsCode,
}

/// All encodings of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encodings {
    /// Integers.
    pub long: LongEncoding,
    /// Tables of dict keys.
    pub dict_keys: DictKeysEncoding,
    /// Values of dicts with shared keys.
    pub split_values: SplitValues,
    /// Attributes of instances.
    pub instance_attributes: InstanceAttributes,
    /// Tracked objects.
    pub gc_lists: GcLists,
    /// Statistics of the collector.
    pub gc_stats: GcStats,
    /// Headers of objects.
    pub gc_header: GcHeader,
    /// Static types.
    pub static_types: StaticTypeState,
    /// Frames of threads.
    pub frame_chain: FrameChain,
    /// Slots of frames.
    pub stack_refs: StackRefs,
    /// Reference counts.
    pub refcounts: RefCounts,
    /// Prefixes in sizes.
    pub getsizeof_prefix: GetsizeofPrefix,
    /// Types in traversals.
    pub type_visits: TypeVisits,
    /// Memos of picklers, in traversals.
    pub pickle_memo: PickleMemo,
    /// Generators that have ended, in traversals.
    pub ended_generator: EndedGenerator,
    /// Lines of code.
    pub line_table: LineTable,
    /// Instructions of frames.
    pub last_instruction: LastInstruction,
    /// The evaluation loop's pointer to instructions.
    pub next_instruction: NextInstruction,
    /// Whether the loop has a pointer to the first instruction of the function that runs: `first_instr` in `Python/ceval.c`, until 3.11.
    pub has_first_instruction: bool,
    /// The allocator of small objects, where it is pymalloc.
    pub pymalloc: Pymalloc,
}

impl Encodings {
    /// The encodings of the build with this `sys.hexversion`.
    pub const fn for_version(hexversion: u32, free_threaded: bool) -> Self {
        let minor = hexversion >> 16 & 0xff;
        let micro = hexversion >> 8 & 0xff;
        Self {
            long: if minor < 12 { LongEncoding::SizeDigits } else { LongEncoding::LvTag },
            dict_keys: if minor < 11 { DictKeysEncoding::Lookup } else { DictKeysEncoding::Kinds },
            split_values: match minor {
                0..=10 => SplitValues::Bare,
                11 | 12 => SplitValues::Prefixed,
                _ => SplitValues::Headed,
            },
            instance_attributes: instance_attributes(minor, micro, free_threaded),
            gc_lists: match minor {
                _ if free_threaded => GcLists::MimallocPages,
                14 if micro < 5 => GcLists::YoungOld,
                _ => GcLists::Generations,
            },
            gc_stats: if minor < 15 { GcStats::Records } else { GcStats::Rings },
            gc_header: if free_threaded { GcHeader::Bits } else { GcHeader::Links },
            static_types: match minor {
                0..=11 => StaticTypeState::InType,
                12 => StaticTypeState::Builtins,
                _ => StaticTypeState::BuiltinsAndExtensions,
            },
            frame_chain: match minor {
                0..=10 => FrameChain::PyFrame,
                11 | 12 => FrameChain::CFrame,
                _ => FrameChain::Current,
            },
            stack_refs: if minor > 13 || free_threaded { StackRefs::Tagged } else { StackRefs::Plain },
            refcounts: match minor {
                _ if free_threaded => RefCounts::Biased,
                0..=11 => RefCounts::Word,
                12 | 13 => RefCounts::WordOrImmortal,
                _ => RefCounts::HalfOrImmortal,
            },
            getsizeof_prefix: match minor {
                0..=10 => GetsizeofPrefix::PerObject,
                11 | 12 => GetsizeofPrefix::ByMetatype,
                _ => GetsizeofPrefix::ByTypeAndObject,
            },
            type_visits: if minor < 9 { TypeVisits::Always } else { TypeVisits::UnlessBaseDoes },
            pickle_memo: if minor < 11 || (minor == 11 && micro < 7) {
                PickleMemo::Silent
            } else {
                PickleMemo::Visited
            },
            ended_generator: if minor < 14 { EndedGenerator::Silent } else { EndedGenerator::VisitsCode },
            line_table: match minor {
                0..=9 => LineTable::Steps,
                10 => LineTable::Ranges,
                _ => LineTable::Locations,
            },
            last_instruction: match minor {
                0..=9 => LastInstruction::Bytes,
                10 => LastInstruction::Units,
                _ => LastInstruction::Pointer,
            },
            has_first_instruction: minor <= 11,
            next_instruction: match minor {
                11 | 12 => NextInstruction::UnitBehind,
                15.. => NextInstruction::InFrame,
                _ => NextInstruction::Behind,
            },
            pymalloc: pymalloc(minor),
        }
    }

    /// The same encodings with another order of visits: distributions change it within a micro version.
    #[must_use]
    pub const fn visiting(mut self, visited: VisitedFirst) -> Self {
        if let InstanceAttributes::InlineValues { dict_before, weaklist_before, .. } =
            self.instance_attributes
        {
            self.instance_attributes =
                InstanceAttributes::InlineValues { dict_before, weaklist_before, first: visited };
        }
        self
    }
}

/// Larger since arenas are found through a radix tree (3.10).
const fn pymalloc(minor: u32) -> Pymalloc {
    let (arena_bytes, pool_bytes) = if minor < 10 { (256 << 10, 4 << 10) } else { (1 << 20, 16 << 10) };
    let arenas = match minor {
        0..=11 => ArenaTable::Static,
        12 => ArenaTable::InInterpreter,
        _ => ArenaTable::BehindPointer,
    };
    Pymalloc { arenas, arena_bytes, pool_bytes }
}

/// From `_PyObject_ManagedDictPointer` and its like: Include/internal/pycore_object.h of each version.
const fn instance_attributes(minor: u32, micro: u32, free_threaded: bool) -> InstanceAttributes {
    let (dict_before, weaklist_before) = if free_threaded { (8, 16) } else { (24, 32) };
    match minor {
        0..=10 => InstanceAttributes::DictOffset,
        11 => InstanceAttributes::ValuesAndDict { values_before: 32, dict_before: 24 },
        12 => InstanceAttributes::TaggedWord { word_before: 24, weaklist_before: 32 },
        _ => {
            let values = minor == 13 && micro < 13 || minor == 14 && micro < 4;
            let first = if values { VisitedFirst::Values } else { VisitedFirst::Dict };
            InstanceAttributes::InlineValues { dict_before, weaklist_before, first }
        }
    }
}
