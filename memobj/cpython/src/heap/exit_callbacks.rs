//! The callbacks of `atexit`, which no object refers to: until 3.13 they are an array in C, later a list in the interpreter.
//!
//! Facts: `Modules/atexitmodule.c` of 3.8 to 3.15. Until 3.9 the module's state has the array (`atexitmodule_state`), then the interpreter
//! (`struct atexit_state` in `Include/internal/pycore_interp.h`, later in `pycore_atexit.h`). Its offset there differs from build to build, so
//! it is found by its contents.

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::python_heap::PythonHeap;
use crate::layout::flags;
use crate::object::memory_ext::MemoryExt;
use crate::object::{Objects, dict};

/// The number of callbacks by which the array grows.
const STEP: u32 = 16;
/// More callbacks than any program registers.
const MAX_CALLBACKS: u32 = 1 << 24;
/// Words of the state of the module.
const MODULE_STATE_WORDS: u64 = 2;

/// The callbacks in C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitCallbacks {
    /// Their functions, arguments and keyword arguments.
    pub held: Vec<Addr>,
    /// The address of their number, an `int`.
    pub count: Addr,
}

impl<M: Memory> PythonHeap<'_, M> {
    /// Reads the callbacks that an interpreter has in an array; `None` if there are none, or they are in a list.
    pub fn read_exit_callbacks(&self, interpreter: Addr) -> Option<ExitCallbacks> {
        let in_interpreter =
            self.find_callback_array(interpreter, u64::from(self.layout.interpreter_state.size) / 8);
        in_interpreter
            .or_else(|| self.find_callback_array(self.read_atexit_state(interpreter)?, MODULE_STATE_WORDS))
    }

    /// Whether the object at `at` is a list of callbacks: of tuples of a function, its arguments, and keyword arguments or `None`.
    pub fn is_exit_callback_list(&self, at: Addr) -> bool {
        self.read_is_callback_list(at).unwrap_or(false)
    }

    fn read_is_callback_list(&self, at: Addr) -> Result<bool, Unreadable> {
        let layout = self.layout;
        let count = |of: Addr| self.memory.read_count(of, layout.var_object.ob_size);
        if !self.has_type_flag(at, flags::LIST_SUBCLASS)? || !(1..=MAX_CALLBACKS.into()).contains(&count(at)?)
        {
            return Ok(false);
        }
        let is_callback = |item: Addr| -> Result<bool, Unreadable> {
            let parts = item.plus(layout.tuple_object.ob_item.into());
            let part = |offset: u32| self.memory.read_pointer(parts, offset);
            Ok(self.has_type_flag(item, flags::TUPLE_SUBCLASS)?
                && count(item)? == 3
                && self.are_arguments(part(8)?, part(16)?)?)
        };
        let items = self.memory.read_pointer(at, layout.list_object.ob_item)?;
        let mut are_callbacks = true;
        self.memory.read_words(items, count(at)?, |item| {
            are_callbacks = are_callbacks && is_callback(Addr(item)).unwrap_or(false);
        })?;
        Ok(are_callbacks)
    }

    /// The state of the module `atexit`.
    fn read_atexit_state(&self, interpreter: Addr) -> Option<Addr> {
        let layout = self.layout;
        let modules = self.memory.read_pointer(interpreter, layout.interpreter_state.modules).ok()?;
        let module = dict::read_item(self.memory, layout, modules, "atexit").ok()??;
        self.memory.read_pointer(module, layout.module_object.md_state).ok()
    }

    /// Finds an array of callbacks in a struct of `words` words: a pointer to it, its length and its room.
    fn find_callback_array(&self, at: Addr, words: u64) -> Option<ExitCallbacks> {
        let mut array = Addr::NULL;
        let mut here = at;
        let mut found = None;
        let _ = self.memory.read_words(at, words, |word| {
            let (count, room) = (word & u64::from(u32::MAX), word >> 32);
            let is_plausible = (1..=room).contains(&count)
                && room.is_multiple_of(STEP.into())
                && room <= MAX_CALLBACKS.into()
                && array.0 >= 4096
                && array.0.is_multiple_of(8);
            if is_plausible && found.is_none() {
                let held = self.read_callback_array(array, count).ok().flatten();
                found = held.map(|held| ExitCallbacks { held, count: here });
            }
            array = Addr(word);
            here = here.plus(8);
        });
        found
    }

    /// Reads an array of pointers to callbacks; `None` if it is another array. Those that were unregistered are null.
    fn read_callback_array(&self, array: Addr, count: u64) -> Result<Option<Vec<Addr>>, Unreadable> {
        let mut callbacks = Vec::new();
        self.memory.read_words(array, count, |callback| callbacks.push(Addr(callback)))?;
        let mut held = Vec::new();
        for callback in callbacks.into_iter().filter(|callback| !callback.is_null()) {
            let part = |offset: u32| self.memory.read_pointer(callback, offset);
            let (function, arguments, keywords) = (part(0)?, part(8)?, part(16)?);
            self.read_type_of(function)?;
            if !self.are_arguments(arguments, keywords)? {
                return Ok(None);
            }
            held.extend([function, arguments, keywords].into_iter().filter(|part| !part.is_null()));
        }
        Ok((!held.is_empty()).then_some(held))
    }

    /// Whether these can be the arguments of a callback.
    fn are_arguments(&self, arguments: Addr, keywords: Addr) -> Result<bool, Unreadable> {
        let objects = Objects::new(self.memory, self.layout);
        Ok(self.has_type_flag(arguments, flags::TUPLE_SUBCLASS)?
            && (keywords.is_null()
                || self.has_type_flag(keywords, flags::DICT_SUBCLASS)?
                || objects.is_none(keywords)))
    }
}
