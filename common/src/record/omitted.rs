//! What a list leaves out.

use serde::{Deserialize, Serialize};

use super::scan::scanned;

scanned! {
    OmittedFields:
    /// What a list left out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Omitted {
        /// How many rows.
        pub rows: u64,
        /// How many objects they stand for; of caches, entries.
        pub count: u64,
        /// The size of those, as far as it was measured.
        pub size_bytes: u64,
    }
}
