//! Reads the objects of a CPython interpreter in another process: 3.8 to 3.15, plain, debug and free-threaded builds.
//!
//! Use it where a program has to be examined from outside: a profiler of memory, a debugger, a reader of core files. Nothing is installed
//! in the program and nothing runs there. The memory may be a running process, a stopped one, a core file or a snapshot: whatever implements
//! [`Memory`](memobj_process::memory::Memory).
//!
//! This example starts a Python, finds its interpreter, walks its heap and prints the ten most frequent types:
//!
//! ```
//! use std::io::{BufRead, BufReader};
//! use std::process::{Command, Stdio};
//! use std::time::Duration;
//!
//! use memobj_cpython::heap::python_heap::PythonHeap;
//! use memobj_cpython::heap::walk::walk_heap;
//! use memobj_cpython::runtime::detect::detect;
//! use memobj_cpython::runtime::locate::SYMBOLS;
//! use memobj_process::elf::ElfCache;
//! use memobj_process::memory::CopyBuffer;
//! use memobj_process::target::Target;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let python = ["python3", "python"].into_iter().find(|name| Command::new(name).arg("-c").arg("").status().is_ok());
//! # let Some(python) = python else { return Ok(()) };
//! let program = "sessions = [{'user': n} for n in range(1000)]; print('ready', flush=True); input()";
//! let mut child =
//!     Command::new(python).args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//! BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new())?;
//!
//! let mut target = Target::attach(child.id())?;
//! let frozen = target.freeze(&mut CopyBuffer::new(), Duration::from_secs(1), |_| true)?; // paused for the copy only
//! child.kill()?;
//!
//! let python = detect(&frozen, None, &ElfCache::new(SYMBOLS))?; // finds `_PyRuntime`, and the layout that holds for it
//! let runtime = python.read(&frozen.memory)?;
//! let heap = PythonHeap::from_runtime(&frozen.memory, &python.layout, &runtime)?;
//! let mut types = walk_heap(&heap, 2)?.types;
//! types.sort_by_key(|stats| std::cmp::Reverse(stats.counts.heap.objects));
//! for stats in types.iter().take(10) {
//!     println!("{:>8} {:>10} {}", stats.counts.heap.objects, stats.counts.heap.bytes, stats.ty.name());
//! }
//! # assert!(types.iter().any(|stats| stats.ty.name() == "dict" && stats.counts.heap.objects >= 1000));
//! # Ok(())
//! # }
//! ```
//!
//! Layouts come from tables, one for each minor version and kind of build, which are verified on the target before any number is given: a
//! Python whose layout does not hold is refused with a reason.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | errors | [`stage`] | the steps that can fail |
//! | layout | [`layout`] | where everything is in each version of CPython, or an error that says what is missing |
//! | object | [`object`] | a single object: a name, an entry of a dict, an attribute |
//! | runtime | [`runtime`] | which Python it is, where its interpreters and threads are, that its layout holds |
//! | pools | [`pools`] | the blocks that the allocator of small objects has given out |
//! | heap | [`heap`] | every live object, its type, its size, and its references |
//!
//! # A second runtime
//!
//! A crate for another runtime, such as Node.js or the JVM, would stand beside this one, on [`memobj_process`] alone. Its users would need
//! three things of it, as they do of this crate: detection ([`runtime::detect`]), a walk with counts by type ([`heap::walk`]), and the
//! references of an object ([`heap::referents`]). No trait is made for them until there is a second runtime.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod heap;
pub mod layout;
pub mod object;
pub mod pools;
pub mod runtime;
pub mod stage;
