//! The Python in a process: its location, its version, and the verification of both.
//!
//! `locate` finds `_PyRuntime` by one way or another, `choose` the layout that holds for it, and [`Runtime::read`] its interpreters and
//! threads, from live or frozen memory alike: cheap enough to be done again for every copy.

pub mod bytecode;
pub mod detect;
pub mod frame;
pub mod locate;
pub mod running_frames;
pub mod verify;
pub mod version;
pub use locate_method::LocateMethod;

mod line_table;
mod locate_method;
mod other_runtimes;
mod scan;

use std::collections::HashSet;

use crate::layout::Layout;
use crate::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::{Memory, Unreadable};

/// More interpreters than any program has: a longer chain is no chain.
const MOST_INTERPRETERS: usize = 1 << 16;

/// More threads than the kernel permits a process (`/proc/sys/kernel/threads-max` is below 2^22).
const MOST_THREADS: usize = 1 << 22;

/// A Python, its interpreters and their threads at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The address of `_PyRuntime`.
    pub at: Addr,
    /// Its interpreters, the newest first, as CPython links them; the main one is the last.
    pub interpreters: Vec<Interpreter>,
}

/// An interpreter: `PyInterpreterState`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its address.
    pub at: Addr,
    /// Its runtime.
    pub runtime: Addr,
    /// 0 for the main one, then counted up.
    pub id: i64,
    /// Its collector's state; that of all interpreters in 3.8, which has only one.
    pub gc: Addr,
    /// `sys.modules`; null before and after it has one.
    pub modules: Addr,
    /// `sys.__dict__`; null before and after it has one.
    pub sysdict: Addr,
    /// `builtins.__dict__`; null before and after it has one.
    pub builtins: Addr,
    /// Its threads, the newest first.
    pub threads: Vec<ThreadState>,
}

/// A thread as an interpreter knows it: `PyThreadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    /// Its address.
    pub at: Addr,
    /// `threading.get_ident()` in it, which is its `pthread_t`; 0 before it runs.
    pub ident: u64,
    /// The kernel's number in the target's own pid namespace; `None` before 3.11, and before the thread runs.
    pub native_id: Option<u64>,
}

impl Runtime {
    /// Reads the interpreters and threads of the `_PyRuntime` at `at`.
    ///
    /// # Errors
    /// A list is unreadable or circular: there is no Python, the layout is of another one, or memory changed during the read.
    pub fn read(memory: &dyn Memory, layout: &Layout, at: Addr) -> Result<Self, Error> {
        let head = memory
            .read_addr(at.plus(layout.runtime_state.interpreters_head.into()))
            .map_err(|unreadable| broken(at, &unreadable.to_string()))?;
        let chain = chain(memory, head, layout.interpreter_state.next, MOST_INTERPRETERS)
            .map_err(|what| broken(at, &format!("the list of interpreters {what}")))?;
        let interpreters = chain
            .into_iter()
            .map(|interpreter| Interpreter::read(memory, layout, at, interpreter))
            .collect::<Result<_, _>>()?;
        Ok(Self { at, interpreters })
    }

    /// Whether a garbage collection is under way in any interpreter of the runtime at `at`: links and counts are then in flux. Reads as
    /// little as possible, since the target may be paused for it.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn is_collecting(memory: &dyn Memory, layout: &Layout, at: Addr) -> Result<bool, Unreadable> {
        let collecting = |gc: Addr| Ok(memory.read_u32(gc.plus(layout.gc_state.collecting.into()))? != 0);
        let Some(gc) = layout.interpreter_state.gc else {
            // One collector for all of them.
            return collecting(at.plus(layout.runtime_state.gc.ok_or(Unreadable { at })?.into()));
        };
        let mut interpreter = memory.read_addr(at.plus(layout.runtime_state.interpreters_head.into()))?;
        for _ in 0..MOST_INTERPRETERS {
            if interpreter.is_null() {
                return Ok(false);
            }
            if collecting(interpreter.plus(gc.into()))? {
                return Ok(true);
            }
            interpreter = memory.read_addr(interpreter.plus(layout.interpreter_state.next.into()))?;
        }
        Err(Unreadable { at })
    }

    /// `threading.get_ident()` of the main thread, if the runtime has it.
    pub fn main_thread(&self, memory: &dyn Memory, layout: &Layout) -> Option<u64> {
        memory
            .read_u64(self.at.plus(layout.runtime_state.main_thread.into()))
            .ok()
            .filter(|&ident| ident != 0)
    }

    /// The main interpreter, which is the oldest.
    pub fn main(&self) -> Option<&Interpreter> {
        self.interpreters.iter().min_by_key(|interpreter| interpreter.id)
    }
}

impl Interpreter {
    fn read(memory: &dyn Memory, layout: &Layout, runtime: Addr, at: Addr) -> Result<Self, Error> {
        let fields = &layout.interpreter_state;
        let unreadable = |unreadable: Unreadable| broken(runtime, &unreadable.to_string());
        let pointer = |offset: u32| memory.read_addr(at.plus(offset.into())).map_err(unreadable);
        let gc = match (fields.gc, layout.runtime_state.gc) {
            (Some(offset), _) => at.plus(offset.into()),
            (None, Some(offset)) => runtime.plus(offset.into()),
            (None, None) => return Err(broken(runtime, "the layout does not say where the collector is")),
        };
        let threads = chain(memory, pointer(fields.threads_head)?, layout.thread_state.next, MOST_THREADS)
            .map_err(|what| broken(runtime, &format!("the list of threads {what}")))?;
        Ok(Self {
            at,
            runtime,
            id: memory.read_u64(at.plus(fields.id.into())).map_err(unreadable)?.cast_signed(),
            gc,
            modules: pointer(fields.modules)?,
            sysdict: pointer(fields.sysdict)?,
            builtins: pointer(fields.builtins)?,
            threads: threads
                .into_iter()
                .map(|thread| ThreadState::read(memory, layout, thread))
                .collect::<Result<_, _>>()
                .map_err(unreadable)?,
        })
    }
}

impl ThreadState {
    fn read(memory: &dyn Memory, layout: &Layout, at: Addr) -> Result<Self, Unreadable> {
        let native_id = match layout.thread_state.native_thread_id {
            Some(offset) => Some(memory.read_u64(at.plus(offset.into()))?).filter(|&id| id != 0),
            None => None,
        };
        Ok(Self { at, ident: memory.read_u64(at.plus(layout.thread_state.thread_id.into()))?, native_id })
    }
}

/// The structs that `next` links from `head` to a null pointer.
fn chain(memory: &dyn Memory, head: Addr, next: u32, most: usize) -> Result<Vec<Addr>, String> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut at = head;
    while !at.is_null() {
        if !seen.insert(at) {
            return Err(format!("comes back to {at}"));
        }
        if found.len() == most {
            return Err(format!("has more than {most}"));
        }
        found.push(at);
        at = memory.read_addr(at.plus(next.into())).map_err(|unreadable| unreadable.to_string())?;
    }
    Ok(found)
}

/// The error for a Python whose structs contradict each other.
fn broken(at: Addr, what: &str) -> Error {
    Error::new(
        stage::LOCATE,
        format!("the Python at {at} cannot be read: {what}"),
        "it may just be starting or ending; otherwise memobj takes it for another version than it is: try --locate",
    )
}
