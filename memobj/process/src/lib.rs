//! Reads the memory of other processes: running, paused, in core files and in snapshots. It needs no cooperation of the process, and never
//! writes to it. It knows nothing of the language that the process is written in.
//!
//! [`Target::attach`](target::Target::attach) opens a running process. Its memory can be read while it runs
//! ([`live`](target::Target::live)), while all its threads are paused ([`stop`](target::Target::stop)), or from a copy: one made while all
//! threads slept ([`freeze_asleep`](target::Target::freeze_asleep)), during a pause of the threads that ran
//! ([`freeze_gently`](target::Target::freeze_gently)), or during one of all threads ([`freeze`](target::Target::freeze)). Core files ([`target::core_file::open`]) and snapshots ([`snapshot::open`]) are
//! opened as such copies. Each is a [`ProcessSource`](info::ProcessSource), and each memory a [`Memory`](memory::Memory): code that reads
//! one reads all.
//!
//! ```
//! use std::io::Read;
//! use std::process::{Command, Stdio};
//!
//! use memobj_process::info::ProcessSource;
//! use memobj_process::memory::{CopyBuffer, Memory};
//! use memobj_process::target::{STOP_LIMIT, Target};
//!
//! let command = ["-c", "echo ready; read line"];
//! let mut child = Command::new("sh").args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
//! // It may still be in execve(2) when `spawn` returns.
//! child.stdout.as_mut().expect("it is a pipe").read_exact(&mut [0])?;
//! let mut target = Target::attach(child.id())?;
//! // Pauses the child, copies its memory, and resumes it.
//! let frozen = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true)?;
//! let stack = frozen.info().mappings.iter().find(|mapping| mapping.path.as_os_str() == "[stack]");
//! let last = stack.expect("each process has a stack").range.end.minus(8);
//! println!("the last eight bytes of its stack: {:#x}", frozen.memory().read_u64(last)?);
//! child.kill()?;
//! child.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | basics | [`addr`], [`error`], [`priority`] | addresses; errors, each with a hint for the user; the priority of a thread of ours |
//! | memory | [`memory`] | reading foreign memory, wherever it is |
//! | pages | [`residence`] | which pages of a process are resident, and which it shares |
//! | process | [`info`] | identity, sizes, mappings and threads |
//! | binary | [`elf`] | symbols, sections and build id of a program or library |
//! | target | [`target`] | attach, pause, copy, resume; core files; the only layer that touches another process |
//! | snapshot | [`snapshot`] | a process at one moment, saved and opened again |

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod addr;
pub mod elf;
pub mod error;
pub mod info;
pub mod memory;
pub mod priority;
pub mod residence;
pub mod snapshot;
pub mod target;
