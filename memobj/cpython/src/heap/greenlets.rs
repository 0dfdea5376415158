//! Suspended greenlets: their Python frames, and the part of the C stack that was copied away for them.
//!
//! The package greenlet, on which gevent, eventlet and `SQLAlchemy`'s asyncio bridge are built, switches between C stacks. What a greenlet
//! that does not run had on its stack and in its thread's state is kept in a struct: in the object itself before greenlet 2.0, and
//! behind its third member since. The struct has no description outside, and its members move from version to version. So they are
//! found by what they must be: five words that describe a piece of stack, a frame object soon after them and, from Python 3.11 on, a
//! frame with the chunk of data stack that it is in. What does not fit is [`Greenlet::Unknown`].
//!
//! Facts: `PyGreenlet` in `greenlet.h` (1.0 to 3.5); `StackState` and `PythonState` in `greenlet_greenlet.hpp` (2.0) and
//! `TGreenlet.hpp` (3.1 and newer), `copy_stack_to_heap_up_to` in `TStackState.cpp`; `_PyStackChunk` in `Include/cpython/pystate.h`.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::cycle_guard::follow_chain;
use crate::object::Objects;
use crate::object::memory_ext::MemoryExt;
use crate::runtime::frame::{read_frame_instruction, runs_python};

/// `tp_name` of the type.
pub const GREENLET: &str = "greenlet.greenlet";
/// Members of the object before the pointer to its struct (2.0 and newer): the list of weak references and the dict.
const BEFORE_STRUCT: u64 = 16;
/// Words of the struct that are read.
const WORDS: u64 = 32;
/// Words of it that may be the frame object: it is the 16th at most.
const LAST_FRAME: usize = 20;
/// Words from the start of the description of the stack to the frame object: its five, the context since 2.0, the parent and the
/// function before.
const TO_FRAME: std::ops::RangeInclusive<usize> = 5..=8;
/// Words from the frame object to the innermost frame that are searched.
const TO_STATE: usize = 12;
/// Words of the struct that may be references: it has 19 in Python 3.8 and 26 in 3.14.
const MEMBERS: u64 = 26;
/// More levels of types than any class has.
const MAX_BASES: usize = 200;
/// More frames than any thread has.
const MAX_FRAMES: usize = 1 << 22;
/// More chunks of data stack than any thread has.
const MAX_CHUNKS: usize = 1 << 16;
/// The largest chunk of data stack, and the largest C stack: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes that are read of the part of a thread's own stack that was not copied: most of it is unused.
const MAX_IN_PLACE: u64 = 1 << 20;
/// The lowest address that a program may use.
const LOWEST: u64 = 4096;

/// The state of a greenlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greenlet {
    /// It has no frames: it runs, has not started or has ended.
    Idle,
    /// It waits for the switch back to it.
    Suspended(Suspended),
    /// It has frames, and they could not be found: the layout is of another greenlet than those that are known.
    Unknown,
}

/// The stacks of a suspended greenlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// Its frames, the innermost first: frame objects until 3.10, then frames of the interpreter.
    pub frames: Vec<Addr>,
    /// Its C stack.
    pub stack: SavedStack,
    /// The chunk of data stack in which the innermost frame is (3.11 and newer).
    chunk: Option<Addr>,
}

/// The C stack of a suspended greenlet: its lower part may be a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedStack {
    /// Where the copied part begins when it runs.
    start: Addr,
    /// The end of its stack; the highest address for the greenlet that a thread began with.
    stop: Addr,
    copy: Addr,
    copied: u64,
}

impl SavedStack {
    /// The description of a stack in five words; `None` if they are none.
    fn read(memory: &dyn Memory, words: &[u64]) -> Option<Self> {
        let &[start, stop, copy, copied, _] = words else { return None };
        let length = stop.checked_sub(start)?;
        let is_copied = copied > 0;
        let fits = start >= LOWEST && length > 0 && copied <= length.min(MAX_BYTES);
        let last = copy.checked_add(copied.saturating_sub(1))?;
        let is_there = !is_copied || [copy, last].iter().all(|&at| memory.read_u8(Addr(at)).is_ok());
        (fits && is_copied != (copy == 0) && is_there).then_some(Self {
            start: Addr(start),
            stop: Addr(stop),
            copy: Addr(copy),
            copied,
        })
    }

    /// The copy, which is in memory of its own; empty without one.
    pub fn copy(&self) -> Range<Addr> {
        self.copy..self.copy.plus(self.copied)
    }

    /// The part that still lies on the stack of the thread.
    pub fn in_place(&self) -> Range<Addr> {
        let start = self.start.plus(self.copied);
        start..self.stop.min(start.plus(MAX_IN_PLACE))
    }

    /// Where the bytes are that the program has at `at` when the greenlet runs.
    fn place(&self, at: Addr) -> Addr {
        match at.0.checked_sub(self.start.0) {
            Some(offset) if offset < self.copied => self.copy.plus(offset),
            _ => at,
        }
    }
}

impl Suspended {
    /// The chunks of its data stack, which no thread has as its own while it is suspended.
    pub fn chunks(&self, objects: Objects<'_>) -> Vec<Range<Addr>> {
        let Some(known) = objects.layout.stack_chunk else { return Vec::new() };
        let chunks =
            follow_chain(self.chunk, MAX_CHUNKS, |chunk| objects.read_pointer(chunk, known.previous));
        let bytes = |chunk: Addr| objects.memory.read_word(chunk, known.size_).ok();
        chunks
            .into_iter()
            .map_while(|chunk| {
                let bytes = bytes(chunk).filter(|&bytes| bytes <= MAX_BYTES)?;
                Some(chunk..chunk.plus(bytes))
            })
            .collect()
    }
}

/// Reads the state of the greenlet at `at`, an object of that type or of one derived from it.
pub fn read_greenlet(objects: Objects<'_>, at: Addr) -> Greenlet {
    read_struct(objects, at).map_or(Greenlet::Unknown, |words| find(objects, &words))
}

/// `tp_basicsize` of the type `greenlet.greenlet` that an object's type derives from.
fn read_size(objects: Objects<'_>, at: Addr) -> Option<u64> {
    let known = &objects.layout.type_object;
    let bases =
        follow_chain(objects.read_type_of(at), MAX_BASES, |of| objects.read_pointer(of, known.tp_base));
    let of = bases.into_iter().find(|&of| objects.read_type_name(of).as_deref() == Some(GREENLET))?;
    objects.memory.read_word(of, known.tp_basicsize).ok()
}

/// The words of the struct of a greenlet; none if it has no struct any more.
fn read_struct(objects: Objects<'_>, at: Addr) -> Option<Vec<u64>> {
    let head = u64::from(objects.layout.object.size);
    let size = read_size(objects, at)?;
    let (first, count) = match outer_struct(objects, at, size)? {
        Some(first) => (first, WORDS),
        None => (at.plus(head), size.saturating_sub(head) / 8),
    };
    let mut words = Vec::new();
    if !first.is_null() {
        // A struct may be the last thing in its memory.
        let _ = objects.memory.read_words(first, count.min(WORDS), |word| words.push(word));
    }
    Some(words)
}

/// Where the struct of a greenlet of this size is, if not in the object itself; null if it is gone.
fn outer_struct(objects: Objects<'_>, at: Addr, size: u64) -> Option<Option<Addr>> {
    let pointer = u64::from(objects.layout.object.size).saturating_add(BEFORE_STRUCT);
    if size != pointer.saturating_add(8) {
        return Some(None);
    }
    objects.memory.read_addr(at.plus(pointer)).ok().map(Some)
}

/// The words of a greenlet's struct outside the object that may be references: to its parent, its function, its context, what it is
/// given and the exception that it handles. Some words behind a short struct are among them.
pub(super) fn read_members(objects: Objects<'_>, at: Addr) -> Vec<Addr> {
    let first = read_size(objects, at).and_then(|size| outer_struct(objects, at, size)?);
    let Some(first) = first.filter(|first| !first.is_null()) else { return Vec::new() };
    let mut words = Vec::new();
    let _ = objects.memory.read_words(first, MEMBERS, |word| words.push(Addr(word)));
    // Since 3.1 the second word of a struct is its own greenlet. That of the next struct in memory is no reference of this one.
    let is_self = |of: Addr, second: Addr| {
        let next = read_size(objects, of).and_then(|size| outer_struct(objects, of, size)?);
        next == Some(second.minus(8))
    };
    let places = (0..).map(|index: u64| first.plus(index.wrapping_mul(8)));
    words
        .into_iter()
        .zip(places)
        .filter(|&(word, place)| word != at && !is_self(word, place))
        .map(|(word, _)| word)
        .collect()
}

/// Finds the stacks among the words of a struct.
fn find(objects: Objects<'_>, words: &[u64]) -> Greenlet {
    let mut has_frame = false;
    for (place, &word) in words.iter().enumerate().take(LAST_FRAME) {
        if !is_of(objects, Addr(word), "frame") {
            continue;
        }
        has_frame = true;
        let rest = words.get(place..).unwrap_or_default();
        let found = TO_FRAME.into_iter().find_map(|distance| {
            let first = place.checked_sub(distance)?;
            let stack = SavedStack::read(objects.memory, words.get(first..first.saturating_add(5))?)?;
            read_frames(objects, rest, stack)
        });
        if let Some(suspended) = found {
            return Greenlet::Suspended(suspended);
        }
    }
    if has_frame { Greenlet::Unknown } else { Greenlet::Idle }
}

/// Reads the frames of a greenlet from the words that begin with its frame object; `None` if they are not those of its state.
fn read_frames(objects: Objects<'_>, words: &[u64], stack: SavedStack) -> Option<Suspended> {
    let (object, rest) = words.split_first()?;
    let layout = objects.layout;
    let Some(known) = &layout.interpreter_frame else {
        let back = layout.frame_object.f_back;
        let frames = follow_chain(Some(Addr(*object)), MAX_FRAMES, |frame| objects.read_pointer(frame, back));
        let is_frame = |&frame: &Addr| is_of(objects, frame, "frame") && has_code(objects, frame);
        return frames.iter().all(is_frame).then_some(Suspended { frames, stack, chunk: None });
    };
    let state = rest.windows(5).take(TO_STATE).find_map(|window| {
        let &[innermost, chunk, top, limit, next] = window else { return None };
        let innermost = stack.place(Addr(innermost));
        (is_data_stack(objects, chunk, top, limit) && has_code(objects, innermost)).then_some((
            innermost,
            Addr(chunk),
            stack.place(Addr(next)),
        ))
    });
    let (innermost, chunk, next) = state?;
    let previous = |frame: Addr| objects.read_pointer(frame, known.previous).map(|frame| stack.place(frame));
    let mut frames = follow_chain(Some(innermost), MAX_FRAMES, previous);
    if frames.len() == 1 && has_code(objects, next) {
        // 3.0.0 to 3.0.2 cut the chain there, and keep the rest in a member of its own.
        frames.extend(follow_chain(Some(next), MAX_FRAMES, previous));
    }
    // C code puts frames of its own on the C stack, between those of functions.
    frames.retain(|&frame| runs_python(objects, frame) && has_code(objects, frame));
    Some(Suspended { frames, stack, chunk: Some(chunk).filter(|chunk| !chunk.is_null()) })
}

/// Whether three words are `datastack_chunk`, `datastack_top` and `datastack_limit`: null before the first call of a function.
fn is_data_stack(objects: Objects<'_>, chunk: u64, top: u64, limit: u64) -> bool {
    let Some(known) = objects.layout.stack_chunk else { return false };
    if chunk == 0 {
        return top == 0 && limit == 0;
    }
    let bytes = objects.memory.read_word(Addr(chunk), known.size_).ok().filter(|&bytes| bytes <= MAX_BYTES);
    let end = bytes.and_then(|bytes| chunk.checked_add(bytes));
    end == Some(limit) && (chunk.saturating_add(u64::from(known.data))..=limit).contains(&top)
}

/// Whether a frame has a code object.
fn has_code(objects: Objects<'_>, frame: Addr) -> bool {
    read_frame_instruction(objects, frame).is_some_and(|(code, _)| is_of(objects, code, "code"))
}

/// Whether the object at `at` is of the builtin type with this name.
fn is_of(objects: Objects<'_>, at: Addr, name: &str) -> bool {
    at.0 >= LOWEST && at.0.is_multiple_of(8) && objects.read_type_name_of(at).as_deref() == Some(name)
}

#[cfg(test)]
mod tests {
    use memobj_process::memory::FakeMemory;

    use super::*;

    #[test]
    fn copied_part_of_a_stack_is_read_from_its_copy() {
        let mut memory = FakeMemory::new();
        for word in 0..4 {
            memory.put_u64(Addr(0x1000 + word * 8), word);
        }
        let words = [0x7f00_0000, 0x7f00_0100, 0x1000, 0x20, 0];
        let stack = SavedStack::read(&memory, &words).unwrap();
        assert_eq!(stack.copy(), Addr(0x1000)..Addr(0x1020));
        assert_eq!(stack.in_place(), Addr(0x7f00_0020)..Addr(0x7f00_0100));
        assert_eq!(stack.place(Addr(0x7f00_0018)), Addr(0x1018));
        assert_eq!(stack.place(Addr(0x7f00_0020)), Addr(0x7f00_0020));
        assert_eq!(stack.place(Addr(0x6f00_0000)), Addr(0x6f00_0000));
    }

    #[test]
    fn other_words_describe_no_stack() {
        let mut memory = FakeMemory::new();
        memory.put_u64(Addr(0x1000), 0);
        for words in [
            // Not started; ended; running for the first time.
            [0, 0, 0, 0, 0],
            [0, 0x7f00_0100, 0, 0, 0],
            [1, 0x7f00_0100, 0, 0, 0],
            // It ends before it begins; its copy is longer than itself, not there, or has no bytes.
            [0x7f00_0100, 0x7f00_0000, 0, 0, 0],
            [0x7f00_0000, 0x7f00_0004, 0x1000, 8, 0],
            [0x7f00_0000, 0x7f00_0100, 0x2000, 8, 0],
            [0x7f00_0000, 0x7f00_0100, 0x1000, 0, 0],
            [0x7f00_0000, u64::MAX, 0x1000, u64::MAX, 0],
        ] {
            assert_eq!(SavedStack::read(&memory, &words), None, "{words:x?}");
        }
    }
}
