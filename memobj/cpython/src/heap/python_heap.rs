//! The heap of a Python: its memory, its layout, and the landmarks by which its types are recognized.

use crate::layout::encoding::StaticTypeState;
use crate::layout::{Layout, flags};
use crate::runtime::Runtime;
use crate::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::{Memory, Unreadable};

use crate::object::memory_ext::MemoryExt;
use crate::object::{dict, str_header};

/// Static types whose state an interpreter keeps at most (3.13: 200 of its own, 10 of extensions).
const MANAGED_STATIC_TYPES: u64 = 4096;

/// The heap of a Python.
#[derive(Debug)]
pub struct PythonHeap<'m, M> {
    /// Its memory.
    pub memory: &'m M,
    /// The layout of its objects.
    pub layout: &'m Layout,
    /// Its `_PyRuntime`.
    pub runtime: Addr,
    /// Its interpreters (`PyInterpreterState`), the main one first.
    pub interpreters: Vec<Addr>,
    /// Landmarks by which its types are recognized.
    pub landmarks: Landmarks,
}

/// Addresses by which types are recognized.
#[derive(Debug, Clone, Copy, Default)]
pub struct Landmarks {
    /// The type of all types.
    pub type_type: Addr,
    /// The type `object`.
    pub object: Addr,
    /// `subtype_traverse`, which visits what a `class` statement adds to instances.
    pub class_traverse: u64,
    /// `subtype_dealloc`, which every type has that a `class` statement made.
    pub class_dealloc: u64,
    /// `lookdict` (3.10 and older), which a table of keys of any type uses.
    pub general_lookup: Option<u64>,
}

impl<'m, M: Memory> PythonHeap<'m, M> {
    /// Finds the landmarks.
    ///
    /// # Errors
    /// The layout is of another Python.
    pub fn read(
        memory: &'m M,
        layout: &'m Layout,
        runtime: Addr,
        interpreters: &[Addr],
    ) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(
                stage::HEAP,
                format!("{what} of this Python cannot be followed"),
                "it may be starting or ending just now: try again; else please report it with its version",
            )
        };
        let mut python = Self {
            memory,
            layout,
            runtime,
            interpreters: interpreters.to_vec(),
            landmarks: Landmarks::default(),
        };
        let main = *interpreters.first().ok_or_else(|| wrong("the interpreters"))?;
        python.landmarks = python.read_landmarks(main).map_err(|_| wrong("the builtin types"))?;
        // Without the dicts of the builtin types all sizes would be wrong.
        let of_object = python.read_type_dict(python.landmarks.object);
        if !of_object
            .is_ok_and(|dict| python.read_dict_item(dict, "__sizeof__").is_ok_and(|item| item.is_some()))
        {
            return Err(wrong("the dicts of the builtin types"));
        }
        python.find_general_lookup();
        Ok(python)
    }

    /// The heap of all interpreters of `runtime`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_runtime(memory: &'m M, layout: &'m Layout, runtime: &Runtime) -> Result<Self, Error> {
        let main_first: Vec<Addr> =
            runtime.interpreters.iter().rev().map(|interpreter| interpreter.at).collect();
        Self::read(memory, layout, runtime.at, &main_first)
    }

    fn read_landmarks(&self, interpreter: Addr) -> Result<Landmarks, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        let type_of = |at: Addr| memory.read_pointer(at, layout.object.ob_type);
        let modules = memory.read_pointer(interpreter, layout.interpreter_state.modules)?;
        let builtins = memory.read_pointer(interpreter, layout.interpreter_state.builtins)?;
        let dict_type = type_of(modules)?;
        let type_type = type_of(dict_type)?;
        let object = memory.read_pointer(dict_type, layout.type_object.tp_base)?;
        // The import system of every Python is written in Python, and describes `builtins` by an instance of one of its classes.
        let spec =
            dict::read_item(memory, layout, builtins, "__spec__")?.ok_or(Unreadable { at: builtins })?;
        let class = type_of(spec)?;
        let flags = memory.read_word(class, layout.type_object.tp_flags)?;
        if flags & flags::HEAPTYPE == 0 || flags & flags::HAVE_GC == 0 {
            return Err(Unreadable { at: class });
        }
        Ok(Landmarks {
            type_type,
            object,
            class_traverse: memory.read_word(class, layout.type_object.tp_traverse)?,
            class_dealloc: memory.read_word(class, layout.type_object.tp_dealloc)?,
            general_lookup: None,
        })
    }

    /// Reads the type pointer of the object at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    #[inline]
    pub fn read_type_of(&self, at: Addr) -> Result<Addr, Unreadable> {
        self.memory.read_pointer(at, self.layout.object.ob_type)
    }

    /// Whether the type of the object at `at` has one of these flags.
    ///
    /// # Errors
    /// If its type or the flags of that cannot be read.
    #[inline]
    pub(super) fn has_type_flag(&self, at: Addr, flags: u64) -> Result<bool, Unreadable> {
        Ok(self.memory.read_word(self.read_type_of(at)?, self.layout.type_object.tp_flags)? & flags != 0)
    }

    /// Whether the type at `at` was made at run time.
    ///
    /// # Errors
    /// If its flags cannot be read.
    #[inline]
    pub fn read_is_heap_type(&self, at: Addr) -> Result<bool, Unreadable> {
        Ok(self.memory.read_word(at, self.layout.type_object.tp_flags)? & flags::HEAPTYPE != 0)
    }

    /// Reads the address of a type's dict; null if it has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_type_dict(&self, at: Addr) -> Result<Addr, Unreadable> {
        let dict = self.memory.read_pointer(at, self.layout.type_object.tp_dict)?;
        if !dict.is_null() {
            return Ok(dict);
        }
        Ok(self.read_static_state(at)?.map_or(Addr::NULL, |state| state.dict))
    }

    /// Reads the state that an interpreter keeps of a static type (3.12 and newer).
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_static_state(&self, at: Addr) -> Result<Option<StaticState>, Unreadable> {
        let layout = self.layout;
        if layout.encodings.static_types == StaticTypeState::InType {
            return Ok(None);
        }
        let (Some(known), Some(of_types), Some(types)) =
            (&layout.managed_static_type_state, &layout.types_state, layout.interpreter_state.types)
        else {
            return Ok(None);
        };
        // `tp_subclasses` of such a type holds its index plus one (`managed_static_type_index_get`).
        let index = self.memory.read_word(at, self.layout.type_object.tp_subclasses)?;
        if index == 0 || index > MANAGED_STATIC_TYPES {
            return Ok(None);
        }
        for interpreter in &self.interpreters {
            for array in [Some(of_types.builtins), of_types.for_extensions].into_iter().flatten() {
                let array = interpreter.plus(u64::from(types)).plus(u64::from(array));
                let record = array.plus(index.wrapping_sub(1).wrapping_mul(known.size.into()));
                let Some(named) = known.r#type else { continue };
                if self.memory.read_pointer(record, named)? == at {
                    return Ok(Some(StaticState {
                        dict: self.memory.read_pointer(record, known.tp_dict)?,
                        subclasses: self.memory.read_pointer(record, known.tp_subclasses)?,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Reads a string; `None` if the object at `at` is not a `str`.
    pub fn read_str(&self, at: Addr) -> Result<Option<String>, Unreadable> {
        let tp_flags = self.memory.read_word(self.read_type_of(at)?, self.layout.type_object.tp_flags)?;
        if tp_flags & flags::UNICODE_SUBCLASS == 0 {
            return Ok(None);
        }
        str_header::read_text(self.memory, self.layout, at).map(Some)
    }

    /// Reads an item of a dict; `None` if the object at `at` is not a dict, or lacks it.
    pub fn read_dict_item(&self, at: Addr, name: &str) -> Result<Option<Addr>, Unreadable> {
        let tp_flags = self.memory.read_word(self.read_type_of(at)?, self.layout.type_object.tp_flags)?;
        if tp_flags & flags::DICT_SUBCLASS == 0 {
            return Ok(None);
        }
        dict::read_item(self.memory, self.layout, at, name)
    }

    /// Reads the number of items of a named tuple of C, hidden ones too (`REAL_SIZE_TP` in `Objects/structseq.c`): the
    /// `n_fields` of its type.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_struct_sequence_fields(&self, ty: Addr) -> Result<u64, Unreadable> {
        let dict = self.read_type_dict(ty)?;
        let Some(fields) = self.read_dict_item(dict, "n_fields")? else { return Ok(0) };
        // A small `int`: its first digit.
        let digit = self.memory.read_int(fields, self.layout.long_object.ob_digit)?;
        Ok(u64::try_from(digit).unwrap_or(0))
    }

    /// Reads the address of the data of `ctypes` behind the type at `at` (3.13 and newer); `None` for an abstract type.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_ctypes_info(&self, at: Addr) -> Result<Option<Addr>, Unreadable> {
        let Some(known) = &self.layout.ctypes_info else { return Ok(None) };
        // `PyObject_GetTypeData`: aligned for anything.
        let struct_size = u64::from(self.layout.heap_type_object.size);
        let info = at.plus(struct_size.checked_next_multiple_of(16).unwrap_or(struct_size));
        Ok((self.memory.read_int(info, known.initialized)? != 0).then_some(info))
    }
}

/// The state that an interpreter keeps of a static type.
#[derive(Debug, Clone, Copy)]
pub struct StaticState {
    /// `tp_dict`.
    pub dict: Addr,
    /// `tp_subclasses`.
    pub subclasses: Addr,
}
