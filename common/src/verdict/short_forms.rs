//! Times and names in the short form of sentences.

use std::time::Duration;

use crate::time::Span;
use crate::units::whole;

/// A time in seconds, to a tenth.
#[must_use]
pub fn span(seconds: f64) -> Span {
    Span(Duration::from_millis(whole((seconds * 10.0).round()).saturating_mul(100)))
}

/// The part of a name behind its last dot.
#[must_use]
pub fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
