//! Sets of objects: one bit for every eight bytes of the target's memory.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use memobj_process::addr::Addr;

/// Bytes that share a bit. Every object is larger, so that no two of them do, as long as they are aligned.
const GRAIN: u64 = 8;

/// Which bit stands for which address.
#[derive(Debug, Clone)]
pub struct Places {
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

/// Where the last address was found: most are near.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint(usize);

impl Places {
    /// The bits of some ranges of memory, which are in order and do not overlap.
    #[must_use]
    pub fn new(regions: &[Range<Addr>]) -> Self {
        let mut spans = Vec::with_capacity(regions.len());
        let mut bits = 0;
        let mut last = 0;
        for region in regions {
            let start = region.start.0.max(last) / GRAIN * GRAIN;
            let end = region.end.0;
            if start < end {
                spans.push(Span { start, end, first: bits });
                // Each begins a word of its own, so that words can be handed out to threads.
                bits = (bits + (end - start).div_ceil(GRAIN)).next_multiple_of(64);
                last = end;
            }
        }
        Self { spans, bits }
    }

    /// The bit of an address; `None` if no memory is there.
    #[inline]
    pub fn bit(&self, at: u64, hint: &mut Hint) -> Option<u64> {
        let inside = |span: &Span| span.start <= at && at < span.end;
        let span = match self.spans.get(hint.0).filter(|span| inside(span)) {
            Some(span) => span,
            None => {
                let index = self.spans.partition_point(|span| span.start <= at).checked_sub(1)?;
                let span = self.spans.get(index).filter(|span| inside(span))?;
                hint.0 = index;
                span
            }
        };
        Some(span.first + (at - span.start) / GRAIN)
    }

    /// The address of a bit.
    pub fn address(&self, bit: u64) -> Option<Addr> {
        let index = self.spans.partition_point(|span| span.first <= bit).checked_sub(1)?;
        let span = self.spans.get(index)?;
        let at = span.start + (bit - span.first) * GRAIN;
        (at < span.end).then_some(Addr(at))
    }
}

/// A set of objects. Threads may share it.
#[derive(Debug)]
pub struct Bitmap {
    words: Vec<AtomicU64>,
    /// Objects that are not aligned: a distribution's patch may place some so.
    odd: Mutex<BTreeSet<u64>>,
}

impl Bitmap {
    /// The empty set.
    #[must_use]
    pub fn new(places: &Places) -> Self {
        let words = (0..places.bits.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, odd: Mutex::default() }
    }

    /// The same set again.
    #[must_use]
    pub fn copied(&self) -> Self {
        let words = self.words.iter().map(|word| AtomicU64::new(word.load(Ordering::Relaxed))).collect();
        Self { words, odd: Mutex::new(self.odd().clone()) }
    }

    fn odd(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        // A thread that panicked has left the set whole: inserting into it is all that is ever done.
        self.odd.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds an object; false if it was there, or no memory is.
    #[inline]
    pub fn insert(&self, places: &Places, at: Addr, hint: &mut Hint) -> bool {
        let Some(bit) = places.bit(at.0, hint) else { return false };
        if !at.0.is_multiple_of(GRAIN) {
            return self.odd().insert(at.0);
        }
        let Some(word) = self.words.get((bit / 64) as usize) else { return false };
        let mask = 1 << (bit % 64);
        // Most are there already: a look is cheaper than a locked instruction.
        word.load(Ordering::Relaxed) & mask == 0 && word.fetch_or(mask, Ordering::Relaxed) & mask == 0
    }

    /// Takes an object out.
    pub fn remove(&self, places: &Places, at: Addr) {
        let Some(bit) = places.bit(at.0, &mut Hint::default()) else { return };
        if !at.0.is_multiple_of(GRAIN) {
            self.odd().remove(&at.0);
        } else if let Some(word) = self.words.get((bit / 64) as usize) {
            word.fetch_and(!(1 << (bit % 64)), Ordering::Relaxed);
        }
    }

    /// Whether an object is in.
    #[inline]
    #[must_use]
    pub fn contains(&self, places: &Places, at: Addr, hint: &mut Hint) -> bool {
        let Some(bit) = places.bit(at.0, hint) else { return false };
        if !at.0.is_multiple_of(GRAIN) {
            return self.odd().contains(&at.0);
        }
        self.words
            .get((bit / 64) as usize)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (bit % 64) & 1 != 0)
    }

    /// How many objects are in.
    #[must_use]
    pub fn len(&self) -> u64 {
        let even: u64 =
            self.words.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
        even + self.odd().len() as u64
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many words of bits there are: what can be handed out to threads.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Calls `each` with the objects of some words of bits, and that are not in `but`, by address.
    pub fn each_in(
        &self,
        places: &Places,
        words: Range<usize>,
        but: Option<&Self>,
        mut each: impl FnMut(Addr),
    ) {
        let end = words.end.min(self.words.len());
        for index in words.start..end {
            let Some(word) = self.words.get(index) else { break };
            let mut left = word.load(Ordering::Relaxed);
            if left == 0 {
                continue;
            }
            if let Some(but) = but.and_then(|but| but.words.get(index)) {
                left &= !but.load(Ordering::Relaxed);
            }
            if left == 0 {
                continue;
            }
            // A word belongs to one range.
            let Some(first) = places.address(index as u64 * 64) else { continue };
            while left != 0 {
                each(first.plus(u64::from(left.trailing_zeros()) * GRAIN));
                left &= left - 1;
            }
        }
    }

    /// A word of bits; 0 where there is none.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Those that are not aligned, by address.
    #[must_use]
    pub fn unaligned(&self) -> Vec<Addr> {
        self.odd().iter().copied().map(Addr).collect()
    }

    /// Calls `each` with all of them: the aligned ones by address, then the others.
    pub fn each(&self, places: &Places, mut each: impl FnMut(Addr)) {
        self.each_in(places, 0..self.words.len(), None, &mut each);
        self.unaligned().into_iter().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(&[
            Addr(0x1000)..Addr(0x1100),
            Addr(0x1100)..Addr(0x1108),
            Addr(0x7fff_0000)..Addr(0x7fff_1004),
        ])
    }

    fn all(bitmap: &Bitmap, places: &Places) -> Vec<u64> {
        let mut all = Vec::new();
        bitmap.each(places, |at| all.push(at.0));
        all
    }

    #[test]
    fn a_set_holds_what_was_put_in_once() {
        let places = places();
        let bitmap = Bitmap::new(&places);
        let mut hint = Hint::default();
        for at in [0x1000, 0x10f8, 0x1100, 0x7fff_0000, 0x7fff_1000, 0x1014] {
            assert!(bitmap.insert(&places, Addr(at), &mut hint), "{at:#x}");
            assert!(!bitmap.insert(&places, Addr(at), &mut hint), "{at:#x} twice");
            assert!(bitmap.contains(&places, Addr(at), &mut Hint::default()));
        }
        assert_eq!(all(&bitmap, &places), [0x1000, 0x10f8, 0x1100, 0x7fff_0000, 0x7fff_1000, 0x1014]);
        assert_eq!(bitmap.len(), 6);
        bitmap.remove(&places, Addr(0x1100));
        bitmap.remove(&places, Addr(0x1014));
        assert_eq!(all(&bitmap, &places), [0x1000, 0x10f8, 0x7fff_0000, 0x7fff_1000]);
        assert_eq!(all(&bitmap.copied(), &places), all(&bitmap, &places));
    }

    #[test]
    fn what_is_no_memory_is_in_no_set() {
        let places = places();
        let bitmap = Bitmap::new(&places);
        for at in [0, 0xfff, 0x1108, 0x7ffe_ffff, 0x7fff_1004, u64::MAX] {
            assert!(!bitmap.insert(&places, Addr(at), &mut Hint::default()), "{at:#x}");
            assert!(!bitmap.contains(&places, Addr(at), &mut Hint::default()), "{at:#x}");
        }
        assert!(bitmap.is_empty());
    }

    #[test]
    fn a_part_is_given_without_what_another_set_holds() {
        let places = places();
        let (bitmap, but) = (Bitmap::new(&places), Bitmap::new(&places));
        for at in [0x1000, 0x1008, 0x1100, 0x7fff_0000] {
            bitmap.insert(&places, Addr(at), &mut Hint::default());
        }
        but.insert(&places, Addr(0x1008), &mut Hint::default());
        let mut found = Vec::new();
        bitmap.each_in(&places, 0..2, Some(&but), |at| found.push(at.0));
        assert_eq!(found, [0x1000, 0x1100]);
    }
}
