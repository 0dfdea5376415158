//! What the four tools share: the records they exchange and the manners they have in common.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`units`], [`time`], [`process`], [`cgroup`], [`columns`], [`trend`] | bytes, durations, moments, who a process is and in which group, text as a terminal shows it, trends of series |
//! | lines | [`table`] | lines of toned text, cut at a terminal's edge, and tables of them |
//! | contract | [`record`] | the JSONL schema: these types are its specification |
//! | cache | [`cache`] | memory that is bounded in bytes, for what is read again and again |
//! | stream | [`jsonl`], [`stdio`], [`signal`] | lines in and out, pipes, terminals, Ctrl-C |
//! | edge | [`cli`] | arguments that several tools take, failures, exit codes |
//! | launch | [`launch`], [`wait`] | a command started, relayed, reaped; waiting for whatever comes first |
//! | session | [`session`] | one run of a tool that observes processes: signals, command, bounds, outputs, exit code |
//! | log | [`log`] | logs of any tool and age, read as moments |
//!
//! A module uses only modules of the rows above its own; `tests/laws.rs` holds it to that.

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod cache;
pub mod cgroup;
pub mod cli;
pub mod columns;
pub mod jsonl;
#[cfg(unix)]
pub mod launch;
pub mod log;
pub mod process;
pub mod record;
#[cfg(unix)]
pub mod session;
#[cfg(unix)]
pub mod signal;
pub mod stdio;
pub mod table;
pub mod time;
pub mod trend;
pub mod units;
#[cfg(unix)]
pub mod wait;
