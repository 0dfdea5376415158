//! Every live object of a Python, its type, its size, and what it refers to.

pub mod address_set;
pub mod builtins;
mod cycle_guard;
pub mod descriptors;
pub mod exit_callbacks;
pub mod gc_lists;
pub mod greenlets;
pub mod instance;
mod numpy;
pub mod parallel;
pub mod python_heap;
pub mod referents;
pub mod roots;
pub mod size;
mod tracked_blocks;
pub mod types;
pub mod walk;
