//! Which instruction a thread is at, from nothing but the words in its registers and on its stack.
//!
//! The evaluation loop keeps pointers to the current and the next instruction in registers and on the C stack. So a word that points into
//! the bytecode of a code object names the function that runs and its instruction. A word may also be left over from an earlier call, so
//! these are candidates. The thread's own frames, read at once, confirm one of them ([`Candidates::confirm`]).

use std::collections::HashMap;
use std::ops::Range;

use memobj_process::addr::Addr;

use super::frame::{CodeLocation, read_code_location, read_frame_instruction, read_top_frame, runs_python};
use crate::layout::Layout;
use crate::layout::encoding::{FrameChain, NextInstruction};
use crate::object::Objects;
use crate::object::memory_ext::MemoryExt;

/// Threads' own copies of one bytecode that are read at most (`co_tlbc` of free-threaded builds).
const MAX_COPIES: u64 = 1 << 12;
/// Words that are kept of one sample.
const MAX_CANDIDATES: usize = 16;
/// Words in which two pointers to one instruction are looked for.
const PAIR_WORDS: usize = 64;
/// Bytes between such two pointers, at most.
const PAIR_BYTES: u64 = 16;
/// Words in which the owner of shared bytecode is looked for.
const OWNER_WORDS: usize = 128;
/// Bytes from the beginning of an instruction to the next one, at most: an opcode and its inline caches (`_PyOpcode_Caches`).
const LONGEST_INSTRUCTION: u64 = 32;

/// `co_filename` of code that is in no file.
const SHIM: &str = "<shim>";

/// Where the bytecode of code objects is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytecode {
    /// First byte, byte behind the last; in ascending order.
    ranges: Vec<(u64, u64)>,
    /// The code objects of each range, by its first byte. Before 3.11 several may share one.
    codes: HashMap<u64, Vec<Addr>>,
}

/// A pointer into bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    /// The number of its word.
    index: usize,
    /// The first byte of the bytecode.
    start: u64,
    /// The offset from there.
    offset: u64,
    /// Its code object; `None` if it is one of several that share the bytecode.
    code: Option<Addr>,
}

/// The pointers into bytecode in one sample of a thread, the nearest to its innermost function first.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Candidates(Vec<Pointer>);

/// An instruction: a code object, and a byte offset in its bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instruction {
    /// The code object.
    pub code: Addr,
    /// The offset of the instruction's first byte, or of another one.
    pub offset: u64,
}

impl Bytecode {
    /// Reads where the bytecode of these code objects is. Left out are those that cannot be read, and those by which C code of the interpreter
    /// calls a function: they are on the stack of every such call, and do nothing else.
    #[must_use]
    pub fn read(objects: Objects<'_>, codes: impl Iterator<Item = Addr>) -> Self {
        let mut found = Self::default();
        for code in codes.filter(|&code| !is_shim(objects, code)) {
            let _ = read_ranges(objects, code, |start, bytes| found.add(code, start, bytes));
        }
        found.ranges.sort_unstable();
        found.ranges.dedup();
        found
    }

    fn add(&mut self, code: Addr, start: Addr, bytes: u64) {
        self.ranges.push((start.0, start.0.saturating_add(bytes)));
        self.codes.entry(start.0).or_default().push(code);
    }

    fn find(&self, index: usize, word: u64) -> Option<Pointer> {
        let before = self.ranges.partition_point(|&(start, _)| start <= word).checked_sub(1)?;
        let &(start, end) = self.ranges.get(before)?;
        let only = |codes: &Vec<Addr>| if let [code] = codes[..] { Some(code) } else { None };
        let code = self.codes.get(&start).and_then(only);
        (word < end).then_some(Pointer { index, start, offset: word.saturating_sub(start), code })
    }

    /// The code object that an instruction at `at` is of; `None` if there is none, or several.
    #[must_use]
    pub fn code_at(&self, at: Addr) -> Option<Addr> {
        self.find(0, at.0)?.code
    }

    /// The pointers into bytecode among these words: the registers of a thread, then its stack from the top.
    #[must_use]
    pub fn candidates(&self, objects: Objects<'_>, words: &[u64]) -> Candidates {
        let found = words.iter().enumerate().filter_map(|(index, &word)| self.find(index, word));
        let with_code = found.take(MAX_CANDIDATES).map(|pointer| Pointer {
            code: pointer.code.or_else(|| self.owner(objects, pointer.start, words)),
            ..pointer
        });
        Candidates(with_code.collect())
    }

    /// Which of the code objects that share this bytecode the words name: by a pointer to it, or to a frame of it.
    fn owner(&self, objects: Objects<'_>, start: u64, words: &[u64]) -> Option<Addr> {
        let sharing = self.codes.get(&start)?;
        let of_frame = objects.layout.frame_object.f_code?;
        let mut named = words.iter().take(OWNER_WORDS).filter_map(|&word| {
            let is_pointer = word % 8 == 0 && word > 0xffff;
            let frames_code =
                || objects.read_pointer(Addr(word), of_frame).filter(|code| sharing.contains(code));
            if sharing.contains(&Addr(word)) { Some(Addr(word)) } else { is_pointer.then(frames_code)? }
        });
        let first = named.next()?;
        named.all(|other| other == first).then_some(first)
    }
}

impl Candidates {
    /// Whether one of them points to the instruction that a frame is at, or behind it.
    #[must_use]
    pub fn point_to(&self, frame: Instruction) -> bool {
        let is_near =
            |offset: u64| offset.checked_sub(frame.offset).is_some_and(|past| past <= LONGEST_INSTRUCTION);
        self.0.iter().any(|pointer| pointer.code == Some(frame.code) && is_near(pointer.offset))
    }

    /// Whether these frames, the innermost first, are those that the pointers are of. The innermost one is at an instruction that is pointed
    /// to, and no pointer is of a function that may have returned: then its caller would be taken for it. Of code that `has_not_returned`
    /// holds for, old pointers are permitted.
    #[must_use]
    pub fn confirm(&self, frames: &[Instruction], has_not_returned: impl Fn(Addr) -> bool) -> bool {
        let runs = |pointer: &Pointer| frames.iter().any(|frame| pointer.code == Some(frame.code));
        let is_old = |pointer: &Pointer| pointer.code.is_some_and(&has_not_returned);
        frames.first().is_some_and(|&frame| self.point_to(frame))
            && self.0.iter().all(|pointer| runs(pointer) || is_old(pointer))
    }

    /// The instruction that they most likely point to; `None` if there is none, or if several code objects share the bytecode. With
    /// `has_first`, the loop has a pointer to the beginning, too, which calls do not leave behind.
    #[must_use]
    pub fn likely(&self, form: NextInstruction, has_first: bool) -> Option<Instruction> {
        let is_begun = |start: u64| self.0.iter().any(|pointer| pointer.start == start && pointer.offset > 0);
        let mut beginnings = self.0.iter().filter(|pointer| pointer.offset == 0).map(|pointer| pointer.start);
        let beginning = beginnings.find(|&start| has_first && is_begun(start));
        let mut words = self.0.iter().filter(|pointer| pointer.offset > 0);
        // What calls leave behind is mostly one word, while the loop often has two of an instruction.
        let near = || self.0.iter().filter(|pointer| pointer.offset > 0 && pointer.index < PAIR_WORDS);
        let is_pair = |a: &Pointer, b: &Pointer| {
            a.index < b.index && a.start == b.start && a.offset.abs_diff(b.offset) <= PAIR_BYTES
        };
        let first = match beginning {
            Some(beginning) => words.find(|pointer| pointer.start == beginning)?,
            None => match near().find(|a| near().any(|b| is_pair(a, b))) {
                Some(first) => first,
                None => words.next()?,
            },
        };
        let nearest = first.offset;
        let others =
            || self.0.iter().filter(|other| other.start == first.start).map(|pointer| pointer.offset);
        let offset = match form {
            // A pointer to the instruction may lie nearer than the one to its end.
            NextInstruction::Behind | NextInstruction::InFrame => {
                let end =
                    others().filter(|&offset| offset.saturating_sub(nearest) <= LONGEST_INSTRUCTION).max();
                end.unwrap_or(nearest).checked_sub(1)?
            }
            NextInstruction::UnitBehind if others().any(|offset| offset == nearest.saturating_add(2)) => {
                nearest
            }
            NextInstruction::UnitBehind => nearest.checked_sub(2)?,
        };
        Some(Instruction { code: first.code?, offset })
    }
}

/// Whether the frames of some code are in objects of their own, which may outlive a call: those of generators and coroutines (`co_flags`,
/// Include/cpython/code.h).
#[must_use]
pub fn suspends(objects: Objects<'_>, code: Addr) -> bool {
    const SUSPENDING: u32 = 0x20 | 0x80 | 0x100 | 0x200;
    let flags = objects.memory.read_u32(code.plus(objects.layout.code_object.co_flags.into()));
    flags.map_or(true, |flags| flags & SUSPENDING != 0)
}

/// Whether the interpreter made the code object for itself (from 3.12 on, `_Py_MakeShimCode`, Objects/codeobject.c).
fn is_shim(objects: Objects<'_>, code: Addr) -> bool {
    let file = objects.read_pointer(code, objects.layout.code_object.co_filename);
    file.and_then(|file| objects.read_name(file)).is_some_and(|file| file == SHIM)
}

fn read_ranges(objects: Objects<'_>, code: Addr, mut add: impl FnMut(Addr, u64)) -> Option<()> {
    let (memory, fields) = (objects.memory, &objects.layout.code_object);
    let Some(adaptive) = fields.co_code_adaptive else {
        let bytes = objects.read_pointer(code, fields.co_code?)?;
        add(bytes.plus(objects.layout.bytes_object.ob_sval.into()), objects.read_length(bytes)?);
        return Some(());
    };
    let units = memory.read_count(code, objects.layout.var_object.ob_size).ok()?;
    let bytes = units.saturating_mul(2);
    add(code.plus(adaptive.into()), bytes);
    if let Some(copies) = fields.co_tlbc {
        let copies = objects.read_pointer(code, copies)?;
        let count = memory.read_u64(copies).ok()?.min(MAX_COPIES);
        memory
            .read_words(copies.plus(8), count, |copy| {
                if copy != 0 && copy != code.plus(adaptive.into()).0 {
                    add(Addr(copy), bytes);
                }
            })
            .ok()?;
    }
    Some(())
}

impl Instruction {
    /// Its place in the source.
    #[must_use]
    pub fn read_location(self, objects: Objects<'_>) -> Option<CodeLocation> {
        read_code_location(objects, self.code, Some(self.offset))
    }
}

/// The frames of the thread with the state `thread` that run Python code, the innermost first; `limit` at most. Frames that are read
/// while the thread runs may be of different moments.
#[must_use]
pub fn read_frames(objects: Objects<'_>, thread: Addr, limit: usize) -> Vec<Instruction> {
    let (memory, layout) = (objects.memory, objects.layout);
    let mut frames = Vec::new();
    let mut next = read_top_frame(memory, layout, thread);
    // Between frames of Python code there may be frames that C code puts there.
    for _ in 0..limit.saturating_mul(2) {
        let Some(at) = next.filter(|at| !at.is_null() && frames.len() < limit) else { break };
        if runs_python(objects, at) {
            frames.extend(read_instruction(objects, at));
        }
        next = previous_offset(layout).and_then(|offset| memory.read_pointer(at, offset).ok());
    }
    frames
}

pub(super) fn read_instruction(objects: Objects<'_>, frame: Addr) -> Option<Instruction> {
    let (code, offset) = read_frame_instruction(objects, frame)?;
    Some(Instruction { code, offset: offset? })
}

/// The chunk of memory that a thread's newest frames are in; `None` where frames are objects of their own (until 3.10).
#[must_use]
pub fn read_frame_stack(objects: Objects<'_>, thread: Addr) -> Option<Range<u64>> {
    let fields = &objects.layout.thread_state;
    let chunk = objects.read_pointer(thread, fields.datastack_chunk?)?;
    let limit = objects.read_pointer(thread, fields.datastack_limit?)?;
    Some(chunk.0..limit.0)
}

/// The instruction that the interpreter's frame at `frame` is at, or was at when it ended; `None` where frames are objects.
#[must_use]
pub fn read_frame_pointer(objects: Objects<'_>, frame: Addr) -> Option<Addr> {
    let fields = objects.layout.interpreter_frame.as_ref()?;
    objects.memory.read_addr(frame.plus(fields.prev_instr.into())).ok()
}

/// The part of a thread's stack of frames above its current frame, where the frames of functions that returned were; `None` where frames
/// are objects of their own (until 3.10).
#[must_use]
pub fn read_free_stack(objects: Objects<'_>, thread: Addr) -> Option<Range<u64>> {
    let fields = &objects.layout.thread_state;
    let top = objects.read_pointer(thread, fields.datastack_top?)?;
    let limit = objects.read_pointer(thread, fields.datastack_limit?)?;
    Some(top.0..limit.0)
}

/// Where a frame has the frame that called it.
pub(super) fn previous_offset(layout: &Layout) -> Option<u32> {
    match layout.encodings.frame_chain {
        FrameChain::PyFrame => Some(layout.frame_object.f_back),
        FrameChain::CFrame | FrameChain::Current => Some(layout.interpreter_frame.as_ref()?.previous),
    }
}

#[cfg(test)]
mod tests {
    use memobj_process::memory::FakeMemory;

    use super::*;
    use crate::layout::{Build, candidates};

    fn layout() -> &'static Layout {
        let build = Build { hexversion: 0x030a_00f0, free_threaded: false, debug: false };
        candidates(build).unwrap()[0]
    }

    fn bytecode() -> Bytecode {
        let mut bytecode = Bytecode::default();
        bytecode.add(Addr(1), Addr(0x1000), 0x40);
        bytecode.add(Addr(2), Addr(0x2000), 0x10);
        bytecode.add(Addr(3), Addr(0x3000), 0x10);
        bytecode.add(Addr(4), Addr(0x3000), 0x10);
        bytecode.ranges.sort_unstable();
        bytecode.ranges.dedup();
        bytecode
    }

    fn likely(form: NextInstruction, words: &[u64]) -> Option<(u64, u64)> {
        likely_with(form, true, words)
    }

    fn likely_with(form: NextInstruction, has_first: bool, words: &[u64]) -> Option<(u64, u64)> {
        let (memory, layout) = (FakeMemory::new(), layout());
        let found = bytecode().candidates(Objects::new(&memory, layout), words).likely(form, has_first);
        found.map(|found| (found.code.0, found.offset))
    }

    #[test]
    fn words_outside_bytecode_are_skipped() {
        assert_eq!(bytecode().find(0, 0x0fff), None);
        assert_eq!(
            bytecode().find(0, 0x1002),
            Some(Pointer { index: 0, start: 0x1000, offset: 2, code: Some(Addr(1)) })
        );
        assert_eq!(bytecode().find(0, 0x1040), None);
        assert_eq!(likely(NextInstruction::Behind, &[0, 7, 0x4000, u64::MAX]), None);
    }

    #[test]
    fn nearest_word_names_instruction() {
        assert_eq!(likely(NextInstruction::Behind, &[9, 0x2004, 0x1008]), Some((2, 3)));
        assert_eq!(
            likely(NextInstruction::Behind, &[0x1020, 0x1026, 0x1008]),
            Some((1, 0x25)),
            "the end is farther"
        );
    }

    #[test]
    fn pair_of_words_wins() {
        assert_eq!(likely(NextInstruction::Behind, &[0x2004, 0x1008, 0x100c]), Some((1, 0xb)));
    }

    #[test]
    fn beginning_decides_the_function() {
        let words = [0x2004, 0x1008, 0x1000, 0x2000];
        assert_eq!(likely(NextInstruction::Behind, &words), Some((1, 7)));
        // Where the loop has none, that word is left over; and so it is of a function without another word.
        assert_eq!(likely_with(NextInstruction::Behind, false, &words), Some((2, 3)));
        assert_eq!(likely(NextInstruction::Behind, &[0x2004, 0x1000]), Some((2, 3)));
    }

    #[test]
    fn shared_bytecode_names_nothing() {
        assert_eq!(likely(NextInstruction::Behind, &[0x3004]), None);
    }

    #[test]
    fn second_word_decides_the_form() {
        let form = NextInstruction::UnitBehind;
        assert_eq!(likely(form, &[0x1008, 5, 0x100a]), Some((1, 8)));
        assert_eq!(likely(form, &[0x100a, 5, 0x1008]), Some((1, 8)));
        assert_eq!(likely(form, &[0x100a]), Some((1, 8)));
    }

    #[test]
    fn frame_confirms_its_own_instruction() {
        let memory = FakeMemory::new();
        let candidates = bytecode().candidates(Objects::new(&memory, layout()), &[0x100a, 0x2002]);
        let frames = |code, offset| {
            [Instruction { code: Addr(code), offset }, Instruction { code: Addr(2), offset: 0 }]
        };
        let confirms = |code, offset| candidates.confirm(&frames(code, offset), |_| false);
        assert!(confirms(1, 8) && confirms(1, 10));
        assert!(!confirms(1, 12) && !confirms(9, 8) && !candidates.confirm(&[], |_| false));
        assert!(!candidates.confirm(&frames(1, 8)[..1], |_| false), "another function was pointed to");
        assert!(candidates.confirm(&frames(1, 8)[..1], |_| true), "which is known not to have run");
        let shared = bytecode().candidates(Objects::new(&memory, layout()), &[0x3008]);
        assert!(!shared.confirm(&frames(3, 6), |_| true), "it is not known which of the two runs");
    }
}
