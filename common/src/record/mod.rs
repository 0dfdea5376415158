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
mod diff;
mod event;
mod fingerprints;
mod leaks;
mod memory;
mod process;
mod python;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use census::{
    CacheTotal, CensusRecord, HolderTotal, ModuleTotal, Omitted, OwnerTotal, PathTotal, PythonThread,
    TypeTotal, UnreachableTotal,
};
pub use diff::{
    CountChange, DiffRecord, MomentRef, Presence, ProcessChange, ThreadChange, TotalChange, TrendKind,
    Verdict,
};
pub use event::{ErrorRecord, EventKind, OutputRecord, OutputStream, ProcessEvent};
pub use fingerprints::{Fingerprints, MAX_FINGERPRINTS, ObjectSample};
pub use leaks::{Leak, LeakVerdict, LeaksRecord, MemoryGrowth, MemoryRowGrowth, PeerComparison, TypeGrowth};
pub use memory::{LargeRegion, MemoryAccount, MemoryRow, PinnedHolder, PinnedType, TypeMemory};
pub use process::{Cgroup, Pressure, ProcessRecord, ProcessSample, System};
pub use python::{Coverage, GcGeneration, GcState, PythonBuild};

use crate::time::Stamp;

/// The version of the contract, raised only for a break.
pub const SCHEMA: u32 = 2;

/// The fields that begin every record, behind `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it was measured.
    pub timestamp: Stamp,
    /// The machine's name.
    pub host: Arc<str>,
    /// A random name of this run of the tool, so that logs put together can be told apart.
    pub run: Arc<str>,
    /// From 1, never skipped: a failed iteration is an `error` record of the same number. Records of one moment share it.
    pub iteration: u64,
}

impl Header {
    /// The header of iteration `iteration` of `run`, now.
    #[must_use]
    pub fn now(run: &Run, iteration: u64) -> Self {
        Self {
            schema: SCHEMA,
            timestamp: Stamp::now(),
            host: Arc::clone(&run.host),
            run: Arc::clone(&run.id),
            iteration,
        }
    }
}

/// One run of a tool.
#[derive(Debug, Clone)]
pub struct Run {
    host: Arc<str>,
    id: Arc<str>,
}

impl Run {
    /// A new run with a random name of 16 hexadecimal digits.
    #[must_use]
    pub fn start() -> Self {
        // Without the system's random source the clock still tells runs apart.
        let id = getrandom::u64().unwrap_or_else(|_| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(now.as_nanos()).unwrap_or(0) ^ u64::from(std::process::id())
        });
        Self { host: gethostname::gethostname().to_string_lossy().into(), id: format!("{id:016x}").into() }
    }

    /// The random name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Declares a record: its own fields behind those of the header, flat, so that `jq .rss_bytes` works and reading needs
/// no buffering (serde's `flatten` reads every field twice).
macro_rules! record {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            /// See [`Header::schema`](crate::record::Header::schema).
            pub schema: u32,
            /// See [`Header::timestamp`](crate::record::Header::timestamp).
            pub timestamp: $crate::time::Stamp,
            /// See [`Header::host`](crate::record::Header::host).
            pub host: std::sync::Arc<str>,
            /// See [`Header::run`](crate::record::Header::run).
            pub run: std::sync::Arc<str>,
            /// See [`Header::iteration`](crate::record::Header::iteration).
            pub iteration: u64,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// What it begins with; for another record of the same moment.
            #[must_use]
            pub fn header(&self) -> $crate::record::Header {
                $crate::record::Header {
                    schema: self.schema,
                    timestamp: self.timestamp,
                    host: std::sync::Arc::clone(&self.host),
                    run: std::sync::Arc::clone(&self.run),
                    iteration: self.iteration,
                }
            }
        }
    };
}
use record;

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
