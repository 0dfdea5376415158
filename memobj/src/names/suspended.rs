//! Suspended code: generators, coroutines, async generators, greenlets and tasks, with the line where they wait.
//!
//! Facts: `PyGenObject` in `Include/genobject.h` and `Include/cpython/genobject.h`; `PyFrameState` in `Include/cpython/frameobject.h`
//! (3.10) and `Include/internal/pycore_frame.h` (3.11 and newer); `TaskObj` in `Modules/_asynciomodule.c`.

use std::fmt;
use std::sync::Arc;

use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_cpython::runtime::frame::{read_code_location, read_frame_instruction};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::NameReader;
use super::code::qualified_name;

/// Source lines that are kept.
const MAX_SOURCE_LINES: usize = 1 << 16;

/// The progress of a generator or coroutine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// It has not started: a coroutine that was never awaited, a generator without a first `next`.
    NotStarted,
    /// It is suspended.
    Waiting,
    /// It is running.
    Running,
    /// It has ended.
    Ended,
}

/// A generator, a coroutine, an async generator or a greenlet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suspended {
    /// Its kind: `coroutine`; or `task`, for the coroutine of a task.
    pub kind: &'static str,
    /// The module that its code is of; `None` once it has ended.
    pub module: Option<Arc<str>>,
    /// `__qualname__`.
    pub name: Arc<str>,
    /// Its progress.
    pub progress: Progress,
    /// The last part of the name of its file, and the line in it where it is: while it waits or runs.
    pub line: Option<(Arc<str>, u32)>,
}

impl fmt::Display for Suspended {
    /// `coroutine bot.wait_reply, waiting at bot.py:42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, qualified_name(self.module.as_deref(), &self.name))?;
        let waiting = if self.kind == "generator" { "suspended" } else { "waiting" };
        match (self.progress, &self.line) {
            (Progress::NotStarted, _) => f.write_str(", not started"),
            (Progress::Ended, _) => f.write_str(", ended"),
            (Progress::Waiting, Some((file, line))) => write!(f, ", {waiting} at {file}:{line}"),
            (Progress::Waiting, None) => write!(f, ", {waiting}"),
            (Progress::Running, Some((file, line))) => write!(f, ", running at {file}:{line}"),
            (Progress::Running, None) => f.write_str(", running"),
        }
    }
}

/// A file's name, without its folders, and a line in it.
pub(super) type SourceLine = Option<(Arc<str>, u32)>;

impl<M: Memory> NameReader<'_, '_, M> {
    /// Describes a generator, a coroutine, an async generator, a suspended greenlet, or a task by its coroutine. `None` for other objects,
    /// and for unreadable ones.
    ///
    /// Objects that wait at the same line of the same code are equal, so that they can be counted.
    pub fn suspended(&mut self, at: Addr) -> Option<Suspended> {
        let of = self.type_of(at)?;
        let kind = match of.kind {
            Some(Builtin::Generator) => "generator",
            Some(Builtin::Coroutine) => "coroutine",
            Some(Builtin::AsyncGenerator) => "async generator",
            Some(Builtin::Greenlet) => return self.suspended_greenlet(at),
            // Of other libraries too, if they have a coroutine.
            _ if of.name().ends_with("Task") => {
                let coroutine = self.coroutine_of_task(at)?;
                return Some(Suspended { kind: "task", ..self.suspended(coroutine)? });
            }
            _ => return None,
        };
        let name = self.text(self.objects.read_pointer(at, self.python.layout.gen_object.gi_qualname)?)?;
        let frame = self.frame_of_generator(at);
        let progress = frame.map_or(Some(Progress::Ended), |frame| self.progress(at, frame))?;
        let line =
            frame.filter(|_| progress != Progress::NotStarted).and_then(|frame| self.source_line(frame));
        let module = frame.and_then(|frame| self.module_of_frame(frame));
        Some(Suspended { kind, module, name, progress, line })
    }

    /// The code that a generator, coroutine or greenlet runs, and the module of that; `None` once it has ended.
    pub fn suspended_code(&mut self, at: Addr) -> Option<(Addr, Option<Arc<str>>)> {
        let frame = match self.type_of(at)?.kind {
            Some(Builtin::Greenlet) => self.greenlet_frames(at)?.named(),
            _ => self.frame_of_generator(at)?,
        };
        Some((self.code_of_frame(frame)?, self.module_of_frame(frame)))
    }

    /// Finds the coroutine or generator that a task runs, until it has ended: its attribute, or what a task in C refers to.
    pub fn coroutine_of_task(&mut self, task: Addr) -> Option<Addr> {
        let suspends = |names: &mut Self, at: Addr| {
            let of = names.type_of(at);
            of.is_some_and(|of| matches!(of.kind, Some(Builtin::Coroutine | Builtin::Generator)))
        };
        let named = ["_coro", "coro"].iter().find_map(|name| self.attribute(task, name));
        if let Some(named) = named.filter(|&at| suspends(self, at)) {
            return Some(named);
        }
        let mut targets = Vec::new();
        self.visit_references(task, |to, _| targets.push(to));
        targets.into_iter().find(|&to| suspends(self, to))
    }

    /// The frame of a generator that has not ended: a frame object until 3.10, then the one inside of it.
    pub fn frame_of_generator(&self, at: Addr) -> Option<Addr> {
        match self.python.layout.gen_object.gi_frame {
            Some(frame) => self.objects.read_pointer(at, frame).filter(|frame| !frame.is_null()),
            None => self.inner_frame(at),
        }
    }

    fn progress(&self, at: Addr, frame: Addr) -> Option<Progress> {
        let (memory, layout) = (self.python.memory, self.python.layout);
        let (generator, object) = (&layout.gen_object, &layout.frame_object);
        let state = match (generator.gi_frame_state, object.f_state) {
            (Some(state), _) => Some(memory.read_byte(at, state).ok()?.cast_signed()),
            (None, Some(state)) => Some(memory.read_byte(frame, state).ok()?.cast_signed()),
            (None, None) => None,
        };
        if let (Some(state), Some(known)) = (state, &layout.frame_state) {
            let is = |known: Option<i32>| known == Some(i32::from(state));
            return Some(match () {
                () if is(known.frame_created) => Progress::NotStarted,
                () if is(known.frame_executing) => Progress::Running,
                () if is(known.frame_suspended)
                    || is(known.frame_suspended_yield_from)
                    || is(known.frame_suspended_yield_from_locked) =>
                {
                    Progress::Waiting
                }
                () => Progress::Ended,
            });
        }
        // 3.8 and 3.9: a flag in the generator, and -1 in its frame before its first instruction.
        if memory.read_byte(at, generator.gi_running?).ok()? != 0 {
            return Some(Progress::Running);
        }
        let last = memory.read_int(frame, object.f_lasti?).ok()?;
        Some(if last < 0 { Progress::NotStarted } else { Progress::Waiting })
    }

    /// The line that a frame is at.
    pub(super) fn source_line(&mut self, frame: Addr) -> SourceLine {
        let (code, offset) = read_frame_instruction(self.objects, frame)?;
        let offset = offset?;
        if let Some(known) = self.source_lines.get(&(code, offset)) {
            return known.clone();
        }
        let source_line = read_code_location(self.objects, code, Some(offset)).and_then(|place| {
            let file = place.file.rsplit('/').next().unwrap_or_default();
            Some((file.into(), place.line?))
        });
        if self.source_lines.len() < MAX_SOURCE_LINES {
            self.source_lines.insert((code, offset), source_line.clone());
        }
        source_line
    }
}

/// Whether a type is a task type of C or of Python.
pub fn is_task(name: &str) -> bool {
    matches!(name, "_asyncio.Task" | "asyncio.tasks._PyTask" | "asyncio.tasks.Task")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(kind: &'static str, progress: Progress, line: SourceLine) -> String {
        let module = (progress != Progress::Ended).then(|| "bot".into());
        Suspended { kind, module, name: "wait_reply".into(), progress, line }.to_string()
    }

    #[test]
    fn suspended_code_names_its_line() {
        let line = || Some(("bot.py".into(), 42));
        assert_eq!(describe("task", Progress::Waiting, line()), "task bot.wait_reply, waiting at bot.py:42");
        assert_eq!(
            describe("generator", Progress::Waiting, line()),
            "generator bot.wait_reply, suspended at bot.py:42"
        );
        assert_eq!(
            describe("coroutine", Progress::NotStarted, None),
            "coroutine bot.wait_reply, not started"
        );
        assert_eq!(describe("coroutine", Progress::Ended, None), "coroutine wait_reply, ended");
        assert_eq!(describe("coroutine", Progress::Running, None), "coroutine bot.wait_reply, running");
    }
}
