//! The account of RSS: who has each resident byte, once.

pub mod glibc;
pub mod span;
