//! The code that runs at a hit of a watchpoint.
//!
//! The registers and the stack that the kernel copied at the moment of the write point to the instruction, but some of their words may be
//! left over from earlier calls. The thread's own frames, read at once, say which: a line is certain if the innermost frame is still at an
//! instruction that was pointed to, and no function above it has returned since. Its callers are read then, and the innermost frame once
//! more: so no caller is wrong, and where the function returned too soon there is none.

use std::collections::BTreeSet;
use std::ops::Range;

use common::record::CodeLine;
use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::layout::encoding::NextInstruction;
use memobj_cpython::object::Objects;
use memobj_cpython::runtime::ThreadState;
use memobj_cpython::runtime::bytecode::{
    Bytecode, Candidates, Instruction, read_frame_pointer, read_frame_stack, read_frames, read_free_stack,
    suspends,
};
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::runtime::frame::read_frame_instruction;
use memobj_cpython::runtime::running_frames::{RunningFrames, read_running_frames};
use memobj_process::addr::Addr;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::Memory;
use memobj_process::target::Target;
use memobj_process::target::watchpoint::WriteHit;

use crate::names::{NameReader, code_line};

/// Words in which pointers to frames are looked for: the loop's own are near.
const FRAME_WORDS: usize = 128;
/// After this number of hits, callers are looked for only at every hit whose number is a multiple of it.
const MANY_HITS: u64 = 64;
/// Threads in which callers are looked for.
const MAX_THREADS: usize = 8;
/// Callers that are kept.
const MAX_CALLERS: usize = 1 << 16;
/// Bytes from the beginning of a call to its last one, at most: the inline caches of 3.11 belong to it (`_PyOpcode_Caches`).
const LONGEST_CALL: u64 = 9;
/// Callers that are read.
const MAX_FRAMES: usize = 32;

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The instruction that the copied registers and stack point to.
    pub likely: Option<Instruction>,
    /// Whether its function is the innermost one that they point to.
    pub is_backed: bool,
    /// The frames of the thread, if the innermost one was still at an instruction that they point to.
    pub frames: Option<RunningFrames>,
}

impl Hit {
    /// The instruction, as far as it is known.
    pub fn instruction(&self) -> Option<Instruction> {
        self.frames.as_ref().and_then(|running| running.frames.first().copied()).or(self.likely)
    }
}

/// What is read at each hit.
pub struct HitReader<'a> {
    objects: Objects<'a>,
    python: &'a DetectedPython,
    bytecode: &'a Bytecode,
    threads: Vec<PythonThread>,
    /// Instructions that were seen to call Python functions.
    callers: BTreeSet<Instruction>,
    hits: u64,
}

/// The address of the count of a container, if objects are added to it one by one.
pub fn count_address<M: Memory>(names: &mut NameReader<'_, '_, M>, container: Addr) -> Option<Addr> {
    match names.type_of(container)?.kind? {
        Builtin::ByteArray => Some(container.plus(names.python().layout.var_object.ob_size.into())),
        kind if matches!(kind.growth(), Growth::Copies | Growth::Fixed) => None,
        _ => names.count_address(container),
    }
}

/// The lines of frames that call each other, as far as `line` knows them. Code that the interpreter puts between them has none: it is what
/// calls `__init__` since 3.12 (`_Py_InitCleanup`, Python/specialize.c).
pub fn chain_lines(
    frames: &[Instruction],
    line: impl FnMut(Instruction) -> Option<CodeLine>,
) -> Vec<CodeLine> {
    let lines = (0..).zip(frames.iter().copied().map_while(line));
    lines.filter(|(number, line)| *number == 0 || line.line.is_some()).map(|(_, line)| line).collect()
}

/// A thread that runs Python.
struct PythonThread {
    state: Addr,
    /// Its number in the process's namespace.
    native_id: Option<u64>,
    /// Where its frames are, since 3.11.
    stack: Option<Range<u64>>,
}

impl<'a> HitReader<'a> {
    /// Prepares for hits in a process.
    pub fn new(target: &'a Target, python: &'a DetectedPython, bytecode: &'a Bytecode) -> Self {
        let objects = Objects::new(target.memory(), &python.layout);
        let mut reader =
            Self { objects, python, bytecode, threads: Vec::new(), callers: BTreeSet::new(), hits: 0 };
        reader.find_threads();
        reader
    }

    /// Reads which threads run Python now.
    pub fn find_threads(&mut self) {
        // What cannot be read at the moment may be read the next time.
        let Ok(runtime) = self.python.read_running(self.objects.memory) else { return };
        let threads = runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads);
        let read = |thread: &ThreadState| PythonThread {
            state: thread.at,
            native_id: thread.native_id,
            stack: read_frame_stack(self.objects, thread.at),
        };
        self.threads = threads.map(read).collect();
    }

    /// The count at `at`.
    pub fn read_count(&self, at: Addr) -> Option<u64> {
        self.objects.memory.read_u64(at).ok()
    }

    /// What can be known of a write.
    pub fn read(&mut self, hit: &WriteHit) -> Hit {
        // First, because they change.
        let running = self.running_frames(hit.thread);
        let words: Vec<u64> = hit.registers.iter().chain(&hit.stack).copied().collect();
        let candidates = self.bytecode.candidates(self.objects, &words);
        let frames = self.confirmed(running, &words, &candidates);
        // Functions of debug builds leave much more on the stack.
        let is_clean = !self.python.build.debug;
        let encodings = &self.python.layout.encodings;
        let form = encodings.next_instruction;
        let likely = candidates.likely(form, encodings.has_first_instruction).filter(|_| is_clean);
        let is_backed = likely.is_some_and(|at| self.is_innermost(&words, at));
        let likely = likely.filter(|_| is_backed || form != NextInstruction::InFrame);
        self.learn_callers();
        Hit { likely, is_backed, frames }
    }

    /// Notes the instructions that call Python functions now: the same ones call them again and again.
    fn learn_callers(&mut self) {
        self.hits = self.hits.saturating_add(1);
        if self.hits > MANY_HITS && !self.hits.is_multiple_of(MANY_HITS) || self.callers.len() >= MAX_CALLERS
        {
            return;
        }
        for thread in self.threads.iter().take(MAX_THREADS) {
            let callers = read_frames(self.objects, thread.state, MAX_FRAMES);
            self.callers.extend(callers.into_iter().skip(1));
        }
    }

    /// Whether an instruction is known to call a Python function: so it did not write, but a function that it called, of which no word is left.
    pub fn is_caller(&self, at: Instruction) -> bool {
        let has_caches = self.python.layout.code_object.co_code_adaptive.is_some();
        let longest = if has_caches { LONGEST_CALL } else { 1 };
        let first = Instruction { offset: at.offset.saturating_sub(longest), ..at };
        self.callers.range(first..=at).next().is_some()
    }

    /// Whether the words name no frame above that of an instruction. The loop has a pointer to the frame that runs, while pointers to
    /// instructions may be left over. A frame that has ended still shows where it was, until another one comes in its place.
    fn is_innermost(&self, words: &[u64], at: Instruction) -> bool {
        let stacks: Vec<&Range<u64>> =
            self.threads.iter().filter_map(|thread| thread.stack.as_ref()).collect();
        if stacks.is_empty() {
            return true;
        }
        let is_pointer = |word: &u64| word.is_multiple_of(8) && *word > 0xffff;
        let code_of = |frame: Addr| self.bytecode.code_at(read_frame_pointer(self.objects, frame)?);
        let is_on_stack = |word: u64| stacks.iter().any(|stack| stack.contains(&word));
        let words = words.iter().take(FRAME_WORDS).copied().filter(is_pointer);
        let frames: Vec<(u64, Addr)> = words
            .filter_map(|word| {
                let code = code_of(Addr(word))?;
                // The frames of suspended code are in objects of their own. Elsewhere any word may look like a frame.
                let is_frame =
                    || read_frame_instruction(self.objects, Addr(word)).is_some_and(|(of, _)| of == code);
                (is_on_stack(word) || is_frame()).then_some((word, code))
            })
            .collect();
        let highest = frames.iter().filter(|&&(word, _)| is_on_stack(word)).max();
        let nearest = frames.first().filter(|&&(word, _)| !is_on_stack(word));
        [highest, nearest].into_iter().flatten().any(|&(_, code)| code == at.code)
    }

    /// The frames of the thread with this number, or of all if none is known to have it: in other namespaces it has another one. With each
    /// the part of its stack of frames where those of functions that returned were.
    fn running_frames(&self, thread: u32) -> Vec<(RunningFrames, Range<u64>)> {
        let is_it = |known: &&PythonThread| known.native_id == Some(thread.into());
        let read = |thread: &PythonThread| {
            let running = read_running_frames(self.objects, thread.state, thread.stack.as_ref(), MAX_FRAMES)?;
            Some((running, read_free_stack(self.objects, thread.state).unwrap_or_default()))
        };
        match self.threads.iter().find(is_it) {
            Some(thread) => read(thread).into_iter().collect(),
            None => self.threads.iter().filter_map(read).collect(),
        }
    }

    /// The frames of the only thread that the words confirm.
    fn confirmed(
        &self,
        running: Vec<(RunningFrames, Range<u64>)>,
        words: &[u64],
        candidates: &Candidates,
    ) -> Option<RunningFrames> {
        let mut found = running.into_iter().filter(|(running, above)| {
            // The loop has a pointer to the frame that runs. One above the current frame is of a function that has returned.
            let is_above = |word: &u64| above.contains(word);
            let has_not_returned = |code: Addr| !above.is_empty() && !suspends(self.objects, code);
            candidates.confirm(&running.frames, has_not_returned) && !words.iter().any(is_above)
        });
        let (only, _) = found.next()?;
        found.next().is_none().then_some(only)
    }

    /// The line of an instruction.
    pub fn line(&self, at: Instruction) -> Option<CodeLine> {
        at.read_location(self.objects).map(code_line)
    }
}
