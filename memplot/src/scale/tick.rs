//! The ticks of an axis.

/// A labelled position on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<T> {
    /// The value or moment.
    pub at: T,
    /// The label.
    pub label: String,
}
