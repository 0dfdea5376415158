//! Sets of objects: one bit for every eight bytes of the target's memory.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use memobj_process::addr::Addr;
use memobj_process::error::Error;

use crate::stage::HEAP;

/// Bytes for a bit. Objects are larger, so no two aligned ones share a bit.
const GRAIN: u64 = 8;

/// Maps addresses to bits.
#[derive(Debug, Clone)]
pub struct AddressIndex {
    spans: Vec<Span>,
    bits: u64,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
    /// The bit of `start`.
    first: u64,
}

/// The position of the last address: the next one is often near.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor(usize);

impl AddressIndex {
    /// The bits of some ranges of memory, which are in order and do not overlap.
    pub fn new(regions: &[Range<Addr>]) -> Self {
        let mut spans = Vec::with_capacity(regions.len());
        let mut bits = 0;
        let mut last = 0;
        for region in regions {
            let start = region.start.0.max(last) & !(GRAIN.saturating_sub(1));
            let end = region.end.0;
            if start < end {
                spans.push(Span { start, end, first: bits });
                // Each begins a word of its own: threads share the words.
                let end_bit = bits.saturating_add(end.saturating_sub(start).div_ceil(GRAIN));
                bits = end_bit.checked_next_multiple_of(64).unwrap_or(u64::MAX);
                last = end;
            }
        }
        Self { spans, bits }
    }

    /// The bit of an address; `None` outside of the memory.
    #[inline]
    pub fn bit(&self, at: u64, cursor: &mut Cursor) -> Option<u64> {
        let inside = |span: &Span| span.start <= at && at < span.end;
        let span = match self.spans.get(cursor.0).filter(|span| inside(span)) {
            Some(span) => span,
            None => {
                let index = self.spans.partition_point(|span| span.start <= at).checked_sub(1)?;
                let span = self.spans.get(index).filter(|span| inside(span))?;
                cursor.0 = index;
                span
            }
        };
        Some(span.first.wrapping_add(at.wrapping_sub(span.start) / GRAIN))
    }

    /// The address of a bit.
    pub fn address(&self, bit: u64) -> Option<Addr> {
        let index = self.spans.partition_point(|span| span.first <= bit).checked_sub(1)?;
        let span = self.spans.get(index)?;
        let at = span.start.wrapping_add(bit.wrapping_sub(span.first).wrapping_mul(GRAIN));
        (at < span.end).then_some(Addr(at))
    }
}

/// A set of objects. Threads may share it.
#[derive(Debug)]
pub struct AddressSet {
    words: Vec<AtomicU64>,
    /// Objects that are not aligned: a distribution's patch may place some so.
    unaligned_objects: Mutex<BTreeSet<u64>>,
}

impl AddressSet {
    /// The empty set.
    ///
    /// # Errors
    /// If memory is short: a sixty-fourth of the target's, or what a damaged file claims.
    pub fn new(index: &AddressIndex) -> Result<Self, Error> {
        let words = index.bits.div_ceil(64);
        collect_words(words, (0..words).map(|_| 0))
    }

    /// A copy of the set.
    ///
    /// # Errors
    /// If memory is short.
    pub fn duplicate(&self) -> Result<Self, Error> {
        let words = self.words.iter().map(|word| word.load(Ordering::Relaxed));
        let copy = collect_words(self.words.len() as u64, words)?;
        *copy.unaligned_objects() = self.unaligned_objects().clone();
        Ok(copy)
    }

    fn unaligned_objects(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        // The set is valid even after a panic: a thread only inserts into it.
        self.unaligned_objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds an object; returns whether it is new, and in known memory.
    #[inline]
    pub fn insert(&self, index: &AddressIndex, at: Addr, cursor: &mut Cursor) -> bool {
        let Some(bit) = index.bit(at.0, cursor) else { return false };
        if !at.0.is_multiple_of(GRAIN) {
            return self.unaligned_objects().insert(at.0);
        }
        let Some(word) = self.words.get((bit / 64) as usize) else { return false };
        let mask = 1 << (bit % 64);
        // Most are there already, and a load is cheaper than a locked instruction.
        word.load(Ordering::Relaxed) & mask == 0 && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
    }

    /// Removes an object.
    pub fn remove(&self, index: &AddressIndex, at: Addr) {
        let Some(bit) = index.bit(at.0, &mut Cursor::default()) else { return };
        if !at.0.is_multiple_of(GRAIN) {
            self.unaligned_objects().remove(&at.0);
        } else if let Some(word) = self.words.get((bit / 64) as usize) {
            word.fetch_and(!(1 << (bit % 64)), Ordering::Relaxed);
        }
    }

    /// Whether it contains an object.
    #[inline]
    pub fn contains(&self, index: &AddressIndex, at: Addr, cursor: &mut Cursor) -> bool {
        let Some(bit) = index.bit(at.0, cursor) else { return false };
        if !at.0.is_multiple_of(GRAIN) {
            return self.unaligned_objects().contains(&at.0);
        }
        self.words
            .get((bit / 64) as usize)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (bit % 64) & 1 != 0)
    }

    /// The number of objects.
    pub fn len(&self) -> u64 {
        let even: u64 =
            self.words.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        even.saturating_add(self.unaligned_objects().len() as u64)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of words of bits, which threads can share.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Calls `each` with the objects in some words of bits that are not in `except`, by address.
    pub fn for_each_in(
        &self,
        index: &AddressIndex,
        words: Range<usize>,
        except: Option<&Self>,
        mut each: impl FnMut(Addr),
    ) {
        let end = words.end.min(self.words.len());
        for number in words.start..end {
            let Some(word) = self.words.get(number) else { break };
            let mut left = word.load(Ordering::Relaxed);
            if left == 0 {
                continue;
            }
            if let Some(except) = except.and_then(|except| except.words.get(number)) {
                left &= !except.load(Ordering::Relaxed);
            }
            if left == 0 {
                continue;
            }
            // A word belongs to one range.
            let Some(first) = index.address((number as u64).wrapping_mul(64)) else { continue };
            while left != 0 {
                each(first.plus(u64::from(left.trailing_zeros()) * GRAIN));
                left &= left.wrapping_sub(1);
            }
        }
    }

    /// A word of bits; 0 where there is none.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The unaligned objects, by address.
    pub fn unaligned(&self) -> Vec<Addr> {
        self.unaligned_objects().iter().copied().map(Addr).collect()
    }

    /// Calls `each` with all objects: the aligned ones by address, then the others.
    pub fn for_each(&self, index: &AddressIndex, mut each: impl FnMut(Addr)) {
        self.for_each_in(index, 0..self.words.len(), None, &mut each);
        self.unaligned().into_iter().for_each(each);
    }
}

/// A set with these `count` words of bits.
fn collect_words(count: u64, words: impl Iterator<Item = u64>) -> Result<AddressSet, Error> {
    let failed = || Error::out_of_memory(HEAP, count.saturating_mul(8));
    let mut all = Vec::new();
    all.try_reserve_exact(usize::try_from(count).map_err(|_| failed())?).map_err(|_| failed())?;
    all.extend(words.map(AtomicU64::new));
    Ok(AddressSet { words: all, unaligned_objects: Mutex::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> AddressIndex {
        AddressIndex::new(&[
            Addr(0x1000)..Addr(0x1100),
            Addr(0x1100)..Addr(0x1108),
            Addr(0x7fff_0000)..Addr(0x7fff_1004),
        ])
    }

    fn all(bitmap: &AddressSet, index: &AddressIndex) -> Vec<u64> {
        let mut all = Vec::new();
        bitmap.for_each(index, |at| all.push(at.0));
        all
    }

    #[test]
    fn set_holds_each_address_once() {
        let index = index();
        let bitmap = AddressSet::new(&index).unwrap();
        let mut cursor = Cursor::default();
        for at in [0x1000, 0x10f8, 0x1100, 0x7fff_0000, 0x7fff_1000, 0x1014] {
            assert!(bitmap.insert(&index, Addr(at), &mut cursor), "{at:#x}");
            assert!(!bitmap.insert(&index, Addr(at), &mut cursor), "{at:#x} twice");
            assert!(bitmap.contains(&index, Addr(at), &mut Cursor::default()));
        }
        assert_eq!(all(&bitmap, &index), [0x1000, 0x10f8, 0x1100, 0x7fff_0000, 0x7fff_1000, 0x1014]);
        assert_eq!(bitmap.len(), 6);
        bitmap.remove(&index, Addr(0x1100));
        bitmap.remove(&index, Addr(0x1014));
        assert_eq!(all(&bitmap, &index), [0x1000, 0x10f8, 0x7fff_0000, 0x7fff_1000]);
        assert_eq!(all(&bitmap.duplicate().unwrap(), &index), all(&bitmap, &index));
    }

    #[test]
    fn addresses_outside_memory_are_not_held() {
        let index = index();
        let bitmap = AddressSet::new(&index).unwrap();
        for at in [0, 0xfff, 0x1108, 0x7ffe_ffff, 0x7fff_1004, u64::MAX] {
            assert!(!bitmap.insert(&index, Addr(at), &mut Cursor::default()), "{at:#x}");
            assert!(!bitmap.contains(&index, Addr(at), &mut Cursor::default()), "{at:#x}");
        }
        assert!(bitmap.is_empty());
    }

    #[test]
    fn impossible_size_is_an_error() {
        let index = AddressIndex::new(&[Addr(0)..Addr(u64::MAX)]);
        let error = AddressSet::new(&index).unwrap_err();
        assert!(error.out_of_memory && error.message.contains("memory"), "{error}");
    }

    #[test]
    fn part_is_given_except_other_set() {
        let index = index();
        let (bitmap, except) = (AddressSet::new(&index).unwrap(), AddressSet::new(&index).unwrap());
        for at in [0x1000, 0x1008, 0x1100, 0x7fff_0000] {
            bitmap.insert(&index, Addr(at), &mut Cursor::default());
        }
        except.insert(&index, Addr(0x1008), &mut Cursor::default());
        let mut found = Vec::new();
        bitmap.for_each_in(&index, 0..2, Some(&except), |at| found.push(at.0));
        assert_eq!(found, [0x1000, 0x1100]);
    }
}
