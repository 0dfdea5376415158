//! The omitted rows of a list.

use serde::{Deserialize, Serialize};

use super::scan::scanned;

scanned! {
    OmittedFields:
    /// The omitted rows of a list.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Omitted {
        /// The number of rows.
        pub rows: u64,
        /// The number of their objects; for caches, of their entries.
        pub count: u64,
        /// The sum of their measured sizes.
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
