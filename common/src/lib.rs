//! The shared crate of the four tools: the records that they exchange, and their common behaviour.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | basics | [`units`], [`time`], [`process`], [`cgroup`], [`columns`], [`trend`] | bytes, durations, timestamps, the identity and control group of a process, text on a terminal, trends of series |
//! | lines | [`table`] | lines of toned text, cut at the width of the terminal, and tables |
//! | contract | [`record`] | the JSONL schema: these types are its specification |
//! | cache | [`cache`] | a cache that is bounded in bytes |
//! | output | [`stdio`], [`output_file`] | text that is safe on a terminal; pipes; private files |
//! | words | [`verdict`] | the sentences of a verdict on leaks |
//! | sink | [`record_sink`] | the interface of everything that writes records |
//! | stream | [`jsonl`], [`signal`] | lines in and out, Ctrl-C |
//! | edge | [`cli`] | arguments that several tools take, failures, exit codes |
//! | search | [`process_search`] | processes by the name of their program or script |
//! | metrics | [`metrics`] | records as metrics for a monitoring system |
//! | launch | [`launch`], [`wait`] | starting, relaying and reaping a command; waiting for the first event |
//! | session | [`session`] | one run of a tool that observes processes: signals, command, bounds, outputs, exit code |
//! | log | [`log`] | logs of any tool and version, read as moments |
//!
//! A module uses only modules of the rows above its own; `tests/laws.rs` checks this.
//!
//! ```
//! use common::record::{ErrorRecord, Header, Record, Run};
//!
//! let record = Record::Error(ErrorRecord::new(Header::now(&Run::start(), 1), "sample", "the process exited".into()));
//! let line = serde_json::to_vec(&record).unwrap();
//! assert_eq!(Record::parse(&line).unwrap(), record);
//! ```

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
pub mod metrics;
pub mod output_file;
pub mod process;
pub mod process_search;
pub mod record;
pub mod record_sink;
#[cfg(unix)]
pub mod session;
#[cfg(unix)]
pub mod signal;
pub mod stdio;
pub mod table;
pub mod time;
pub mod trend;
pub mod units;
pub mod verdict;
#[cfg(unix)]
pub mod wait;
