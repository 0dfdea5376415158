//! What keeps objects alive without being one: the frames that threads run, and what interpreters and threads hold.
//!
//! Facts: `Include/internal/pycore_interp.h`, `Include/cpython/pystate.h`, `Include/internal/pycore_frame.h`.

use crate::layout::encoding::{DictKeysEncoding, FrameChain};
use crate::layout::flags;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::cycle_guard::CycleGuard;
use super::python_heap::PythonHeap;
use super::referents::{EdgeKind, EdgeSink, ReferenceReader};
use crate::object::dict::{KeyKind, KeysTable};
use crate::object::memory_ext::MemoryExt;

/// The most threads of an interpreter that are followed. A bound, no fact.
const MAX_THREADS: usize = 1 << 20;
/// The most frames of a thread that are followed. A bound, no fact.
const MAX_FRAMES: usize = 1 << 22;
/// The most bytes of an interpreter's or a thread's state that are taken for references. A bound, no fact.
const MAX_STATE: u64 = 1 << 22;
/// How many objects are looked at for a dict whose keys are no strings.
const MAX_SEARCH: u64 = 1 << 20;

impl<M: Memory> PythonHeap<'_, M> {
    /// The thread states of an interpreter.
    pub fn read_threads(&self, interpreter: Addr) -> Vec<Addr> {
        let layout = self.layout;
        let mut threads = Vec::new();
        let mut chain = CycleGuard::default();
        let mut next = self.memory.read_pointer(interpreter, layout.interpreter_state.threads_head);
        while let Ok(thread) = next
            && threads.len() < MAX_THREADS
            && chain.advance(thread)
        {
            threads.push(thread);
            next = self.memory.read_pointer(thread, layout.thread_state.next);
        }
        threads
    }

    /// The frames that a thread runs, the innermost first.
    pub fn read_frames(&self, thread: Addr) -> Vec<Addr> {
        let mut frames = Vec::new();
        let mut next = self.read_innermost_frame(thread);
        let mut chain = CycleGuard::default();
        while let Ok(frame) = next
            && frames.len() < MAX_FRAMES
            && chain.advance(frame)
        {
            frames.push(frame);
            next = match &self.layout.interpreter_frame {
                Some(known) => self.memory.read_pointer(frame, known.previous),
                None => self.memory.read_pointer(frame, self.layout.frame_object.f_back),
            };
        }
        frames
    }

    fn read_innermost_frame(&self, thread: Addr) -> Result<Addr, Unreadable> {
        let known = &self.layout.thread_state;
        let none = Unreadable { at: thread };
        match self.layout.encodings.frame_chain {
            FrameChain::PyFrame => self.memory.read_pointer(thread, known.frame.ok_or(none)?),
            FrameChain::CFrame => {
                let cframe = self.memory.read_pointer(thread, known.cframe.ok_or(none)?)?;
                let current = self.layout.cframe.as_ref().and_then(|cframe| cframe.current_frame);
                self.memory.read_pointer(cframe, current.ok_or(none)?)
            }
            FrameChain::Current => self.memory.read_pointer(thread, known.current_frame.ok_or(none)?),
        }
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

    /// The lookup function of the object at `at`, if that is a dict of its own keys, one of which is no string.
    fn read_general_lookup(&self, at: Addr) -> Result<Option<u64>, Unreadable> {
        let (memory, layout) = (self.memory, self.layout);
        let flags_of = |at: Addr| memory.read_word(self.read_type_of(at)?, layout.type_object.tp_flags);
        if flags_of(at)? & flags::DICT_SUBCLASS == 0
            || memory.read_word(at, layout.dict_object.ma_values)? != 0
        {
            return Ok(None);
        }
        let keys = KeysTable::read(memory, layout, memory.read_pointer(at, layout.dict_object.ma_keys)?)?;
        let KeyKind::Lookup(lookup) = keys.generality else { return Ok(None) };
        let mut general = false;
        keys.read_entries(memory, |key, value| {
            general |=
                !value.is_null() && flags_of(key).is_ok_and(|flags| flags & flags::UNICODE_SUBCLASS == 0);
        })?;
        Ok(general.then_some(lookup))
    }
}

/// Gives `sink` what holds objects alive and is none: the contents of running frames, static types, and what is in the states
/// of interpreters and threads. Returns how many of the reads failed.
pub fn read_roots<M: Memory>(reader: &mut ReferenceReader<'_, '_, '_, M>, sink: &mut impl EdgeSink) -> u64 {
    let python = reader.python;
    let layout = python.layout;
    let mut torn = 0;
    for &interpreter in &python.interpreters {
        torn += read_guesses(reader, interpreter, u64::from(layout.interpreter_state.size), sink);
        for thread in python.read_threads(interpreter) {
            torn += read_guesses(reader, thread, u64::from(layout.thread_state.size), sink);
            for frame in python.read_frames(thread) {
                torn += u64::from(super::referents::read_running_frame(reader, frame, sink).is_err());
            }
        }
    }
    torn
}

/// The words of a state that point to objects.
pub fn read_guesses<M: Memory>(
    reader: &mut ReferenceReader<'_, '_, '_, M>,
    at: Addr,
    size: u64,
    sink: &mut impl EdgeSink,
) -> u64 {
    let types = &mut *reader.types;
    let read = reader.python.memory.read_words(at, size.min(MAX_STATE) / 8, |word| {
        let to = if types.is_object(Addr(word)) { Addr(word) } else { Addr::NULL };
        sink.edge(to, EdgeKind::Guessed);
    });
    u64::from(read.is_err())
}
