//! Source locations: of a thread's topmost Python frame, and of suspended frames.

use std::collections::HashSet;

use crate::layout::Layout;
use crate::layout::encoding::{FrameChain, LastInstruction};
use crate::object::Objects;
use crate::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::line_table::line_at;

/// Frames without code that are skipped at most: C code puts them between others.
const MOST_PASSED: usize = 64;

/// The longest table of lines that is read: code of millions of instructions.
const LONGEST_TABLE: u64 = 16 << 20;

/// Marks in the lowest bits of a frame's pointers (Include/internal/pycore_stackref.h, 3.14).
const MARKS: u64 = 3;

/// A location in a program's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeLocation {
    /// The qualified name of the function, such as `Session.renew`; before 3.11 its bare name.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// The line in that file, if the instruction has one.
    pub line: Option<u32>,
}

/// The topmost frame of the thread with the state `thread`, a frame object or an interpreter's; null if it has none.
pub fn read_top_frame(memory: &(impl Memory + ?Sized), layout: &Layout, thread: Addr) -> Option<Addr> {
    let fields = &layout.thread_state;
    let pointer = |at: Addr, offset: u32| memory.read_pointer(at, offset).ok();
    match layout.encodings.frame_chain {
        FrameChain::PyFrame => pointer(thread, fields.frame?),
        FrameChain::CFrame => pointer(pointer(thread, fields.cframe?)?, layout.cframe?.current_frame?),
        FrameChain::Current => pointer(thread, fields.current_frame?),
    }
}

/// Source location of the thread with the state `thread`; `None` if it runs no Python code, or cannot be read.
pub fn read_thread_location(objects: Objects<'_>, thread: Addr) -> Option<CodeLocation> {
    let top = read_top_frame(objects.memory, objects.layout, thread).filter(|top| !top.is_null())?;
    match objects.layout.encodings.frame_chain {
        FrameChain::PyFrame => read_object_frame(objects, top),
        FrameChain::CFrame | FrameChain::Current => read_interpreter_frame(objects, top),
    }
}

/// The code object of a frame, and the byte offset of its current instruction. The frame is a frame object until 3.10, and an interpreter
/// frame since; it may be that of a suspended generator.
pub fn read_frame_instruction(objects: Objects<'_>, frame: Addr) -> Option<(Addr, Option<u64>)> {
    match objects.layout.encodings.frame_chain {
        FrameChain::PyFrame => read_object_instruction(objects, frame),
        FrameChain::CFrame | FrameChain::Current => {
            let fields = objects.layout.interpreter_frame.as_ref()?;
            let code = objects.read_pointer(frame, fields.executable)?.clear_bits(MARKS);
            Some((code, read_instruction_offset(objects, frame, code)))
        }
    }
}

fn read_object_instruction(objects: Objects<'_>, frame: Addr) -> Option<(Addr, Option<u64>)> {
    let fields = &objects.layout.frame_object;
    let code = objects.read_pointer(frame, fields.f_code?)?;
    let last = objects.memory.read_int(frame, fields.f_lasti?).ok()?;
    // -1 before its first instruction.
    let last = u64::try_from(last).unwrap_or(0);
    let offset = match objects.layout.encodings.last_instruction {
        LastInstruction::Bytes => last,
        LastInstruction::Units => last.saturating_mul(2),
        LastInstruction::Pointer => return None,
    };
    Some((code, Some(offset)))
}

/// Source location of a frame object.
fn read_object_frame(objects: Objects<'_>, frame: Addr) -> Option<CodeLocation> {
    let (code, offset) = read_object_instruction(objects, frame)?;
    read_code_location(objects, code, offset)
}

/// Source location of an interpreter frame, or of the first one below it that runs Python code.
fn read_interpreter_frame(objects: Objects<'_>, top: Addr) -> Option<CodeLocation> {
    let fields = objects.layout.interpreter_frame.as_ref()?;
    let mut seen = HashSet::new();
    let mut at = top;
    while !at.is_null() && seen.len() < MOST_PASSED && seen.insert(at) {
        let code = objects.read_pointer(at, fields.executable)?.clear_bits(MARKS);
        if objects.read_type_name_of(code).as_deref() == Some("code") && runs_python(objects, at) {
            return read_code_location(objects, code, read_instruction_offset(objects, at, code));
        }
        at = objects.read_pointer(at, fields.previous)?;
    }
    None
}

/// Whether a frame is one of Python code, and not one that C code puts between others.
pub fn runs_python(objects: Objects<'_>, frame: Addr) -> bool {
    let Some(fields) = &objects.layout.interpreter_frame else { return true };
    let owner = objects.memory.read_byte(frame, fields.owner).ok().map(i32::from);
    let kinds = objects.layout.frame_owner;
    let others = kinds.map(|kinds| [kinds.frame_owned_by_cstack, kinds.frame_owned_by_interpreter]);
    owner.is_some() && !others.into_iter().flatten().flatten().any(|other| Some(other) == owner)
}

/// The byte offset, among the instructions of `code`, of a frame's current instruction.
fn read_instruction_offset(objects: Objects<'_>, frame: Addr, code: Addr) -> Option<u64> {
    let fields = objects.layout.interpreter_frame.as_ref()?;
    let at = objects.read_pointer(frame, fields.prev_instr)?;
    let mut first = code.plus(objects.layout.code_object.co_code_adaptive?.into());
    if let (Some(copies), Some(index)) = (objects.layout.code_object.co_tlbc, fields.tlbc_index) {
        // Free-threaded builds: each thread has a copy of the bytecode of its own (`_PyCodeArray`: a size, then pointers).
        let copies = objects.read_pointer(code, copies)?;
        let index = u64::from(objects.memory.read_u32(frame.plus(index.into())).ok()?);
        let size = objects.memory.read_u64(copies).ok()?;
        (index < size).then_some(())?;
        first = objects.memory.read_addr(copies.plus(8).plus(index * 8)).ok()?;
    }
    // Up to 3.12 the pointer is to the last instruction that was begun: one before the first, at the start.
    Some(at.0.saturating_sub(first.0))
}

/// Source location of the instruction at byte `offset`; `None` if `code` is not a code object.
pub fn read_code_location(objects: Objects<'_>, code: Addr, offset: Option<u64>) -> Option<CodeLocation> {
    let definition = read_definition(objects, code)?;
    let fields = &objects.layout.code_object;
    let line = || {
        let table = objects.read_bytes(objects.read_pointer(code, fields.co_lnotab)?, LONGEST_TABLE)?;
        let first = i32::try_from(definition.line?).ok()?;
        let line = line_at(objects.layout.encodings.line_table, &table, first, offset?)?;
        u32::try_from(line).ok()
    };
    Some(CodeLocation { line: line(), ..definition })
}

/// Source location where the function of a code object begins, with its decorators (`co_firstlineno`); `None` if `code` is not one.
pub fn read_definition(objects: Objects<'_>, code: Addr) -> Option<CodeLocation> {
    (objects.read_type_name_of(code)? == "code").then_some(())?;
    let fields = &objects.layout.code_object;
    let name = |field: u32| objects.read_name(objects.read_pointer(code, field)?);
    Some(CodeLocation {
        function: name(fields.co_qualname.unwrap_or(fields.co_name))?,
        file: name(fields.co_filename)?,
        line: objects
            .memory
            .read_int(code, fields.co_firstlineno)
            .ok()
            .and_then(|line| u32::try_from(line).ok()),
    })
}
