//! The account of RSS: each resident byte with its owner, once.
//!
//! A byte can have several descriptions: it is in an anonymous mapping, in an arena of pymalloc, in a pool, in a block, in an object. So
//! all that is known is laid over the address space in layers, from the coarsest to the finest, and each resident byte belongs to the
//! topmost span over it. The rows add up to RSS by construction.
//!
//! [`process_memory`] is the entry for a Python process. It finds the owners of storage once; the coverage of Python's allocator and
//! the account both follow from them. [`rss`] and the modules below it know nothing of Python, whose memory they get as ranges.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod block_map;
pub mod coverage;
pub mod glibc;
pub mod growth;
mod libraries;
mod mappings;
mod musl;
pub mod native_heaps;
mod ownership;
pub mod pinned;
pub mod process_memory;
pub mod python_memory;
pub mod rows;
pub mod rss;
pub mod span;
mod stacks;

pub use native_heaps::NativeHeaps;
pub use python_memory::{PoolUse, PythonMemory};
pub use rss::{Account, LargeRegion, account};
