//! Layouts: the offsets of all members of CPython's structs in a known version, and how their values are encoded.
//!
//! [`fields`] and `tables/` are written by `cargo xtask layouts` from `spec.txt` and the debug information of interpreters;
//! [`encoding`] has the differences that no debug information shows. `docs/layouts.md` says how to add a new version.

pub mod encoding;
#[rustfmt::skip]
pub mod fields;
pub mod flags;
mod locks;
mod refine;
mod tables;

pub use fields::Layout;
pub use refine::{COOKIE, Refined, refine};

use crate::stage;
use encoding::{Encodings, GcHeader};
use memobj_process::error::Error;

impl Layout {
    /// Whether it is of a build without the global lock.
    pub fn free_threaded(&self) -> bool {
        self.encodings.gc_header == GcHeader::Bits
    }
}

/// The properties of a CPython that determine its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// As `sys.hexversion`: `0x030d00f0` is 3.13.0.
    pub hexversion: u32,
    /// Built without the global lock.
    pub free_threaded: bool,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
}

/// A bit field: some bits of a byte, or of it and the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitField {
    /// The byte in its struct.
    pub byte: u32,
    /// Its lowest bit in that byte.
    pub bit: u32,
    /// Its number of bits.
    pub width: u32,
}

impl BitField {
    /// Its value in a word that was read from the offset `from` of the struct; 0 if the word does not contain all of it.
    #[inline]
    pub const fn extract(self, word: u64, from: u32) -> u64 {
        let Some(bytes) = self.byte.checked_sub(from) else { return 0 };
        let shift = bytes.saturating_mul(8).saturating_add(self.bit);
        if shift.saturating_add(self.width) > 64 {
            return 0;
        }
        let mask = if self.width < 64 { (1_u64 << self.width).wrapping_sub(1) } else { u64::MAX };
        word >> shift & mask
    }
}

/// A C type whose objects have references at fixed offsets alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedShape {
    /// As `tp_name` spells it.
    pub tp_name: &'static str,
    /// The `sizeof` of its struct, which is its `tp_basicsize`.
    pub size: u32,
    /// The offsets of the members that its `tp_traverse` visits.
    pub visited: &'static [u32],
    /// The names of these members in the struct.
    pub names: &'static [&'static str],
    /// Whether the type is visited, too.
    pub visits_type: bool,
}

/// The layouts of one minor version and kind of build.
struct VersionTable {
    minor: u32,
    free_threaded: bool,
    debug: bool,
    builds: &'static [Layout],
}

/// Finds the layouts that a build may have, the likeliest first. Layouts with the collector of its version come before others; then its
/// own micro version, lower ones and higher ones, each the nearest first. There may be several, since distributions and micro versions
/// change layouts: the target decides.
///
/// # Errors
/// No layout of this minor version and kind of build is known; the message lists those that are.
pub fn candidates(build: Build) -> Result<Vec<&'static Layout>, Error> {
    let minor = build.hexversion >> 16;
    let table = tables::ALL.iter().find(|table| {
        (0x300 | table.minor, table.free_threaded, table.debug) == (minor, build.free_threaded, build.debug)
    });
    let Some(table) = table else {
        let what = format!("the layout of CPython {} is not known", name(build));
        return Err(Error::new(stage::LAYOUT, what, format!("known are {}", known())));
    };
    let mut found: Vec<&Layout> = table.builds.iter().collect();
    // Within a version the order of the table stays: sorting is stable.
    let encodings = Encodings::for_version(build.hexversion, build.free_threaded);
    found.sort_by_key(|layout| {
        let nearest = layout.hexversion.abs_diff(build.hexversion);
        (layout.encodings.gc_lists != encodings.gc_lists, layout.hexversion > build.hexversion, nearest)
    });
    Ok(found)
}

/// The builds with a known layout, one for each minor version and kind of build, newest first.
pub fn builds() -> Vec<Build> {
    let build = |table: &VersionTable| Build {
        hexversion: 0x0300_00f0 | table.minor << 16,
        free_threaded: table.free_threaded,
        debug: table.debug,
    };
    tables::ALL.iter().rev().map(build).collect()
}

/// `3.13.0 (free-threaded, debug)`.
fn name(build: Build) -> String {
    let [major, minor, micro, _] = build.hexversion.to_be_bytes();
    format!("{major}.{minor}.{micro}{}", kind(build.free_threaded, build.debug))
}

fn kind(free_threaded: bool, debug: bool) -> &'static str {
    match (free_threaded, debug) {
        (false, false) => "",
        (true, false) => " (free-threaded)",
        (false, true) => " (debug)",
        (true, true) => " (free-threaded, debug)",
    }
}

/// `3.8, 3.9, 3.13 (free-threaded)`.
fn known() -> String {
    let names = tables::ALL
        .iter()
        .map(|table| format!("3.{}{}", table.minor, kind(table.free_threaded, table.debug)));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding::GcLists;

    #[test]
    fn bit_field_stays_inside_word() {
        // `kind` of 3.13: bits 2 to 4 of the byte at 32.
        let kind = BitField { byte: 32, bit: 2, width: 3 };
        assert_eq!(kind.extract(0b1110_0100, 32), 1);
        assert_eq!(kind.extract(0b1110_0100 << 16, 30), 1);
        assert_eq!(kind.extract(u64::MAX, 33), 0);
        assert_eq!(kind.extract(u64::MAX, 24), 0);
        assert_eq!(kind.extract(u64::MAX, 25), 7);
        assert_eq!(BitField { byte: 0, bit: 0, width: 64 }.extract(u64::MAX, 0), u64::MAX);
        assert_eq!(BitField { byte: u32::MAX, bit: u32::MAX, width: u32::MAX }.extract(u64::MAX, 0), 0);
    }

    #[test]
    fn nearest_candidate_comes_first() {
        for table in tables::ALL {
            for micro in [0, 1, 3, 7, 200] {
                let hexversion = 0x300_0000 | table.minor << 16 | micro << 8 | 0xf0;
                let build = Build { hexversion, free_threaded: table.free_threaded, debug: table.debug };
                let found = candidates(build).unwrap();
                assert_eq!(found.len(), table.builds.len());
                assert!(found.iter().all(|layout| layout.hexversion >> 16 == hexversion >> 16));
                let encodings = Encodings::for_version(hexversion, table.free_threaded);
                let alike =
                    table.builds.iter().filter(|layout| layout.encodings.gc_lists == encodings.gc_lists);
                let nearest = alike.filter(|layout| layout.hexversion <= hexversion);
                let nearest = nearest.map(|layout| layout.hexversion).max();
                assert!(nearest.is_none_or(|nearest| found[0].hexversion == nearest));
            }
        }
    }

    #[test]
    fn gc_of_3_14_depends_on_micro() {
        for (micro, lists) in [(0, GcLists::YoungOld), (4, GcLists::YoungOld), (5, GcLists::Generations)] {
            let hexversion = 0x030e_00f0 | micro << 8;
            let found = candidates(Build { hexversion, free_threaded: false, debug: false }).unwrap();
            // The one that fits comes first, but both are tried.
            assert_eq!(found[0].encodings.gc_lists, lists, "3.14.{micro}");
            assert!(found.iter().any(|layout| layout.encodings.gc_lists != lists));
        }
        for layout in tables::ALL.iter().flat_map(|table| table.builds) {
            let gc = &layout.gc_state;
            match layout.encodings.gc_lists {
                GcLists::Generations => {
                    assert!(gc.generations.is_some() && gc.generation0.is_some(), "{}", layout.origin)
                }
                GcLists::YoungOld => {
                    assert!(gc.young.is_some() && gc.old.is_some() && gc.generations.is_none())
                }
                GcLists::MimallocPages => {
                    assert!(layout.mi_heap.is_some() && layout.object.ob_gc_bits.is_some())
                }
            }
        }
    }

    #[test]
    fn unknown_version_lists_known_ones() {
        let build = Build { hexversion: 0x0307_10f0, free_threaded: false, debug: true };
        let error = candidates(build).unwrap_err();
        assert_eq!(error.message, "the layout of CPython 3.7.16 (debug) is not known");
        assert!(error.hint.starts_with("known are 3.8, 3.9, "), "{}", error.hint);
        let newer = candidates(Build { hexversion: 0x0400_00f0, free_threaded: false, debug: false });
        assert_eq!(newer.unwrap_err().message, "the layout of CPython 4.0.0 is not known");
    }
}
