//! The census: counts and sizes. It contains no addresses, and nothing of the target's data but names.

pub(crate) mod clock;
pub mod collector;
pub(crate) mod count;
pub mod threads;
mod unread_frames;

use std::sync::Arc;

use common::record::CensusRecord;
use memobj_process::error::Error;

use crate::account::process_memory::ProcessMemory;
use crate::caches::Cache;
use crate::holders::summary::HolderSummary;
use crate::watch::holder::WatchedHolder;

/// The objects of a Python process at one moment, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// The part of its record that is not summed up from the other fields: the process, its Python, the scopes, the capture.
    pub record: CensusRecord,
    /// All types with objects in its scope, in any order. Two types may have one name.
    pub types: Vec<TypeCount>,
    /// The account of the resident set; `None` unless asked for, and for running processes and core files.
    pub memory: Option<ProcessMemory>,
    /// Who holds the objects; `None` unless asked for.
    pub held: Option<HolderSummary>,
    /// The caches of the program, largest first; `None` unless asked for.
    pub caches: Option<Vec<Cache>>,
    /// The container to watch, or why there is none; `None` unless asked for.
    pub watched: Option<Result<WatchedHolder, Error>>,
}

/// The objects of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCount {
    /// Its module; `builtins` for builtin types.
    pub module: Arc<str>,
    /// Its name within the module, as `__qualname__`.
    pub qualname: Arc<str>,
    /// How many.
    pub count: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub size_bytes: u64,
    /// Storage that they own and `sys.getsizeof` does not count.
    pub overhead_bytes: u64,
    /// Whether `size_bytes` is exact; otherwise a lower bound.
    pub size_exact: bool,
}
