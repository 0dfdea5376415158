//! The table of strings of a file: each once, by number.

use std::collections::HashMap;
use std::sync::Arc;

/// Strings that are kept; later ones are [`NO_NAME`](Strings::NO_NAME). About 100 MB.
const MAX_STRINGS: usize = 1 << 20;

/// Strings, each with its number.
#[derive(Debug)]
pub(super) struct Strings {
    numbers: HashMap<Arc<str>, u32>,
    list: Vec<Arc<str>>,
}

impl Strings {
    /// The number of the string in place of one that there is not, or for which there was no room.
    pub(super) const NO_NAME: u32 = 0;

    /// A table with the string of [`NO_NAME`](Self::NO_NAME) alone.
    pub(super) fn new(no_name: &str) -> Self {
        Self { numbers: HashMap::new(), list: vec![no_name.into()] }
    }

    /// The number of a string, which is added if it is new.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        match u32::try_from(self.list.len()) {
            Ok(number) if self.list.len() < MAX_STRINGS => {
                let text: Arc<str> = text.into();
                self.list.push(Arc::clone(&text));
                self.numbers.insert(text, number);
                number
            }
            _ => Self::NO_NAME,
        }
    }

    /// All strings, in the order of their numbers.
    pub(super) fn list(&self) -> &[Arc<str>] {
        &self.list
    }
}
