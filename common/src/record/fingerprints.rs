//! A small sample of objects by identity. Two censuses of a log show which objects of it survived.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cursor::Cursor;
use super::diff::SeriesKind;
use super::scan::{Scan, scanned};

/// The limit of a sample. A smaller sample contains all objects of its type or holder.
pub const MAX_FINGERPRINTS: usize = 16;

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 8;

scanned! {
    ObjectSampleFields:
    /// A sample of the objects of a type or holder.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ObjectSample {
        /// The kind of the sampled row: `type` or `holder`.
        pub kind: SeriesKind,
        /// Its name, as in `types` or `holders`.
        pub name: Arc<str>,
        /// Eight hexadecimal digits for each object of the sample, in ascending order. A fingerprint is a hash of the object's address and type;
        /// both stay the same during its lifetime. The sample has the 16 lowest fingerprints; with fewer, it has all objects. An object is gone
        /// if its fingerprint is missing from a later census and is lower than the highest fingerprint there.
        #[serde(alias = "marks")]
        pub fingerprints: Fingerprints,
    }
}

/// The lowest fingerprints of a set of objects, in order without duplicates.
///
/// A fingerprint is a hash of an object's address and type. Objects of CPython do not move, so an object has the same fingerprint in
/// each census. If a fingerprint below the highest of a later census is missing there, its object is gone. Two objects collide with
/// a probability of one in four billion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprints(Vec<u32>);

impl Fingerprints {
    /// The fingerprint of an object.
    #[must_use]
    pub const fn fingerprint(address: u64, type_address: u64) -> u32 {
        // The last steps of SplitMix64 (Steele, Lea and Flood 2014), which spread neighbours.
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ type_address.rotate_left(32);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }

    /// Adds a fingerprint, if it is among the lowest.
    pub fn insert(&mut self, fingerprint: u32) {
        if self.highest().is_some_and(|highest| fingerprint >= highest) {
            return;
        }
        if let Err(place) = self.0.binary_search(&fingerprint) {
            self.0.insert(place, fingerprint);
            self.0.truncate(MAX_FINGERPRINTS);
        }
    }

    /// The highest fingerprint of a full sample. Objects above it are unknown.
    #[must_use]
    pub fn highest(&self) -> Option<u32> {
        self.0.get(MAX_FINGERPRINTS - 1).copied()
    }

    /// Whether an object with this fingerprint exists; `None` if unknown.
    #[must_use]
    pub fn has(&self, fingerprint: u32) -> Option<bool> {
        let known = self.highest().is_none_or(|highest| fingerprint <= highest);
        known.then(|| self.0.binary_search(&fingerprint).is_ok())
    }

    /// All fingerprints in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Parses eight hexadecimal digits a fingerprint, in ascending order; `None` for other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fingerprints = Vec::with_capacity(MAX_FINGERPRINTS);
        let mut rest = text;
        while !rest.is_empty() {
            let (digits, others) = rest.split_at_checked(DIGITS)?;
            let fingerprint = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
            let is_next = fingerprints.last().is_none_or(|&last| last < fingerprint);
            (is_next && fingerprints.len() < MAX_FINGERPRINTS).then(|| fingerprints.push(fingerprint))?;
            rest = others;
        }
        Some(Self(fingerprints))
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
        for fingerprint in &self.0 {
            let _ = write!(text, "{fingerprint:08x}");
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
    fn lowest_fingerprints_are_kept() {
        let mut fingerprints = Fingerprints::default();
        let all: Vec<u32> =
            (0..1000_u64).map(|n| Fingerprints::fingerprint(0x7f00_0000_1000 + 48 * n, 0x55_0000)).collect();
        for &fingerprint in all.iter().chain(&all) {
            fingerprints.insert(fingerprint);
        }
        let mut lowest = all.clone();
        lowest.sort_unstable();
        assert_eq!(fingerprints.iter().collect::<Vec<_>>(), lowest[..MAX_FINGERPRINTS]);
        assert!(lowest[15] < u32::MAX / 30, "they are spread evenly: {:x}", lowest[15]);
        assert_eq!((fingerprints.has(lowest[3]), fingerprints.has(lowest[3] + 1)), (Some(true), Some(false)));
        assert_eq!(fingerprints.has(lowest[16]), None, "of what is above nothing is known");
        let text = serde_json::to_string(&fingerprints).unwrap();
        assert_eq!(text.len(), 2 + 8 * MAX_FINGERPRINTS);
        assert_eq!(serde_json::from_str::<Fingerprints>(&text).unwrap(), fingerprints);
    }

    #[test]
    fn malformed_sample_is_refused() {
        for text in ["1", "0000000g", "0000000200000001", "0000000100000001", "+0000001", "000000é1"] {
            assert_eq!(Fingerprints::parse(text), None, "{text}");
        }
        assert_eq!(Fingerprints::parse(&(0..17).map(|n| format!("{n:08x}")).collect::<String>()), None);
        assert_eq!(Fingerprints::parse("").unwrap().has(7), Some(false));
    }
}
