//! The most recent values of something, in bounded memory.

use std::collections::VecDeque;
use std::ops::Deref;

/// The last values that were pushed, at most `MAX`, oldest first.
#[derive(Debug)]
pub(super) struct Recent<T, const MAX: usize>(VecDeque<T>);

impl<T, const MAX: usize> Recent<T, MAX> {
    /// Adds a value; drops the oldest if there are too many.
    pub(super) fn push(&mut self, value: T) {
        if self.0.len() == MAX {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The last value, to change it.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.0.back_mut()
    }

    /// The last `count` values, oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &T> {
        self.0.iter().skip(self.0.len().saturating_sub(count))
    }
}

impl<T, const MAX: usize> Default for Recent<T, MAX> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T, const MAX: usize> Deref for Recent<T, MAX> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}
