//! The frames of a thread that runs on: the kernel copies most of them by one call.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::bytecode::{Instruction, previous_offset, read_instruction};
use super::frame::{read_top_frame, runs_python};
use crate::object::Objects;
use crate::object::memory_ext::MemoryExt;

/// Bytes of a stack of frames that are copied at once, below the newest frame and above its begin.
const COPIED_BELOW: u64 = 16 << 10;
const COPIED_ABOVE: u64 = 1 << 10;
/// The bytes of a frame in which what is read of it is.
const FRAME_BYTES: u64 = 128;

/// A copy of a thread's newest frames, and the memory where everything else is.
struct FrameCopy<'a> {
    memory: &'a dyn Memory,
    at: Addr,
    bytes: Vec<u8>,
}

impl Memory for FrameCopy<'_> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        let offset = at.0.checked_sub(self.at.0).and_then(|offset| usize::try_from(offset).ok());
        let copied = offset.and_then(|offset| self.bytes.get(offset..)?.get(..into.len()));
        match copied {
            Some(copied) => {
                into.copy_from_slice(copied);
                Ok(())
            }
            None => self.memory.read(at, into),
        }
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.memory.regions()
    }
}

impl<'a> FrameCopy<'a> {
    fn read(memory: &'a dyn Memory, range: Range<u64>) -> Option<Self> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).ok()?];
        memory.read(Addr(range.start), &mut bytes).ok()?;
        Some(Self { memory, at: Addr(range.start), bytes })
    }

    fn has(&self, at: Addr) -> bool {
        at.0.checked_sub(self.at.0).is_some_and(|offset| offset < self.bytes.len() as u64)
    }
}

/// Frames of a running thread, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningFrames {
    /// As far as the innermost one stayed where it was while they were read.
    pub frames: Vec<Instruction>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// Reads the frames of a running thread as [`read_frames`](super::bytecode::read_frames) does, as long as the innermost one stays where it was.
/// The part of `stack` around that is copied by one call, so that most frames take no time.
#[must_use]
pub fn read_running_frames(
    objects: Objects<'_>,
    thread: Addr,
    stack: Option<&Range<u64>>,
    limit: usize,
) -> Option<RunningFrames> {
    let (memory, layout) = (objects.memory, objects.layout);
    let top = read_top_frame(memory, layout, thread).filter(|top| !top.is_null())?;
    let copy = stack.and_then(|stack| {
        // A coroutine's frame is elsewhere.
        let near = if stack.contains(&top.0) { top.0 } else { stack.start };
        let first = stack.start.max(near.saturating_sub(COPIED_BELOW));
        FrameCopy::read(memory, first..stack.end.min(near.saturating_add(COPIED_ABOVE)))
    });
    let mut found = RunningFrames { frames: Vec::new(), is_whole: false };
    let stays = |frames: &[Instruction]| {
        let is_there = |first: &Instruction| read_instruction(objects, top).as_ref() == Some(first);
        read_top_frame(memory, layout, thread) == Some(top) && frames.first().is_none_or(is_there)
    };
    let (mut next, mut proven) = (Some(top), 0);
    for _ in 0..limit.saturating_mul(2) {
        let Some(at) = next.filter(|at| !at.is_null() && found.frames.len() < limit) else {
            found.is_whole = next.is_some_and(Addr::is_null);
            break;
        };
        let is_copied = copy.as_ref().is_some_and(|copy| copy.has(at));
        // What follows takes longer.
        if !is_copied && found.frames.len() > proven {
            if !stays(&found.frames) {
                break;
            }
            proven = found.frames.len();
        }
        let own = if is_copied { None } else { FrameCopy::read(memory, at.0..at.plus(FRAME_BYTES).0) };
        let copied = if is_copied { copy.as_ref() } else { own.as_ref() };
        let of = copied.map_or(objects, |copied| Objects::new(copied, layout));
        if runs_python(of, at) {
            found.frames.extend(read_instruction(of, at));
        }
        next = previous_offset(layout).and_then(|offset| of.memory.read_pointer(at, offset).ok());
    }
    if found.frames.len() > proven && !stays(&found.frames) {
        found.frames.truncate(proven);
        found.is_whole = false;
    }
    (!found.frames.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use memobj_process::memory::FakeMemory;

    use super::*;
    use crate::layout::{Build, candidates};
    use crate::runtime::bytecode::read_frames;

    #[test]
    fn running_frames_are_read_to_the_end() {
        let build = Build { hexversion: 0x030d_00f0, free_threaded: false, debug: false };
        let layout = candidates(build).unwrap()[0];
        let (thread, stack) = (Addr(0x10_0000), 0x20_0000..0x20_4000);
        let code = |number: u64| Addr(0x30_0000 + number * 0x1000);
        // The innermost two are on the stack, the third is a coroutine's.
        let frames = [Addr(0x20_0100), Addr(0x20_0040), Addr(0x40_0000)];
        let fields = layout.interpreter_frame.unwrap();
        let mut memory = FakeMemory::new();
        memory.put(Addr(stack.start), &[0; 0x4000]);
        memory.put_u64(thread.plus(layout.thread_state.current_frame.unwrap().into()), frames[0].0);
        let callers = frames.iter().skip(1).map(|frame| frame.0).chain([0]);
        for ((number, frame), caller) in (0..).zip(frames).zip(callers) {
            let first = code(number).plus(layout.code_object.co_code_adaptive.unwrap().into());
            memory.put_u64(frame.plus(fields.executable.into()), code(number).0);
            memory.put_u64(frame.plus(fields.prev_instr.into()), first.0 + 2 * number);
            memory.put_u64(frame.plus(fields.previous.into()), caller);
        }
        let objects = Objects::new(&memory, layout);
        let read = |limit| read_running_frames(objects, thread, Some(&stack), limit).unwrap();
        let expected: Vec<Instruction> =
            (0..3).map(|number| Instruction { code: code(number), offset: 2 * number }).collect();
        assert_eq!(read(8), RunningFrames { frames: expected.clone(), is_whole: true });
        assert_eq!(read(8).frames, read_frames(objects, thread, 8));
        assert_eq!(read(2), RunningFrames { frames: expected[..2].to_vec(), is_whole: false });
        assert_eq!(read_running_frames(objects, thread, None, 8), Some(read(8)), "without a stack");
        let mut idle = memory.clone();
        idle.put_u64(thread.plus(layout.thread_state.current_frame.unwrap().into()), 0);
        assert_eq!(read_running_frames(Objects::new(&idle, layout), thread, Some(&stack), 8), None);
    }
}
