//! What is kept of a log: as much as a picture can show, however long the log is.
//!
//! Time is cut into buckets. When there are too many of them, their width doubles and neighbours are joined, so the end of the log
//! need not be known in advance. Of each bucket the extremes are kept with their own times: no peak is ever lost.

mod events;
mod points;
mod rows;

pub use events::{EventBuckets, EventGroup};
pub use points::PointBuckets;
pub use rows::{Entry, Row, RowBuckets};

/// The bucket a moment is in.
fn index(unix_ms: i64, width_ms: i64) -> i64 {
    unix_ms.div_euclid(width_ms.max(1))
}
