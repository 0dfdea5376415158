//! Keeps as much of a log as a plot can show, however long the log is.
//!
//! Time is divided into buckets. When there are too many, their width doubles and neighbours are joined, so the end of the log
//! need not be known in advance. Each bucket keeps its extremes with their own times: no peak is lost.

mod buckets;
mod events;
mod extremes;
mod points;
mod rows;

pub use events::{EventBuckets, EventGroup};
pub use extremes::extremes;
pub use points::PointBuckets;
pub use rows::{Entry, Row, RowBuckets};
