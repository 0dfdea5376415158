//! Every integration test, in one program: it links once, and its modules share one support.
//!
//! `laws` looks at the sources, `schema`, `records` and `docs` at what is promised in writing, `harness` at the support
//! itself; the others run the tools: `oracle`, `sources`, `tree`, `strangers`, `choice` and `hostile` hold that memmon tells the truth.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the message"
)]

mod account;
mod choice;
mod docs;
mod drawing;
mod endings;
mod harness;
mod heap;
mod hostile;
mod launching;
mod laws;
mod layouts;
mod locating;
mod logs;
mod memdiff;
mod memplot;
mod oracle;
mod page;
mod pipes;
mod records;
mod schema;
mod screen;
mod sources;
mod stopping;
mod strangers;
mod support;
mod terminal;
mod tree;
mod usage;
mod verdicts;
