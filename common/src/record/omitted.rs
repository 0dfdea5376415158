//! What a list leaves out.

use serde::{Deserialize, Serialize};

use super::scan::scanned;

scanned! {
    OmittedFields:
    /// What a list left out.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Omitted {
        /// How many rows.
        pub rows: u64,
        /// How many objects they stand for; of caches, entries.
        pub count: u64,
        /// The size of those, as far as it was measured.
        pub size_bytes: u64,
    }
}

impl Omitted {
    /// Adds a row.
    pub fn add(&mut self, count: u64, size_bytes: u64) {
        self.rows += 1;
        self.count = self.count.saturating_add(count);
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
    }

    /// The sum; `None` if no row was omitted.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (self.rows > 0).then_some(self)
    }
}
