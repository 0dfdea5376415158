//! A sample of objects by their identity, small and of fixed size, so that two censuses of a log tell which objects stayed.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cursor::Cursor;
use super::diff::SeriesKind;
use super::scan::{Scan, scanned};

/// The most marks of a sample. One that has fewer knows all objects that it is of.
pub const MAX_FINGERPRINTS: usize = 16;

/// Hexadecimal digits of a mark.
const DIGITS: usize = 8;

scanned! {
    ObjectSampleFields:
    /// What is known of some of the objects of one type, or of one holder.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ObjectSample {
        /// What they belong to: a type or a holder.
        pub kind: SeriesKind,
        /// Its name, as in `types` or `holders`.
        pub name: Arc<str>,
        /// Their marks.
        #[serde(alias = "marks")]
        pub fingerprints: Fingerprints,
    }
}

/// The marks of objects: the lowest of all, each once, in order.
///
/// A mark is made of an object's address and type alone, and objects of CPython do not move. So the same object has the same mark in
/// every census, and a mark that ought to be among the lowest of a later one and is not there is of an object that is gone. Two objects
/// in four billion have the same mark by chance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprints(Vec<u32>);

impl Fingerprints {
    /// The mark of an object.
    #[must_use]
    pub const fn fingerprint(address: u64, type_address: u64) -> u32 {
        // The last steps of SplitMix64 (Steele, Lea and Flood 2014), so that neighbours are far apart.
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ type_address.rotate_left(32);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }

    /// Takes in a mark, if it is among the lowest.
    pub fn insert(&mut self, mark: u32) {
        if self.highest().is_some_and(|highest| mark >= highest) {
            return;
        }
        if let Err(place) = self.0.binary_search(&mark) {
            self.0.insert(place, mark);
            self.0.truncate(MAX_FINGERPRINTS);
        }
    }

    /// The highest of them, if there may be objects above it: those are not known.
    #[must_use]
    pub fn highest(&self) -> Option<u32> {
        self.0.get(MAX_FINGERPRINTS - 1).copied()
    }

    /// Whether an object of that mark is there; `None` if it is not known.
    #[must_use]
    pub fn has(&self, mark: u32) -> Option<bool> {
        let known = self.highest().is_none_or(|highest| mark <= highest);
        known.then(|| self.0.binary_search(&mark).is_ok())
    }

    /// All of them, from the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Reads what [`Fingerprints`] is written as: eight hexadecimal digits a mark, the lowest first; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut marks = Vec::with_capacity(MAX_FINGERPRINTS);
        let mut rest = text;
        while !rest.is_empty() {
            let (digits, others) = rest.split_at_checked(DIGITS)?;
            let mark = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
            let is_next = marks.last().is_none_or(|&last| last < mark);
            (is_next && marks.len() < MAX_FINGERPRINTS).then(|| marks.push(mark))?;
            rest = others;
        }
        Some(Self(marks))
    }
}

impl Scan for Fingerprints {
    fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
        Self::parse(&cursor.text()?).map(drop)
    }
}

impl Serialize for Fingerprints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(DIGITS * self.0.len());
        for mark in &self.0 {
            let _ = write!(text, "{mark:08x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Fingerprints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wanted = "at most 16 ascending numbers of eight hexadecimal digits";
        Self::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_marks_are_kept_and_read_again() {
        let mut marks = Fingerprints::default();
        let all: Vec<u32> =
            (0..1000_u64).map(|n| Fingerprints::fingerprint(0x7f00_0000_1000 + 48 * n, 0x55_0000)).collect();
        for &mark in all.iter().chain(&all) {
            marks.insert(mark);
        }
        let mut lowest = all.clone();
        lowest.sort_unstable();
        assert_eq!(marks.iter().collect::<Vec<_>>(), lowest[..MAX_FINGERPRINTS]);
        assert!(lowest[15] < u32::MAX / 30, "they are spread evenly: {:x}", lowest[15]);
        assert_eq!((marks.has(lowest[3]), marks.has(lowest[3] + 1)), (Some(true), Some(false)));
        assert_eq!(marks.has(lowest[16]), None, "of what is above nothing is known");
        let text = serde_json::to_string(&marks).unwrap();
        assert_eq!(text.len(), 2 + 8 * MAX_FINGERPRINTS);
        assert_eq!(serde_json::from_str::<Fingerprints>(&text).unwrap(), marks);
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for text in ["1", "0000000g", "0000000200000001", "0000000100000001", "+0000001", "000000é1"] {
            assert_eq!(Fingerprints::parse(text), None, "{text}");
        }
        assert_eq!(Fingerprints::parse(&(0..17).map(|n| format!("{n:08x}")).collect::<String>()), None);
        assert_eq!(Fingerprints::parse("").unwrap().has(7), Some(false));
    }
}
