//! Censuses for people and programs.
//!
//! | module | makes of a census |
//! |---|---|
//! | [`summary`] | sums by type and module, in order |
//! | [`recorder`] | a record that lists what is large, and goes on listing what it listed |
//! | [`caches`] | the part of a record that says what caches there are |
//! | [`leaks`] | the record of a verdict |
//! | [`memory`] | the part of a record that says who has the resident set |
//! | [`text`] | tables for people, and what changed |

pub mod caches;
pub mod census_record;
pub mod leaks;
pub mod memory;
pub mod summary;
pub mod text;

#[cfg(test)]
pub(crate) mod testing;
