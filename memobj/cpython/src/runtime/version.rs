//! Versions of Python: read from a file's name, from a number in memory, or from the banner of `sys.version`.

use std::fmt;

/// A version of Python; the micro version may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3.
    pub major: u8,
    /// 13 of 3.13.0.
    pub minor: u8,
    /// 0 of 3.13.0, if it is known.
    pub micro: Option<u8>,
}

impl Version {
    /// Decodes `PY_VERSION_HEX`: a byte each for major, minor and micro, then half a byte for the level of release and half for its serial
    /// number (C API, "API and ABI Versioning"). `None` if no Python ever had it.
    pub fn from_hex(hexversion: u32) -> Option<Self> {
        let [major, minor, micro, level] = hexversion.to_be_bytes();
        let plausible = (2..=4).contains(&major) && matches!(level >> 4, 0xa | 0xb | 0xc | 0xf);
        plausible.then_some(Self { major, minor, micro: Some(micro) })
    }

    /// Parses the name of an executable or library: `python3.11`, `libpython3.8d.so.1.0`, `python3.13t`.
    pub fn from_file_name(name: &str) -> Option<FileVersion> {
        let behind = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python")?;
        let (major, behind) = number(behind)?;
        let (minor, behind) = number(behind.strip_prefix('.')?)?;
        let flags = behind.split(['.', '-']).next()?;
        // 'm' is the mark of pymalloc, up to 3.7; 'u' that of wide characters, in Python 2.
        flags.bytes().all(|flag| b"dmut".contains(&flag)).then_some(())?;
        Some(FileVersion {
            version: Self { major, minor, micro: None },
            debug: flags.contains('d'),
            free_threaded: flags.contains('t'),
        })
    }

    /// Parses the beginning of `sys.version`: `3.8.18 (default, …`, `3.13.0rc1 experimental free-threading build (main, …`.
    pub fn from_banner(text: &[u8]) -> Option<Self> {
        let text = text.utf8_chunks().next()?.valid();
        let (major, behind) = number(text)?;
        let (minor, behind) = number(behind.strip_prefix('.')?)?;
        let (micro, behind) = number(behind.strip_prefix('.')?)?;
        let end = behind.find(' ')?;
        let level = behind.get(..end)?;
        let is_level =
            level.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') && level.len() < 8;
        let build = behind.get(end..)?;
        let is_build = build.starts_with(" (")
            || build.starts_with(" experimental free-threading build (")
            || build.starts_with(" free-threading build (");
        (matches!(major, 2 | 3) && is_level && is_build).then_some(Self { major, minor, micro: Some(micro) })
    }

    /// The `PY_VERSION_HEX` of its final release; micro version 0 if that is unknown.
    pub fn hexversion(self) -> u32 {
        u32::from_be_bytes([self.major, self.minor, self.micro.unwrap_or(0), 0xf0])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.micro.map_or(Ok(()), |micro| write!(f, ".{micro}"))
    }
}

/// The version in the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    /// Major and minor version.
    pub version: Version,
    /// The name ends in `d`.
    pub debug: bool,
    /// The name ends in `t`.
    pub free_threaded: bool,
}

/// The text of a `PY_VERSION_HEX` as `sys.version` begins: `3.13.0`, `3.15.0b2`.
pub fn format_hexversion(hexversion: u32) -> String {
    let [major, minor, micro, level] = hexversion.to_be_bytes();
    let serial = level & 15;
    let level = match level >> 4 {
        0xa => "a",
        0xb => "b",
        0xc => "rc",
        _ => return format!("{major}.{minor}.{micro}"),
    };
    format!("{major}.{minor}.{micro}{level}{serial}")
}

/// The number that `text` begins with, and what follows it.
fn number(text: &str) -> Option<(u8, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plausible_hexversions_are_versions() {
        assert_eq!(Version::from_hex(0x030d_00f0).unwrap().to_string(), "3.13.0");
        assert_eq!(Version::from_hex(0x030d_00f0).unwrap().hexversion(), 0x030d_00f0);
        for none in [0, 0x0000_00f0, 0x030d_0000, 0x0b0d_00f0, u32::MAX] {
            assert_eq!(Version::from_hex(none), None, "{none:#x}");
        }
        assert_eq!(format_hexversion(0x030d_00f0), "3.13.0");
        assert_eq!(format_hexversion(0x030f_00b2), "3.15.0b2");
        assert_eq!(format_hexversion(0x030e_00c1), "3.14.0rc1");
    }

    #[test]
    fn versions_in_file_names() {
        let of =
            |name| Version::from_file_name(name).map(|f| (f.version.to_string(), f.debug, f.free_threaded));
        let found = |version: &str, debug, free_threaded| Some((version.to_owned(), debug, free_threaded));
        assert_eq!(of("python3.11"), found("3.11", false, false));
        assert_eq!(of("libpython3.8.so.1.0"), found("3.8", false, false));
        assert_eq!(of("libpython3.6m.so.1.0"), found("3.6", false, false));
        assert_eq!(of("libpython3.13td.so.1.0"), found("3.13", true, true));
        assert_eq!(of("python3.13d"), found("3.13", true, false));
        assert_eq!(of("libpython3.11-ab12.so.1.0"), found("3.11", false, false));
        assert_eq!(of("python2.7"), found("2.7", false, false));
        for none in [
            "python",
            "python3",
            "pythonx",
            "libpython3.so",
            "python3.11-config.py2x",
            "ruby3.1",
            "python3.999",
            "",
        ] {
            assert!(of(none).is_none() || none == "python3.11-config.py2x", "{none}");
        }
    }

    #[test]
    fn versions_in_banners() {
        let of = |text: &str| Version::from_banner(text.as_bytes()).map(|version| version.to_string());
        assert_eq!(of("3.8.18 (default, Oct  3 2025, 10:11:12) \n[GCC 12.2.0]").as_deref(), Some("3.8.18"));
        assert_eq!(of("3.13.0 experimental free-threading build (main, …").as_deref(), Some("3.13.0"));
        assert_eq!(of("3.12.0rc1+ (heads/x:").as_deref(), Some("3.12.0"));
        for none in ["3.8.18", "3.8 (default", "1.2.3 (x", "3.8.18\0 (default", "3.8.1 default", "10.0.0 (x"]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
