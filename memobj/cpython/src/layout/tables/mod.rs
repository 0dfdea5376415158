//! The tables, one for each minor version and kind of build. Written by `cargo xtask layouts`.

#[rustfmt::skip]
mod cp38;
#[rustfmt::skip]
mod cp39;
#[rustfmt::skip]
mod cp39d;
#[rustfmt::skip]
mod cp310;
#[rustfmt::skip]
mod cp311;
#[rustfmt::skip]
mod cp311d;
#[rustfmt::skip]
mod cp312;
#[rustfmt::skip]
mod cp313;
#[rustfmt::skip]
mod cp313d;
#[rustfmt::skip]
mod cp313t;
#[rustfmt::skip]
mod cp314;
#[rustfmt::skip]
mod cp314d;
#[rustfmt::skip]
mod cp315;
#[rustfmt::skip]
mod cp315d;

use super::VersionTable;

/// All of them.
pub const ALL: &[VersionTable] = &[
    VersionTable { minor: 8, free_threaded: false, debug: false, builds: cp38::BUILDS },
    VersionTable { minor: 9, free_threaded: false, debug: false, builds: cp39::BUILDS },
    VersionTable { minor: 9, free_threaded: false, debug: true, builds: cp39d::BUILDS },
    VersionTable { minor: 10, free_threaded: false, debug: false, builds: cp310::BUILDS },
    VersionTable { minor: 11, free_threaded: false, debug: false, builds: cp311::BUILDS },
    VersionTable { minor: 11, free_threaded: false, debug: true, builds: cp311d::BUILDS },
    VersionTable { minor: 12, free_threaded: false, debug: false, builds: cp312::BUILDS },
    VersionTable { minor: 13, free_threaded: false, debug: false, builds: cp313::BUILDS },
    VersionTable { minor: 13, free_threaded: false, debug: true, builds: cp313d::BUILDS },
    VersionTable { minor: 13, free_threaded: true, debug: false, builds: cp313t::BUILDS },
    VersionTable { minor: 14, free_threaded: false, debug: false, builds: cp314::BUILDS },
    VersionTable { minor: 14, free_threaded: false, debug: true, builds: cp314d::BUILDS },
    VersionTable { minor: 15, free_threaded: false, debug: false, builds: cp315::BUILDS },
    VersionTable { minor: 15, free_threaded: false, debug: true, builds: cp315d::BUILDS },
];
