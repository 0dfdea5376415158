//! Censuses for people and programs.
//!
//! | module | makes of a census |
//! |---|---|
//! | [`tally`] | sums by type and module, in order |
//! | [`listing`] | a record that lists what is large, and goes on listing what it listed |
//! | [`text`] | tables for people, and what changed |

pub mod listing;
pub mod tally;
pub mod text;

#[cfg(test)]
pub(crate) mod testing;
