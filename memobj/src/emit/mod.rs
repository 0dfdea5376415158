//! Censuses for people and programs.
//!
//! | module | makes of a census |
//! |---|---|
//! | [`summary`] | sums by type and module, in order |
//! | [`census_record`] | a record that lists what is large, and goes on listing what it listed |
//! | [`cache_record`] | the part of a record that says what caches there are |
//! | [`memory_record`] | the part of a record that says who has the resident set |
//! | [`text`] | tables for people, and what changed |

pub mod cache_record;
pub mod census_record;
pub mod memory_record;
pub mod summary;
pub mod text;

#[cfg(test)]
pub(crate) mod testing;
