//! The JSONL contract between the tools. These types are its specification.
//!
//! One record a line, UTF-8, one JSON object. Every record begins with `type`, then the fields of [`Header`].
//! Bytes are integers and end in `_bytes`, durations are seconds and end in `_seconds`, shares are 0 to 1 and end in
//! `_ratio`. What was not measured is `null`; in events and errors it is absent. `docs/schema.md` says the same in
//! tables, and `tests/schema.rs` holds the two together.
//!
//! Old records stay readable for ever: a field may be added, never changed in meaning, and readers ignore fields and
//! types that they do not know.

mod census;
pub(crate) mod cursor;
mod diff;
mod event;
mod fingerprints;
mod header;
mod leaks;
mod memory;
mod names;
mod omitted;
mod process;
mod python;
pub(crate) mod scan;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use census::{
    CacheClock, CacheTotal, CacheWarning, CaptureMethod, CensusRecord, HolderTotal, LiveReason, Liveness,
    ModuleTotal, OwnerTotal, PathTotal, PythonThread, Scope, TypeTotal, UnreachableTotal,
};
pub(crate) use census::{
    CacheTotalFields, CensusFields, HolderTotalFields, ModuleTotalFields, PythonThreadFields, TypeTotalFields,
};
pub use diff::{
    CountChange, DiffRecord, LimitKind, MomentRef, Presence, ProcessChange, SeriesKind, ThreadChange,
    TotalChange, TrendKind, Verdict,
};
pub use event::{ErrorRecord, EventKind, Metric, OutputRecord, OutputStream, ProcessEvent};
pub(crate) use fingerprints::ObjectSampleFields;
pub use fingerprints::{Fingerprints, MAX_FINGERPRINTS, ObjectSample};
pub(crate) use header::HeaderFields;
pub use header::{Header, Run, SCHEMA};
pub use leaks::{
    GrowthMode, Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRowGrowth, PeerComparison, TypeGrowth,
};
pub use memory::{LargeRegion, MemoryAccount, MemoryKind, MemoryRow, PinnedHolder, PinnedType, TypeMemory};
pub use omitted::Omitted;
pub(crate) use omitted::OmittedFields;
pub use process::{Cgroup, Pressure, ProcessRecord, ProcessSample, System};
pub(crate) use process::{CgroupFields, IdentityFields, RunFields, SizeFields, SystemFields, TreeFields};
pub use python::{Allocator, Coverage, GcGeneration, GcState, PythonBuild};

/// Any line of a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// A process and everything below it at one moment.
    Process(Box<ProcessRecord>),
    /// Something that happened to a process.
    ProcessEvent(Box<ProcessEvent>),
    /// Every object of a Python process at one moment.
    Census(Box<CensusRecord>),
    /// What leaks in a Python process, after several censuses.
    Leaks(Box<LeaksRecord>),
    /// What changed between two moments, and what grows.
    Diff(Box<DiffRecord>),
    /// A line that a launched command printed.
    Output(OutputRecord),
    /// Something that could not be done.
    Error(ErrorRecord),
    /// A type that this version does not know; its `type` is kept, its fields are not.
    #[serde(skip)]
    Unknown(String),
}

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or JSON with fields that do not fit the contract.
    #[error("{}", .0.to_string().replace(" at line 1 column ", " at column "))]
    Json(#[from] serde_json::Error),
    /// An object without `type`.
    #[error("no \"type\" field")]
    NoType,
}

impl Record {
    /// Reads one line, with or without its line end.
    ///
    /// # Errors
    /// What is no JSON object with a `type`, or has fields of the wrong kind. An unknown `type` is no error.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<Cow<'a, str>>,
        }
        // By contract the type stands first; looking there spares a pass over the line.
        let kind = if line.starts_with(br#"{"type":"process","#) {
            Cow::Borrowed("process")
        } else {
            serde_json::from_slice::<Tag<'_>>(line)?.kind.ok_or(RecordError::NoType)?
        };
        Ok(match kind.as_ref() {
            "process" => Self::Process(serde_json::from_slice(line)?),
            "process_event" => Self::ProcessEvent(serde_json::from_slice(line)?),
            "census" => Self::Census(serde_json::from_slice(line)?),
            "leaks" => Self::Leaks(serde_json::from_slice(line)?),
            "diff" => Self::Diff(serde_json::from_slice(line)?),
            "output" => Self::Output(serde_json::from_slice(line)?),
            "error" => Self::Error(serde_json::from_slice(line)?),
            _ => Self::Unknown(kind.into_owned()),
        })
    }
}
