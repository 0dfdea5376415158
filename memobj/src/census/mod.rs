//! The census: counts and sizes. It contains no addresses, and nothing of the target's data but names.

pub(crate) mod clock;
pub mod collector;
pub(crate) mod count;
pub mod threads;
mod unread_frames;

use common::record::CensusRecord;
use memobj_process::error::Error;

use crate::account::process_memory::ProcessMemory;
use crate::caches::Cache;
use crate::holders::summary::HolderSummary;
use crate::object_sum::TypeCount;
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
