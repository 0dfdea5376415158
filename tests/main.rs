//! Every integration test, in one program: it links once, and its modules share one support.
//!
//! `laws` looks at the sources, `schema`, `records` and `docs` at what is promised in writing, `harness` at the support
//! itself; the others run the tools: `oracle`, `sources`, `tree`, `other_users`, `choice` and `hostile` hold that memmon tells the truth,
//! `arrays`, `multidicts` and `heap` that memobj finds in a process what that finds in itself, `additions` and `watch_adds` that it names the lines that add, `caches` and `paths` that it names what the program itself
//! finds, `counting` what memobj writes and how it ends, `safety`, `lifecycle` and `refusals` that memobj leaves what it looks at as it was,
//! `exports` and `metrics` that other tools can read what it writes for them, `fuzzing` that what it reads may be anything, `support_table` that the documents claim only what was found, `packages` that what is shipped works where it is installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the message"
)]

mod account;
mod additions;
mod arrays;
mod caches;
mod choice;
mod conditions;
mod counting;
mod descriptors;
mod docs;
mod drawing;
mod examples;
mod exit_status;
mod exports;
mod first_use;
mod fuzzing;
mod greenlets;
mod guide;
mod harness;
mod heap;
mod heap_page;
mod heap_tree;
mod held;
mod hostile;
mod interpreter_facts;
mod launching;
mod laws;
mod layouts;
mod leak_report;
mod leaks;
mod lifecycle;
mod locating;
mod logs;
mod memdiff;
mod memplot;
mod metrics;
mod multidicts;
mod named_targets;
mod oracle;
mod other_users;
mod packages;
mod page;
mod partial_copies;
mod paths;
mod pipes;
mod records;
mod refusals;
mod rotation;
mod rss_rest;
mod safety;
mod schema;
mod screen;
mod sources;
mod stopping;
mod support;
mod support_table;
mod survival;
mod terminal;
mod tree;
mod usage;
mod verdicts;
mod verifying;
mod watch_adds;
