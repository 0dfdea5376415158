//! Every integration test, in one program: it links once, and its modules share one support.
//!
//! `laws` looks at the sources, `schema`, `records` and `docs` at what is promised in writing, `harness` at the support
//! itself; the modules named after tools run them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the message"
)]

mod docs;
mod endings;
mod harness;
mod launching;
mod laws;
mod pipes;
mod records;
mod schema;
mod screen;
mod support;
mod terminal;
mod usage;
