//! The most recent values of something, in bounded memory.

use std::collections::VecDeque;

/// Adds a value; drops the oldest if there would be more than `most`.
pub(super) fn push<T>(values: &mut VecDeque<T>, value: T, most: usize) {
    if values.len() == most {
        values.pop_front();
    }
    values.push_back(value);
}

/// The last `count` values, oldest first.
pub(super) fn last<T>(values: &VecDeque<T>, count: usize) -> impl Iterator<Item = &T> {
    values.iter().skip(values.len().saturating_sub(count))
}
