//! GC roots that are no objects: the frames that threads run, and the states of interpreters and threads.
//!
//! Facts: `Include/internal/pycore_interp.h`, `Include/cpython/pystate.h`, `Include/internal/pycore_frame.h`.

use crate::layout::encoding::DictKeysEncoding;
use crate::layout::flags;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::cycle_guard::follow_chain;
use super::python_heap::PythonHeap;
use super::referents::{EdgeKind, EdgeSink, ReferenceReader, read_running_frame};
use crate::object::dict::{KeyKind, KeysTable};
use crate::object::memory_ext::MemoryExt;
use crate::runtime::frame::read_top_frame;

/// More threads than any interpreter has.
const MAX_THREADS: usize = 1 << 20;
/// More frames than any thread has.
const MAX_FRAMES: usize = 1 << 22;
/// Bytes of a state that are searched at most: interpreters have 200 KB.
const MAX_STATE: u64 = 1 << 22;
/// Objects that are searched for a dict with other keys than strings.
const MAX_SEARCH: u64 = 1 << 20;

impl<M: Memory> PythonHeap<'_, M> {
    /// Reads the addresses of an interpreter's thread states.
    pub fn read_threads(&self, interpreter: Addr) -> Vec<Addr> {
        let pointer = |at: Addr, offset: u32| self.memory.read_pointer(at, offset).ok();
        let first = pointer(interpreter, self.layout.interpreter_state.threads_head);
        follow_chain(first, MAX_THREADS, |thread| pointer(thread, self.layout.thread_state.next))
    }

    /// Reads the addresses of a thread's frames, the innermost first.
    pub fn read_frames(&self, thread: Addr) -> Vec<Addr> {
        let known = self.layout.interpreter_frame.map(|frame| frame.previous);
        let previous = known.unwrap_or(self.layout.frame_object.f_back);
        let top = read_top_frame(self.memory, self.layout, thread);
        follow_chain(top, MAX_FRAMES, |frame| self.memory.read_pointer(frame, previous).ok())
    }

    /// Finds the function that looks up keys of any type (3.10 and older), by the first dict that has a key that is no string.
    pub fn find_general_lookup(&mut self) {
        if self.layout.encodings.dict_keys != DictKeysEncoding::Lookup {
            return;
        }
        let mut left = MAX_SEARCH;
        let mut found = None;
        for list in self.gc_lists() {
            self.read_gc_list(list, |at| {
                left = left.saturating_sub(1);
                found = self.read_general_lookup(at).ok().flatten();
                found.is_none() && left > 0
            });
            if found.is_some() || left == 0 {
                break;
            }
        }
        self.landmarks.general_lookup = found;
    }

    /// Reads the lookup function of the object at `at`, if that is a dict with its own keys, one of which is not a string.
    fn read_general_lookup(&self, at: Addr) -> Result<Option<u64>, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        if !self.has_type_flag(at, flags::DICT_SUBCLASS)?
            || memory.read_word(at, layout.dict_object.ma_values)? != 0
        {
            return Ok(None);
        }
        let keys = KeysTable::read(memory, layout, memory.read_pointer(at, layout.dict_object.ma_keys)?)?;
        let KeyKind::Lookup(lookup) = keys.generality else { return Ok(None) };
        let mut general = false;
        keys.read_entries(memory, |key, value| {
            general |= !value.is_null()
                && self.has_type_flag(key, flags::UNICODE_SUBCLASS).is_ok_and(|is_text| !is_text);
        })?;
        Ok(general.then_some(lookup))
    }
}

/// Gives `sink` the references of the roots: of running frames, and of the states of interpreters and threads. Returns how many of the
/// reads failed.
pub fn read_roots<M: Memory>(reader: &mut ReferenceReader<'_, '_, '_, M>, sink: &mut impl EdgeSink) -> u64 {
    let python = reader.python;
    let layout = python.layout;
    let mut torn = 0_u64;
    for &interpreter in &python.interpreters {
        let size = u64::from(layout.interpreter_state.size);
        torn = torn.saturating_add(read_guesses(reader, interpreter, size, sink));
        let callbacks = python.read_exit_callbacks(interpreter).map(|callbacks| callbacks.held);
        callbacks.unwrap_or_default().into_iter().for_each(|to| sink.edge(to, EdgeKind::Hidden));
        for thread in python.read_threads(interpreter) {
            let size = u64::from(layout.thread_state.size);
            torn = torn.saturating_add(read_guesses(reader, thread, size, sink));
            for frame in python.read_frames(thread) {
                torn = torn.saturating_add(read_running_frame(reader, frame, sink).is_err().into());
            }
        }
    }
    torn
}

/// Gives `sink` the words of a state that point to objects. Returns how many of the reads failed: one or none.
pub fn read_guesses<M: Memory>(
    reader: &mut ReferenceReader<'_, '_, '_, M>,
    at: Addr,
    size: u64,
    sink: &mut impl EdgeSink,
) -> u64 {
    u64::from(reader.read_guessed_words(at, size.min(MAX_STATE) / 8, EdgeKind::Guessed, sink).is_err())
}
