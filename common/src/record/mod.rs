//! The JSONL contract between the tools. These types are its specification.
//!
//! Each line is one record: a JSON object in UTF-8 that begins with `type` and the fields of [`Header`]. Bytes are integers and end
//! in `_bytes`, durations are seconds and end in `_seconds`, shares are 0 to 1 and end in `_ratio`. An unknown value is `null`; in
//! events and errors it is absent. `docs/schema.md` has the same in tables, and `tests/schema.rs` compares the two.
//!
//! Old records stay readable: fields may be added, but never change their meaning. Readers ignore unknown fields and types.
//!
//! ```
//! use common::record::Record;
//!
//! let line = br#"{"type":"output","schema":2,"timestamp":"2026-11-23T22:27:00.000+01:00","host":"h","run":"r","iteration":1,"stream":"stdout","line":"hello"}"#;
//! let Ok(Record::Output(output)) = Record::parse(line) else { panic!() };
//! assert_eq!(output.line, "hello");
//! ```

mod census;
pub(crate) mod cursor;
mod diff;
mod event;
mod fingerprints;
mod header;
mod heap_tree;
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
    CacheClock, CacheTotal, CacheWarning, CaptureMethod, CensusRecord, DescriptorTotal, HolderTotal,
    LiveReason, Liveness, ModuleTotal, OwnerTotal, PathTotal, PythonThread, Scope, TypeTotal,
    UnreachableTotal,
};
pub(crate) use census::{
    CacheTotalFields, CensusFields, HolderTotalFields, ModuleTotalFields, PythonThreadFields, TypeTotalFields,
};
pub use diff::{
    CountChange, DiffRecord, LimitKind, MomentRef, Presence, ProcessChange, SeriesKind, ThreadChange,
    TotalChange, TrendKind, Verdict,
};
pub use event::{ErrorRecord, EventKind, Metric, MetricValue, OutputRecord, OutputStream, ProcessEvent};
pub(crate) use fingerprints::ObjectSampleFields;
pub use fingerprints::{Fingerprints, MAX_FINGERPRINTS, ObjectSample};
pub(crate) use header::HeaderFields;
pub use header::{Header, Run, SCHEMA};
pub(crate) use heap_tree::HeapNodeFields;
pub use heap_tree::{HeapNode, HeapNodeKind};
pub use leaks::{
    ACTIVE_THREADS, AUDIT_HOOKS, AddingLine, Additions, CODEC_ERRORS, CODECS, CensusTotals, CodeLine,
    DescriptorGrowth, EXIT_CALLBACKS, FORK_CALLBACKS, GREENLETS, GrowthMode, Leak, LeakVerdict, LeaksRecord,
    MemoryGrowth, MemoryRowGrowth, PeerComparison, TypeGrowth, WritesRecord,
};
pub use memory::{LargeRegion, MemoryAccount, MemoryKind, MemoryRow, PinnedHolder, PinnedType, TypeMemory};
pub(crate) use memory::{MemoryAccountFields, MemoryRowFields};
pub use omitted::Omitted;
pub(crate) use omitted::OmittedFields;
pub use process::{Cgroup, Pressure, ProcessRecord, ProcessSample, System};
pub(crate) use process::{CgroupFields, IdentityFields, RunFields, SizeFields, SystemFields, TreeFields};
pub use python::{Allocator, Coverage, GcGeneration, GcState, PythonBuild};

/// Any line of a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// A process and its descendants.
    Process(Box<ProcessRecord>),
    /// An event of a process.
    ProcessEvent(Box<ProcessEvent>),
    /// The objects of a Python process.
    Census(Box<CensusRecord>),
    /// The leaks of a Python process, after several censuses.
    Leaks(Box<LeaksRecord>),
    /// Writes to a container of a Python process.
    Writes(Box<WritesRecord>),
    /// Changes between two moments, and growing series.
    Diff(Box<DiffRecord>),
    /// A line of a launched command's output.
    Output(OutputRecord),
    /// A failed action.
    Error(ErrorRecord),
    /// A record of an unknown type; only its `type` is kept.
    #[serde(skip)]
    Unknown(String),
}

/// The reason why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The line is not JSON, or its fields do not match the schema.
    #[error("{}", .0.to_string().replace(" at line 1 column ", " at column "))]
    Json(#[from] serde_json::Error),
    /// The object has no `type`.
    #[error("no \"type\" field")]
    NoType,
}

impl Record {
    /// Parses a line, with or without its line end.
    ///
    /// # Errors
    /// The line is no JSON object with a `type`, or a field has the wrong type. An unknown `type` is no error.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<Cow<'a, str>>,
        }
        // The type comes first, so this check saves one pass over the line.
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
            "writes" => Self::Writes(serde_json::from_slice(line)?),
            "diff" => Self::Diff(serde_json::from_slice(line)?),
            "output" => Self::Output(serde_json::from_slice(line)?),
            "error" => Self::Error(serde_json::from_slice(line)?),
            _ => Self::Unknown(kind.into_owned()),
        })
    }
}
