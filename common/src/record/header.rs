//! The fields with which every record begins.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scan::scanned;
use crate::time::Stamp;

/// The version of the contract, raised only for a break.
pub const SCHEMA: u32 = 2;

scanned! {
    HeaderFields:
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
            /// The record with `header`.
            #[must_use]
            pub fn with_header(self, header: $crate::record::Header) -> Self {
                let $crate::record::Header { schema, timestamp, host, run, iteration } = header;
                Self { schema, timestamp, host, run, iteration, ..self }
            }

            /// The header, for another record of the same moment.
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
