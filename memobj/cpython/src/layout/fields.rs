//! What is known of CPython's structs. Written by `cargo xtask layouts` from `spec.txt`: change that and run it.

#![allow(missing_docs, reason = "members bear the names that CPython's sources give them")]

use super::encoding::Encodings;
use super::{BitField, FixedShape};

/// Where everything is in one build of CPython, in bytes, and what else differs between builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Who made the build that this was read from, and its version.
    pub origin: &'static str,
    /// Its `sys.hexversion`.
    pub hexversion: u32,
    /// What differs besides places.
    pub encodings: Encodings,
    pub object: Object,
    pub var_object: VarObject,
    pub gc_head: GcHead,
    pub type_object: TypeObject,
    pub heap_type_object: HeapTypeObject,
    pub member_def: MemberDef,
    pub method_def: MethodDef,
    pub list_object: ListObject,
    pub list_array: Option<ListArray>,
    pub tuple_object: TupleObject,
    pub dict_object: DictObject,
    pub dict_keys: DictKeys,
    pub dict_values: Option<DictValues>,
    pub dict_key_entry: DictKeyEntry,
    pub dict_unicode_entry: Option<DictUnicodeEntry>,
    pub frozen_dict_object: Option<FrozenDictObject>,
    pub dict_view_object: DictViewObject,
    pub dict_iter_object: DictIterObject,
    pub set_object: SetObject,
    pub set_entry: SetEntry,
    pub odict_object: OdictObject,
    pub odict_node: OdictNode,
    pub deque_object: DequeObject,
    pub deque_block: DequeBlock,
    pub defdict_object: DefdictObject,
    pub bytes_object: BytesObject,
    pub bytearray_object: BytearrayObject,
    pub long_object: LongObject,
    pub float_object: FloatObject,
    pub complex_object: ComplexObject,
    pub ascii_object: AsciiObject,
    pub compact_unicode_object: CompactUnicodeObject,
    pub unicode_object: UnicodeObject,
    pub slice_object: SliceObject,
    pub range_object: RangeObject,
    pub memoryview_object: MemoryviewObject,
    pub managed_buffer_object: ManagedBufferObject,
    pub buffer: Buffer,
    pub function_object: FunctionObject,
    pub code_object: CodeObject,
    pub code_cached: Option<CodeCached>,
    pub code_extra: CodeExtra,
    pub opcache: Option<Opcache>,
    pub frame_object: FrameObject,
    pub interpreter_frame: Option<InterpreterFrame>,
    pub cframe: Option<Cframe>,
    pub frame_state: Option<FrameState>,
    pub frame_owner: Option<FrameOwner>,
    pub gen_object: GenObject,
    pub coro_object: CoroObject,
    pub async_gen_object: AsyncGenObject,
    pub err_stack_item: ErrStackItem,
    pub cell_object: CellObject,
    pub method_object: MethodObject,
    pub cfunction_object: CfunctionObject,
    pub cmethod_object: Option<CmethodObject>,
    pub module_object: ModuleObject,
    pub module_def: ModuleDef,
    pub descr_object: DescrObject,
    pub property_object: PropertyObject,
    pub weakref_object: WeakrefObject,
    pub traceback_object: TracebackObject,
    pub classmethod_object: ClassmethodObject,
    pub staticmethod_object: StaticmethodObject,
    pub super_object: SuperObject,
    pub base_exception: BaseException,
    pub base_exception_group: Option<BaseExceptionGroup>,
    pub syntax_error: SyntaxError,
    pub import_error: ImportError,
    pub unicode_error: UnicodeError,
    pub system_exit: SystemExit,
    pub os_error: OsError,
    pub stop_iteration: StopIteration,
    pub lru_cache_object: LruCacheObject,
    pub lru_list_elem: LruListElem,
    pub partial_object: PartialObject,
    pub bytes_io: BytesIo,
    pub string_io: StringIo,
    pub buffered: Buffered,
    pub text_io: TextIo,
    pub array_object: Option<ArrayObject>,
    pub array_descr: Option<ArrayDescr>,
    pub struct_object: Option<StructObject>,
    pub struct_code: Option<StructCode>,
    pub dec_object: Option<DecObject>,
    pub dec_context: Option<DecContext>,
    pub pickler: Option<Pickler>,
    pub pickler_memo: Option<PicklerMemo>,
    pub pickler_memo_entry: Option<PicklerMemoEntry>,
    pub unpickler: Option<Unpickler>,
    pub pickle_data: Option<PickleData>,
    pub element_object: Option<ElementObject>,
    pub element_extra: Option<ElementExtra>,
    pub simple_queue: Option<SimpleQueue>,
    pub product_object: ProductObject,
    pub combinations_object: CombinationsObject,
    pub cwr_object: CwrObject,
    pub permutations_object: PermutationsObject,
    pub tee_data_object: TeeDataObject,
    pub ctypes_dict: Option<CtypesDict>,
    pub ctypes_info: Option<CtypesInfo>,
    pub ctypes_data: Option<CtypesData>,
    pub mmap_object: Option<MmapObject>,
    pub file_io: Option<FileIo>,
    pub socket_object: Option<SocketObject>,
    pub epoll_object: Option<EpollObject>,
    pub pattern_object: PatternObject,
    pub match_object: MatchObject,
    pub context_object: ContextObject,
    pub hamt_object: HamtObject,
    pub hamt_node_bitmap: HamtNodeBitmap,
    pub hamt_node_array: HamtNodeArray,
    pub hamt_node_collision: HamtNodeCollision,
    pub contextvar_object: ContextvarObject,
    pub template_object: Option<TemplateObject>,
    pub runtime_state: RuntimeState,
    pub debug_offsets: Option<DebugOffsets>,
    pub interpreter_state: InterpreterState,
    pub thread_state: ThreadState,
    pub thread_state_impl: Option<ThreadStateImpl>,
    pub stack_chunk: Option<StackChunk>,
    pub gc_state: GcState,
    pub gc_generation: GcGeneration,
    pub gc_generation_stats: GcGenerationStats,
    pub gc_stats: Option<GcStats>,
    pub gc_young_stats: Option<GcYoungStats>,
    pub gc_old_stats: Option<GcOldStats>,
    pub types_state: Option<TypesState>,
    pub managed_static_type_state: Option<ManagedStaticTypeState>,
    pub arena_object: Option<ArenaObject>,
    pub pool_header: Option<PoolHeader>,
    pub obmalloc_state: Option<ObmallocState>,
    pub mimalloc_interp: Option<MimallocInterp>,
    pub mimalloc_thread: Option<MimallocThread>,
    pub mi_heap: Option<MiHeap>,
    pub mi_page_queue: Option<MiPageQueue>,
    pub mi_page: Option<MiPage>,
    pub mi_segment: Option<MiSegment>,
    pub mi_abandoned_pool: Option<MiAbandonedPool>,
    /// C types whose objects refer to others only from fixed places.
    pub fixed: &'static [FixedShape],
}

/// `_object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    pub size: u32, pub ob_refcnt: Option<u32>, pub ob_type: u32, pub ob_tid: Option<u32>,
    pub ob_flags: Option<u32>, pub ob_mutex: Option<u32>, pub ob_gc_bits: Option<u32>,
    pub ob_ref_local: Option<u32>, pub ob_ref_shared: Option<u32>, pub _ob_next: Option<u32>,
    pub _ob_prev: Option<u32>,
}

/// `PyVarObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarObject {
    pub size: u32, pub ob_size: u32,
}

/// `PyGC_Head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcHead {
    pub size: u32, pub _gc_next: u32, pub _gc_prev: u32,
}

/// `_typeobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeObject {
    pub size: u32, pub tp_name: u32, pub tp_basicsize: u32, pub tp_itemsize: u32, pub tp_dealloc: u32,
    pub tp_repr: u32, pub tp_flags: u32, pub tp_doc: u32, pub tp_traverse: u32, pub tp_clear: u32,
    pub tp_weaklistoffset: u32, pub tp_iter: u32, pub tp_methods: u32, pub tp_members: u32,
    pub tp_getset: u32, pub tp_base: u32, pub tp_dict: u32, pub tp_dictoffset: u32, pub tp_init: u32,
    pub tp_alloc: u32, pub tp_new: u32, pub tp_free: u32, pub tp_is_gc: u32, pub tp_bases: u32,
    pub tp_mro: u32, pub tp_cache: u32, pub tp_subclasses: u32, pub tp_weaklist: u32, pub tp_version_tag: u32,
}

/// `_heaptypeobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapTypeObject {
    pub size: u32, pub ht_name: u32, pub ht_slots: u32, pub ht_qualname: u32, pub ht_cached_keys: u32,
    pub ht_module: Option<u32>, pub _ht_tpname: Option<u32>, pub _spec_cache: Option<u32>,
    pub _spec_cache_getitem: Option<u32>, pub _spec_cache_init: Option<u32>, pub ht_token: Option<u32>,
    pub unique_id: Option<u32>,
}

/// `PyMemberDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberDef {
    pub size: u32, pub name: u32, pub r#type: u32, pub offset: u32, pub flags: u32,
}

/// `PyMethodDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodDef {
    pub size: u32, pub ml_name: u32, pub ml_meth: u32, pub ml_flags: u32,
}

/// `PyListObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListObject {
    pub size: u32, pub ob_item: u32, pub allocated: u32,
}

/// `_PyListArray`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListArray {
    pub size: u32, pub allocated: u32, pub ob_item: u32,
}

/// `PyTupleObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleObject {
    pub size: u32, pub ob_item: u32, pub ob_hash: Option<u32>,
}

/// `PyDictObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictObject {
    pub size: u32, pub ma_used: u32, pub ma_version_tag: Option<u32>, pub ma_keys: u32, pub ma_values: u32,
}

/// `_dictkeysobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictKeys {
    pub size: u32, pub dk_refcnt: u32, pub dk_size: Option<u32>, pub dk_lookup: Option<u32>,
    pub dk_log2_size: Option<u32>, pub dk_log2_index_bytes: Option<u32>, pub dk_kind: Option<u32>,
    pub dk_usable: u32, pub dk_nentries: u32, pub dk_indices: u32,
}

/// `_dictvalues`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictValues {
    pub size: u32, pub capacity: Option<u32>, pub size_: Option<u32>, pub embedded: Option<u32>,
    pub valid: Option<u32>, pub values: u32,
}

/// `PyDictKeyEntry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictKeyEntry {
    pub size: u32, pub me_hash: u32, pub me_key: u32, pub me_value: u32,
}

/// `PyDictUnicodeEntry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictUnicodeEntry {
    pub size: u32, pub me_key: u32, pub me_value: u32,
}

/// `PyFrozenDictObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrozenDictObject {
    pub size: u32, pub ma_hash: u32,
}

/// `_PyDictViewObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictViewObject {
    pub size: u32, pub dv_dict: u32,
}

/// `dictiterobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictIterObject {
    pub size: u32, pub di_dict: u32, pub di_result: u32,
}

/// `PySetObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetObject {
    pub size: u32, pub fill: u32, pub used: u32, pub mask: u32, pub table: u32, pub hash: u32,
    pub finger: u32, pub smalltable: u32, pub smalltable_count: u32, pub weakreflist: u32,
}

/// `setentry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetEntry {
    pub size: u32, pub key: u32, pub hash: u32,
}

/// `_odictobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OdictObject {
    pub size: u32, pub od_fast_nodes: u32, pub od_fast_nodes_size: u32, pub od_first: u32, pub od_last: u32,
    pub od_inst_dict: u32, pub od_weakreflist: u32,
}

/// `_odictnode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OdictNode {
    pub size: u32, pub key: u32, pub hash: u32, pub next: u32, pub prev: u32,
}

/// `dequeobject` or `dequeobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DequeObject {
    pub size: u32, pub leftblock: u32, pub rightblock: u32, pub leftindex: u32, pub rightindex: u32,
    pub state: u32, pub numfreeblocks: Option<u32>, pub freeblocks: Option<u32>, pub maxlen: u32,
    pub weakreflist: u32,
}

/// `BLOCK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DequeBlock {
    pub size: u32, pub leftlink: u32, pub data: u32, pub data_count: u32, pub rightlink: u32,
}

/// `defdictobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefdictObject {
    pub size: u32, pub default_factory: u32,
}

/// `PyBytesObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesObject {
    pub size: u32, pub ob_shash: u32, pub ob_sval: u32,
}

/// `PyByteArrayObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytearrayObject {
    pub size: u32, pub ob_alloc: Option<u32>, pub ob_bytes: u32, pub ob_start: u32, pub ob_exports: u32,
    pub ob_bytes_object: Option<u32>,
}

/// `_longobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongObject {
    pub size: u32, pub lv_tag: Option<u32>, pub ob_digit: u32, pub digit_size: u32,
}

/// `PyFloatObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloatObject {
    pub size: u32, pub ob_fval: u32,
}

/// `PyComplexObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComplexObject {
    pub size: u32, pub cval: u32,
}

/// `PyASCIIObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsciiObject {
    pub size: u32, pub length: u32, pub hash: u32, pub state: u32, pub interned: BitField, pub kind: BitField,
    pub compact: BitField, pub ascii: BitField, pub ready: Option<BitField>,
    pub statically_allocated: Option<BitField>, pub wstr: Option<u32>,
}

/// `PyCompactUnicodeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactUnicodeObject {
    pub size: u32, pub utf8_length: u32, pub utf8: u32, pub wstr_length: Option<u32>,
}

/// `PyUnicodeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnicodeObject {
    pub size: u32, pub data: u32,
}

/// `PySliceObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceObject {
    pub size: u32, pub start: u32, pub stop: u32, pub step: u32,
}

/// `rangeobject` or `_PyRangeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeObject {
    pub size: u32, pub start: u32, pub stop: u32, pub step: u32, pub length: u32,
}

/// `PyMemoryViewObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryviewObject {
    pub size: u32, pub mbuf: u32, pub hash: u32, pub flags: u32, pub exports: u32, pub view: u32,
    pub weakreflist: u32, pub ob_array: u32,
}

/// `_PyManagedBufferObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagedBufferObject {
    pub size: u32, pub flags: u32, pub exports: u32, pub master: u32,
}

/// `Py_buffer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    pub size: u32, pub buf: u32, pub obj: u32, pub len: u32, pub itemsize: u32, pub readonly: u32,
    pub ndim: u32, pub format: u32, pub shape: u32, pub strides: u32, pub suboffsets: u32,
}

/// `PyFunctionObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionObject {
    pub size: u32, pub func_code: u32, pub func_globals: u32, pub func_builtins: Option<u32>,
    pub func_defaults: u32, pub func_kwdefaults: u32, pub func_closure: u32, pub func_doc: u32,
    pub func_name: u32, pub func_qualname: u32, pub func_dict: u32, pub func_weakreflist: u32,
    pub func_module: u32, pub func_annotations: u32, pub func_annotate: Option<u32>,
    pub func_typeparams: Option<u32>,
}

/// `PyCodeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeObject {
    pub size: u32, pub co_argcount: u32, pub co_flags: u32, pub co_stacksize: u32, pub co_firstlineno: u32,
    pub co_nlocals: u32, pub co_code: Option<u32>, pub co_consts: u32, pub co_names: u32,
    pub co_varnames: Option<u32>, pub co_freevars: Option<u32>, pub co_cellvars: Option<u32>,
    pub co_cell2arg: Option<u32>, pub co_zombieframe: Option<u32>, pub co_opcache_map: Option<u32>,
    pub co_opcache: Option<u32>, pub co_opcache_size: Option<u32>, pub co_filename: u32, pub co_name: u32,
    pub co_qualname: Option<u32>, pub co_lnotab: u32, pub co_exceptiontable: Option<u32>,
    pub co_nlocalsplus: Option<u32>, pub co_framesize: Option<u32>, pub co_ncellvars: Option<u32>,
    pub co_nfreevars: Option<u32>, pub co_localsplusnames: Option<u32>, pub co_localspluskinds: Option<u32>,
    pub co_weakreflist: u32, pub co_extra: u32, pub _co_code: Option<u32>, pub _co_cached: Option<u32>,
    pub _co_linearray: Option<u32>, pub co_executors: Option<u32>, pub _co_monitoring: Option<u32>,
    pub _co_unique_id: Option<u32>, pub co_tlbc: Option<u32>, pub co_code_adaptive: Option<u32>,
}

/// `_PyCoCached`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeCached {
    pub size: u32, pub _co_code: u32, pub _co_varnames: u32, pub _co_cellvars: u32, pub _co_freevars: u32,
}

/// `_PyCodeObjectExtra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeExtra {
    pub size: u32, pub ce_size: u32, pub ce_extras: u32,
}

/// `_PyOpcache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcache {
    pub size: u32,
}

/// `_frame`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameObject {
    pub size: u32, pub f_back: u32, pub f_frame: Option<u32>, pub f_trace: u32, pub f_lineno: u32,
    pub f_code: Option<u32>, pub f_builtins: Option<u32>, pub f_globals: Option<u32>,
    pub f_locals: Option<u32>, pub f_valuestack: Option<u32>, pub f_stacktop: Option<u32>,
    pub f_stackdepth: Option<u32>, pub f_state: Option<u32>, pub f_gen: Option<u32>, pub f_lasti: Option<u32>,
    pub f_executing: Option<u32>, pub f_localsplus: Option<u32>, pub f_extra_locals: Option<u32>,
    pub f_locals_cache: Option<u32>, pub f_overwritten_fast_locals: Option<u32>,
    pub _f_frame_data: Option<u32>,
}

/// `_PyInterpreterFrame`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterpreterFrame {
    pub size: u32, pub executable: u32, pub previous: u32, pub f_funcobj: u32, pub f_globals: u32,
    pub f_builtins: u32, pub f_locals: u32, pub frame_obj: u32, pub prev_instr: u32,
    pub stacktop: Option<u32>, pub stackpointer: Option<u32>, pub is_entry: Option<u32>, pub owner: u32,
    pub tlbc_index: Option<u32>, pub localsplus: u32,
}

/// `_PyCFrame` or `CFrame` or `_cframe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cframe {
    pub size: u32, pub current_frame: Option<u32>, pub previous: u32,
}

/// Enumerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameState {
    pub frame_created: Option<i32>, pub frame_suspended: Option<i32>,
    pub frame_suspended_yield_from: Option<i32>, pub frame_suspended_yield_from_locked: Option<i32>,
    pub frame_executing: Option<i32>, pub frame_unwinding: Option<i32>, pub frame_returned: Option<i32>,
    pub frame_raised: Option<i32>, pub frame_completed: Option<i32>, pub frame_cleared: Option<i32>,
}

/// Enumerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameOwner {
    pub frame_owned_by_thread: Option<i32>, pub frame_owned_by_generator: Option<i32>,
    pub frame_owned_by_frame_object: Option<i32>, pub frame_owned_by_cstack: Option<i32>,
    pub frame_owned_by_interpreter: Option<i32>,
}

/// `PyGenObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenObject {
    pub size: u32, pub gi_frame: Option<u32>, pub gi_running: Option<u32>, pub gi_code: Option<u32>,
    pub gi_weakreflist: u32, pub gi_name: u32, pub gi_qualname: u32, pub exc_value: u32,
    pub exc_type: Option<u32>, pub exc_traceback: Option<u32>, pub gi_origin_or_finalizer: Option<u32>,
    pub gi_frame_state: Option<u32>, pub gi_iframe: Option<u32>,
}

/// `PyCoroObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoroObject {
    pub size: u32, pub cr_origin: u32,
}

/// `PyAsyncGenObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncGenObject {
    pub size: u32, pub ag_finalizer: u32,
}

/// `_err_stackitem`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrStackItem {
    pub size: u32, pub exc_type: Option<u32>, pub exc_value: u32, pub exc_traceback: Option<u32>,
    pub previous_item: u32,
}

/// `PyCellObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellObject {
    pub size: u32, pub ob_ref: u32,
}

/// `PyMethodObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodObject {
    pub size: u32, pub im_func: u32, pub im_self: u32, pub im_weakreflist: u32,
}

/// `PyCFunctionObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CfunctionObject {
    pub size: u32, pub m_ml: u32, pub m_self: u32, pub m_module: u32, pub m_weakreflist: u32,
}

/// `PyCMethodObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CmethodObject {
    pub size: u32, pub mm_class: u32,
}

/// `PyModuleObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleObject {
    pub size: u32, pub md_dict: u32, pub md_def: Option<u32>, pub md_state: u32,
    pub md_state_size: Option<u32>, pub md_state_traverse: Option<u32>, pub md_weaklist: u32,
    pub md_name: u32,
}

/// `PyModuleDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleDef {
    pub size: u32, pub m_name: u32, pub m_size: u32, pub m_traverse: u32,
}

/// `PyDescrObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescrObject {
    pub size: u32, pub d_type: u32, pub d_name: u32, pub d_qualname: u32,
}

/// `propertyobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PropertyObject {
    pub size: u32, pub prop_get: u32, pub prop_set: u32, pub prop_del: u32, pub prop_doc: u32,
    pub prop_name: Option<u32>,
}

/// `_PyWeakReference`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeakrefObject {
    pub size: u32, pub wr_object: u32, pub wr_callback: u32, pub wr_prev: u32, pub wr_next: u32,
}

/// `_traceback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracebackObject {
    pub size: u32, pub tb_next: u32, pub tb_frame: u32,
}

/// `classmethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassmethodObject {
    pub size: u32, pub cm_callable: u32, pub cm_dict: u32,
}

/// `staticmethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticmethodObject {
    pub size: u32, pub sm_callable: u32, pub sm_dict: u32,
}

/// `superobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperObject {
    pub size: u32, pub r#type: u32, pub obj: u32, pub obj_type: u32,
}

/// `PyBaseExceptionObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseException {
    pub size: u32, pub dict: u32, pub args: u32, pub notes: Option<u32>, pub traceback: u32, pub context: u32,
    pub cause: u32,
}

/// `PyBaseExceptionGroupObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseExceptionGroup {
    pub size: u32, pub msg: u32, pub excs: u32,
}

/// `PySyntaxErrorObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    pub size: u32,
}

/// `PyImportErrorObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportError {
    pub size: u32,
}

/// `PyUnicodeErrorObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnicodeError {
    pub size: u32,
}

/// `PySystemExitObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemExit {
    pub size: u32, pub code: u32,
}

/// `PyOSErrorObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError {
    pub size: u32,
}

/// `PyStopIterationObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopIteration {
    pub size: u32, pub value: u32,
}

/// `lru_cache_object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LruCacheObject {
    pub size: u32, pub root: u32, pub maxsize: u32, pub hits: u32, pub misses: u32, pub func: u32,
    pub cache: u32, pub cache_info_type: u32, pub lru_list_elem_type: Option<u32>, pub kwd_mark: Option<u32>,
    pub dict: u32, pub weakreflist: Option<u32>,
}

/// `lru_list_elem`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LruListElem {
    pub size: u32, pub prev: u32, pub next: u32, pub hash: u32, pub key: u32, pub result: u32,
}

/// `partialobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialObject {
    pub size: u32, pub fn_: u32, pub args: u32, pub kw: u32, pub dict: u32, pub weakreflist: u32,
}

/// `bytesio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesIo {
    pub size: u32, pub buf: u32, pub string_size: u32, pub dict: u32, pub weakreflist: u32, pub exports: u32,
}

/// `stringio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringIo {
    pub size: u32, pub buf: u32, pub buf_size: u32, pub accu: Option<u32>, pub dict: u32,
}

/// `buffered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffered {
    pub size: u32, pub raw: u32, pub buffer: u32, pub buffer_size: u32, pub dict: u32,
}

/// `textio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextIo {
    pub size: u32, pub buffer: u32, pub dict: u32,
}

/// `arrayobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayObject {
    pub size: u32, pub ob_item: u32, pub allocated: u32, pub ob_descr: u32,
}

/// `arraydescr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayDescr {
    pub size: u32, pub typecode: u32, pub itemsize: u32,
}

/// `PyStructObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructObject {
    pub size: u32, pub s_size: u32, pub s_len: u32, pub s_codes: u32, pub s_format: u32,
}

/// `_formatcode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructCode {
    pub size: u32, pub fmtdef: u32,
}

/// `PyDecObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecObject {
    pub size: u32, pub dec: u32, pub flags: u32, pub alloc: u32, pub data: u32,
}

/// `PyDecContextObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecContext {
    pub size: u32,
}

/// `PicklerObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pickler {
    pub size: u32, pub memo: u32, pub pers_func: Option<u32>, pub persistent_id: Option<u32>,
    pub persistent_id_attr: Option<u32>, pub dispatch_table: u32, pub reducer_override: Option<u32>,
    pub write: u32, pub output_buffer: u32, pub fast_memo: u32, pub buffer_callback: Option<u32>,
}

/// `PyMemoTable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PicklerMemo {
    pub size: u32, pub mt_mask: u32, pub mt_used: u32, pub mt_allocated: u32, pub mt_table: u32,
}

/// `PyMemoEntry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PicklerMemoEntry {
    pub size: u32, pub me_key: u32, pub me_value: u32,
}

/// `UnpicklerObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpickler {
    pub size: u32, pub stack: u32, pub memo: u32, pub memo_size: u32, pub memo_len: u32, pub marks: u32,
    pub marks_size: u32, pub input_line: u32, pub encoding: u32, pub errors: u32, pub read: u32,
    pub readinto: Option<u32>, pub readline: u32, pub peek: u32, pub pers_func: Option<u32>,
    pub persistent_load: Option<u32>, pub buffers: Option<u32>,
}

/// `Pdata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickleData {
    pub size: u32, pub data: u32, pub allocated: Option<u32>,
}

/// `ElementObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementObject {
    pub size: u32, pub tag: u32, pub text: u32, pub tail: u32, pub extra: u32,
}

/// `ElementObjectExtra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementExtra {
    pub size: u32, pub attrib: u32, pub length: u32, pub allocated: u32, pub children: u32,
    pub children_inline: u32, pub children_inline_count: u32,
}

/// `simplequeueobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimpleQueue {
    pub size: u32, pub lst: Option<u32>, pub lst_pos: Option<u32>, pub buf: Option<u32>,
    pub buf_cap: Option<u32>, pub first: Option<u32>, pub num_items: Option<u32>, pub weakreflist: u32,
}

/// `productobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductObject {
    pub size: u32, pub pools: u32, pub indices: u32, pub result: u32,
}

/// `combinationsobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CombinationsObject {
    pub size: u32, pub pool: u32, pub indices: u32, pub result: u32, pub r: u32,
}

/// `cwrobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CwrObject {
    pub size: u32, pub pool: u32, pub indices: u32, pub result: u32, pub r: u32,
}

/// `permutationsobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermutationsObject {
    pub size: u32, pub pool: u32, pub indices: u32, pub cycles: u32, pub result: u32, pub r: u32,
}

/// `teedataobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeeDataObject {
    pub size: u32, pub it: u32, pub numread: u32, pub nextlink: u32, pub values: u32, pub values_count: u32,
}

/// `StgDictObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtypesDict {
    pub size: u32, pub proto: u32, pub length: u32, pub ndim: u32, pub format: u32, pub shape: u32,
    pub ffi_elements: u32,
}

/// `StgInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtypesInfo {
    pub size: u32, pub initialized: u32, pub proto: u32, pub argtypes: u32, pub converters: u32,
    pub restype: u32, pub checker: u32, pub module: Option<u32>, pub pointer_type: Option<u32>,
    pub length: u32, pub ndim: u32, pub format: u32, pub shape: u32, pub ffi_elements: u32,
}

/// `CDataObject` or `tagCDataObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtypesData {
    pub size: u32, pub b_ptr: u32, pub b_needsfree: u32, pub b_base: u32, pub b_size: u32, pub b_length: u32,
    pub b_index: u32, pub b_objects: u32, pub b_value: u32,
}

/// `mmap_object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MmapObject {
    pub size: u32, pub data: u32, pub size_: u32, pub fd: u32,
}

/// `fileio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIo {
    pub size: u32, pub fd: u32, pub closefd: BitField,
}

/// `PySocketSockObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketObject {
    pub size: u32, pub sock_fd: u32,
}

/// `pyEpoll_Object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpollObject {
    pub size: u32, pub epfd: u32,
}

/// `PatternObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternObject {
    pub size: u32, pub groups: u32, pub groupindex: u32, pub indexgroup: u32, pub pattern: u32,
}

/// `MatchObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchObject {
    pub size: u32, pub string: u32, pub regs: u32, pub pattern: u32, pub mark: u32,
}

/// `_pycontextobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextObject {
    pub size: u32, pub ctx_prev: u32, pub ctx_vars: u32, pub ctx_weakreflist: u32,
}

/// `PyHamtObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HamtObject {
    pub size: u32, pub h_root: u32,
}

/// `PyHamtNode_Bitmap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HamtNodeBitmap {
    pub size: u32, pub b_bitmap: u32, pub b_array: u32,
}

/// `PyHamtNode_Array`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HamtNodeArray {
    pub size: u32, pub a_array: u32, pub a_array_count: u32, pub a_count: u32,
}

/// `PyHamtNode_Collision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HamtNodeCollision {
    pub size: u32, pub c_hash: u32, pub c_array: u32,
}

/// `_pycontextvarobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextvarObject {
    pub size: u32, pub var_name: u32, pub var_default: u32,
}

/// `templateobject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateObject {
    pub size: u32, pub strings: u32, pub interpolations: u32,
}

/// `pyruntimestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeState {
    pub size: u32, pub debug_offsets: Option<u32>, pub initialized: u32, pub finalizing: u32,
    pub main_thread: u32, pub allocator: u32, pub interpreters_head: u32, pub interpreters_main: u32,
    pub gc: Option<u32>, pub small_ints: Option<u32>, pub static_types: Option<u32>,
}

/// `_Py_DebugOffsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebugOffsets {
    pub size: u32, pub cookie: u32, pub version: u32, pub free_threaded: u32, pub runtime_state_size: u32,
    pub runtime_state_finalizing: u32, pub runtime_state_interpreters_head: u32,
    pub interpreter_state_size: u32, pub interpreter_state_id: u32, pub interpreter_state_next: u32,
    pub interpreter_state_threads_head: u32, pub interpreter_state_threads_main: Option<u32>,
    pub interpreter_state_gc: u32, pub interpreter_state_imports_modules: u32,
    pub interpreter_state_sysdict: u32, pub interpreter_state_builtins: u32, pub thread_state_size: u32,
    pub thread_state_prev: u32, pub thread_state_next: u32, pub thread_state_interp: u32,
    pub thread_state_current_frame: u32, pub thread_state_base_frame: Option<u32>,
    pub thread_state_thread_id: u32, pub thread_state_native_thread_id: u32,
    pub thread_state_datastack_chunk: u32, pub thread_state_status: u32,
    pub thread_state_current_exception: Option<u32>, pub thread_state_exc_state: Option<u32>,
    pub err_stackitem_exc_value: Option<u32>, pub interpreter_frame_size: u32,
    pub interpreter_frame_previous: u32, pub interpreter_frame_executable: u32,
    pub interpreter_frame_instr_ptr: u32, pub interpreter_frame_localsplus: u32,
    pub interpreter_frame_owner: u32, pub interpreter_frame_stackpointer: Option<u32>,
    pub interpreter_frame_tlbc_index: Option<u32>, pub code_object_size: u32, pub code_object_filename: u32,
    pub code_object_name: u32, pub code_object_qualname: u32, pub code_object_linetable: u32,
    pub code_object_firstlineno: u32, pub code_object_argcount: u32, pub code_object_localsplusnames: u32,
    pub code_object_localspluskinds: u32, pub code_object_co_code_adaptive: u32,
    pub code_object_co_tlbc: Option<u32>, pub pyobject_size: u32, pub pyobject_ob_type: u32,
    pub type_object_size: u32, pub type_object_tp_name: u32, pub type_object_tp_repr: u32,
    pub type_object_tp_flags: u32, pub type_object_tp_basicsize: Option<u32>,
    pub type_object_tp_dictoffset: Option<u32>, pub heap_type_object_size: Option<u32>,
    pub heap_type_object_ht_cached_keys: Option<u32>, pub tuple_object_size: u32,
    pub tuple_object_ob_item: u32, pub tuple_object_ob_size: u32, pub list_object_size: u32,
    pub list_object_ob_item: u32, pub list_object_ob_size: u32, pub set_object_size: Option<u32>,
    pub set_object_used: Option<u32>, pub set_object_table: Option<u32>, pub set_object_mask: Option<u32>,
    pub dict_object_size: u32, pub dict_object_ma_keys: u32, pub dict_object_ma_values: u32,
    pub float_object_size: u32, pub float_object_ob_fval: u32, pub long_object_size: u32,
    pub long_object_lv_tag: u32, pub long_object_ob_digit: u32, pub bytes_object_size: u32,
    pub bytes_object_ob_size: u32, pub bytes_object_ob_sval: u32, pub unicode_object_size: u32,
    pub unicode_object_state: u32, pub unicode_object_length: u32, pub unicode_object_asciiobject_size: u32,
    pub unicode_object_compactunicodeobject_size: Option<u32>, pub gc_size: u32, pub gc_collecting: u32,
    pub gc_frame: Option<u32>, pub gc_generation_stats_size: Option<u32>,
    pub gc_generation_stats: Option<u32>, pub gen_object_size: Option<u32>,
    pub gen_object_gi_name: Option<u32>, pub gen_object_gi_iframe: Option<u32>,
    pub gen_object_gi_frame_state: Option<u32>,
}

/// `_is`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterpreterState {
    pub size: u32, pub next: u32, pub id: u32, pub threads_head: u32, pub threads_main: Option<u32>,
    pub modules: u32, pub sysdict: u32, pub builtins: u32, pub gc: Option<u32>, pub types: Option<u32>,
    pub obmalloc: Option<u32>, pub mimalloc: Option<u32>, pub codec_search_path: u32,
    pub codec_search_cache: u32, pub codec_error_registry: u32, pub cached_objects: Option<u32>,
    pub interned_strings: Option<u32>, pub dict: u32, pub before_forkers: Option<u32>,
    pub after_forkers_parent: Option<u32>, pub after_forkers_child: Option<u32>,
    pub builtins_copy: Option<u32>, pub importlib: u32, pub import_func: u32, pub audit_hooks: u32,
    pub brc: Option<u32>, pub unique_ids: Option<u32>,
}

/// `_ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    pub size: u32, pub prev: u32, pub next: u32, pub interp: u32, pub frame: Option<u32>,
    pub cframe: Option<u32>, pub current_frame: Option<u32>, pub base_frame: Option<u32>, pub thread_id: u32,
    pub native_thread_id: Option<u32>, pub id: u32, pub dict: u32, pub async_exc: u32, pub exc_info: u32,
    pub exc_state: u32, pub curexc_type: Option<u32>, pub curexc_value: Option<u32>,
    pub curexc_traceback: Option<u32>, pub current_exception: Option<u32>, pub c_profileobj: u32,
    pub c_traceobj: u32, pub context: u32, pub async_gen_firstiter: u32, pub async_gen_finalizer: u32,
    pub datastack_chunk: Option<u32>, pub datastack_top: Option<u32>, pub datastack_limit: Option<u32>,
    pub state: Option<u32>, pub status: Option<u32>, pub gilstate_counter: u32,
}

/// `_PyThreadStateImpl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadStateImpl {
    pub size: u32, pub base: u32, pub asyncio_running_loop: Option<u32>,
    pub asyncio_running_task: Option<u32>, pub mimalloc: Option<u32>, pub mimalloc_heaps: Option<u32>,
    pub mimalloc_heaps_count: Option<u32>, pub mimalloc_current_object_heap: Option<u32>,
    pub freelists: Option<u32>,
}

/// `_stack_chunk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackChunk {
    pub size: u32, pub previous: u32, pub size_: u32, pub top: u32, pub data: u32,
}

/// `_gc_runtime_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcState {
    pub size: u32, pub enabled: u32, pub collecting: u32, pub generations: Option<u32>,
    pub young: Option<u32>, pub old: Option<u32>, pub generation0: Option<u32>, pub permanent_generation: u32,
    pub generation_stats: u32, pub generation_stats_stride: Option<u32>, pub garbage: u32, pub callbacks: u32,
    pub frame: Option<u32>, pub long_lived_total: Option<u32>, pub long_lived_pending: Option<u32>,
    pub immortalize: Option<u32>,
}

/// `gc_generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcGeneration {
    pub size: u32, pub head: u32, pub threshold: u32, pub count: u32,
}

/// `gc_generation_stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcGenerationStats {
    pub size: u32, pub collections: u32, pub collected: u32, pub uncollectable: u32,
}

/// `gc_stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcStats {
    pub size: u32, pub young: u32, pub old: u32, pub old_stride: u32,
}

/// `gc_young_stats_buffer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcYoungStats {
    pub size: u32, pub items: u32, pub items_count: u32, pub index: u32,
}

/// `gc_old_stats_buffer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOldStats {
    pub size: u32, pub items: u32, pub items_count: u32, pub index: u32,
}

/// `types_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypesState {
    pub size: u32, pub builtins: u32, pub for_extensions: Option<u32>,
    pub num_builtins_initialized: Option<u32>, pub builtins_count: u32, pub for_extensions_count: Option<u32>,
    pub next_version_tag: Option<u32>,
}

/// `managed_static_type_state` or `static_builtin_state` or `managed_static_type_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagedStaticTypeState {
    pub size: u32, pub r#type: Option<u32>, pub tp_dict: u32, pub tp_subclasses: u32, pub tp_weaklist: u32,
}

/// `arena_object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaObject {
    pub size: u32, pub address: u32, pub pool_address: u32, pub nfreepools: u32, pub ntotalpools: u32,
    pub freepools: u32,
}

/// `pool_header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolHeader {
    pub size: u32, pub ref_count: u32, pub freeblock: u32, pub nextpool: u32, pub prevpool: u32,
    pub arenaindex: u32, pub szidx: u32, pub nextoffset: u32, pub maxnextoffset: u32,
}

/// `_obmalloc_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObmallocState {
    pub size: u32, pub pools: u32, pub mgmt: u32, pub arenas: u32, pub maxarenas: u32,
    pub narenas_currently_allocated: u32, pub raw_allocated_blocks: u32, pub usage: Option<u32>,
}

/// `_mimalloc_interp_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MimallocInterp {
    pub size: u32, pub abandoned_pool: Option<u32>,
}

/// `_mimalloc_thread_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MimallocThread {
    pub size: u32, pub heaps: u32, pub heaps_count: u32, pub current_object_heap: u32, pub tld: u32,
}

/// `mi_heap_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiHeap {
    pub size: u32, pub tld: u32, pub thread_id: u32, pub page_count: u32, pub pages: u32,
    pub pages_count: u32, pub next: u32,
}

/// `mi_page_queue_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiPageQueue {
    pub size: u32, pub first: u32, pub last: u32, pub block_size: u32,
}

/// `mi_page_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiPage {
    pub size: u32, pub slice_count: Option<u32>, pub slice_offset: Option<u32>, pub is_committed: BitField,
    pub tag: Option<BitField>, pub use_qsbr: Option<BitField>, pub capacity: u32, pub reserved: u32,
    pub free: u32, pub used: u32, pub block_size_shift: Option<u32>, pub heap_tag: Option<u32>,
    pub xblock_size: u32, pub local_free: u32, pub xthread_free: u32, pub xheap: u32, pub next: u32,
    pub prev: u32,
}

/// `mi_segment_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiSegment {
    pub size: u32, pub abandoned_next: Option<u32>, pub subproc: Option<u32>,
    pub abandoned_os_next: Option<u32>, pub abandoned_visits: u32, pub used: u32, pub segment_slices: u32,
    pub segment_info_slices: u32, pub memid_block_index: Option<u32>, pub memid_kind: Option<u32>,
    pub slice_entries: u32, pub thread_id: u32, pub slices: u32, pub slices_stride: u32,
}

/// `mi_abandoned_pool_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiAbandonedPool {
    pub size: u32, pub abandoned_visited: u32, pub abandoned: u32,
}
