//! The header of all records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scan::scanned;
use crate::time::Stamp;

/// The version of the schema, raised only for a break.
pub const SCHEMA: u32 = 2;

scanned! {
    HeaderFields:
    /// The first fields of each record, after `type`.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Header {
        /// [`SCHEMA`].
        pub schema: u32,
        /// The time of the measurement.
        pub timestamp: Stamp,
        /// The machine's name.
        pub host: Arc<str>,
        /// A random name of this run of the tool, 16 hexadecimal digits. It separates the runs in concatenated logs.
        pub run: Arc<str>,
        /// The number of the moment within the run, from 1 without gaps: a failed iteration is an `error` record of the same number. Records of
        /// one moment share it.
        pub iteration: u64,
    }
}

impl Header {
    /// Creates the header of an iteration at the current time.
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
    /// Creates a run with a random name of 16 hexadecimal digits.
    #[must_use]
    pub fn start() -> Self {
        // Without the system's random source, the clock separates runs.
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

/// Declares a record: its fields follow those of the header, flat, so that `jq .rss_bytes` works. serde's `flatten` would buffer all
/// fields.
macro_rules! record {
    ($fields:ident: $(#[$doc:meta])* pub struct $name:ident { $($(#[$($attr:tt)*])* pub $field:ident: $type:ty,)* }) => {
        $crate::record::header::record! {
            $(#[$doc])*
            pub struct $name { $($(#[$($attr)*])* pub $field: $type,)* }
        }

        $crate::record::scan::fields! {
            #[doc = concat!("Scans the fields of [`", stringify!($name), "`] behind its header.")]
            trait $fields { $($(#[$($attr)*])* $field: $type,)* }
        }
    };
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
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
            /// Returns the record with `header`.
            #[must_use]
            pub fn with_header(self, header: $crate::record::Header) -> Self {
                let $crate::record::Header { schema, timestamp, host, run, iteration } = header;
                Self { schema, timestamp, host, run, iteration, ..self }
            }

            /// Returns the header, for another record of the same moment.
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
pub(crate) use record;
