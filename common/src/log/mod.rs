//! Reads logs, of whatever tool and age, as moments: fast, in memory that does not grow with them.

mod moment;

pub use moment::{Census, Moment, Process, Total, Tree, What};
