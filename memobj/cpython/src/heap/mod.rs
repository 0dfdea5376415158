//! Every live object of a Python, its type, its size, and what it refers to.

mod chain;
pub mod gclists;
pub mod instance;
pub mod kinds;
mod mimalloc;
mod numpy;
pub mod python;
pub mod referents;
pub mod roots;
pub mod seen;
pub mod size;
pub mod types;
pub mod walk;

pub use crate::object::{access, dict, text};
