//! Memory that lies: a copy of a process in which some words are not what they were.
//!
//! The fuzzer in `fuzz/` uses it too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

/// Bytes of a word.
const WORD: u64 = 8;

/// A memory with some words replaced.
#[derive(Debug)]
pub struct Damaged<'m, M> {
    inner: &'m M,
    /// By address, a multiple of [`WORD`].
    words: BTreeMap<u64, u64>,
}

impl<'m, M: Memory> Damaged<'m, M> {
    /// Nothing is replaced yet.
    pub fn new(inner: &'m M) -> Self {
        Self { inner, words: BTreeMap::new() }
    }

    /// Replaces the word that holds the byte at `at`, by what `change` makes of it. Words that cannot be read stay so.
    pub fn replace(&mut self, at: Addr, change: impl FnOnce(u64) -> u64) {
        let at = at.clear_bits(WORD - 1);
        if let Ok(word) = self.read_u64(at) {
            self.words.insert(at.0, change(word));
        }
    }
}

impl<M: Memory> Memory for Damaged<'_, M> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        self.inner.read(at, into)?;
        let end = at.0.saturating_add(into.len() as u64);
        for (word, value) in self.words.range(at.0.saturating_sub(WORD - 1)..end) {
            for (place, byte) in (*word..).zip(value.to_le_bytes()) {
                let index = place.checked_sub(at.0).and_then(|index| usize::try_from(index).ok());
                if let Some(into) = index.and_then(|index| into.get_mut(index)) {
                    *into = byte;
                }
            }
        }
        Ok(())
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.inner.regions()
    }
}

/// A memory that notes what is read, so that damage can be done where it is noticed.
#[derive(Debug)]
pub struct Watched<'m, M> {
    inner: &'m M,
    read: Mutex<Reads>,
}

#[derive(Debug, Default)]
struct Reads {
    count: u64,
    /// Every so many reads one is kept.
    every: u64,
    kept: Vec<Addr>,
}

/// How many addresses are kept: then every other one is dropped, and half as many of those to come are taken.
const MOST_KEPT: usize = 1 << 16;

impl<'m, M: Memory> Watched<'m, M> {
    /// Nothing was read yet.
    pub fn new(inner: &'m M) -> Self {
        Self { inner, read: Mutex::new(Reads { every: 1, ..Reads::default() }) }
    }

    /// Where something was read: an even sample over the whole of what was done.
    pub fn into_places(self) -> Vec<Addr> {
        self.read.into_inner().unwrap_or_default().kept
    }
}

impl<M: Memory> Memory for Watched<'_, M> {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        if let Ok(mut reads) = self.read.lock() {
            reads.count += 1;
            if reads.count % reads.every == 0 {
                reads.kept.push(at);
            }
            if reads.kept.len() >= MOST_KEPT {
                let mut odd = false;
                reads.kept.retain(|_| {
                    odd = !odd;
                    odd
                });
                reads.every *= 2;
            }
        }
        self.inner.read(at, into)
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.inner.regions()
    }
}
