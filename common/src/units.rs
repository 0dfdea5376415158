//! Sizes in bytes, parsed and displayed. `K`, `KB` and `KiB` are all 1024 bytes.
//!
//! ```
//! use common::units::{Bytes, Change, parse_bytes};
//!
//! assert_eq!(parse_bytes("1.5 GiB"), Ok(3 << 29));
//! assert_eq!(Bytes(10 << 20).to_string(), "10.00 MiB");
//! assert_eq!(Change::between(2048, 0).to_string(), "-2.00 KiB");
//! ```

use std::fmt;

use humansize::BINARY;

/// The whole part of a number; 0 for a negative one.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
pub fn whole(value: f64) -> u64 {
    value as u64
}

/// The reason why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It does not start with a number.
    #[error("'{0}' is not a size: write a number and a unit, as 500K, 10M, 1.5GiB")]
    NotANumber(String),
    /// An unknown unit.
    #[error("'{unit}' is no unit of size: use B, K, M, G or T (1K = 1024 bytes)")]
    UnknownUnit {
        /// The text after the number.
        unit: String,
    },
    /// More than 64 bits.
    #[error("'{0}' is more bytes than 64 bits can count")]
    TooLarge(String),
}

/// Parses a size in bytes, rounded down: `4096`, `500K`, `1.5 GiB`; case does not matter.
///
/// # Errors
/// The text has no number or an unknown unit, or is beyond 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit.trim();
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ if number.is_empty() => return Err(SizeError::NotANumber(text.to_owned())),
        _ => return Err(SizeError::UnknownUnit { unit: unit.to_owned() }),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(SizeError::NotANumber(text.to_owned()));
    }
    // In integers, so that no digit is lost. Twelve decimals are finer than a byte of any unit.
    let unit = 1_u128 << shift;
    let decimals = fraction.get(..12).unwrap_or(fraction);
    let part = (0..decimals.len()).fold(decimals.parse().unwrap_or(0) * unit, |part, _| part / 10);
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u128>().ok() };
    let bytes = whole.and_then(|whole| whole.checked_mul(unit)?.checked_add(part));
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
}

/// Displays a size in powers of 1024: `512 B`, `10.50 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_bytes(self.0))
    }
}

/// Displays a change of a size with its sign: `+1.20 MiB`, `-512 B`, `±0 B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change(pub i64);

impl Change {
    /// The change from one size to another, saturated to 64 bits.
    #[must_use]
    pub fn between(before: u64, after: u64) -> Self {
        let difference = i128::from(after) - i128::from(before);
        Self(i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0 {
            0 => '±',
            n if n > 0 => '+',
            _ => '-',
        };
        f.pad(&format!("{sign}{}", format_bytes(self.0.unsigned_abs())))
    }
}

/// A count with its noun: `1 sample`, `1,234 samples`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// A number with its digits in groups of three.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn format_bytes(bytes: u64) -> String {
    let decimals = if bytes < 1024 { 0 } else { 2 };
    humansize::format_size(bytes, BINARY.decimal_places(decimals).decimal_zeroes(decimals))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("10b", 10),
            ("1K", 1024),
            ("1KB", 1024),
            ("1 KiB", 1024),
            ("1.5g", 3 << 29),
            (".5M", 1 << 19),
            ("2.", 2),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn bad_sizes_give_a_reason() {
        assert!(matches!(parse_bytes("12 parsecs"), Err(SizeError::UnknownUnit { .. })));
        for text in ["", "M", "-1M", "1.2.3M", ".", "ten"] {
            assert!(
                matches!(parse_bytes(text), Err(SizeError::NotANumber(_))),
                "{text}: {:?}",
                parse_bytes(text)
            );
        }
        for text in ["16777216T", "99999999999999999999", "340282366920938463463374607431768211456"] {
            assert!(matches!(parse_bytes(text), Err(SizeError::TooLarge(_))), "{text}");
        }
    }

    #[test]
    fn sizes_have_two_decimals() {
        assert_eq!(Bytes(0).to_string(), "0 B");
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(1 << 20).to_string(), "1.00 MiB");
        assert_eq!(Bytes(u64::MAX).to_string(), "16.00 EiB");
        assert_eq!(Change::between(5, 5).to_string(), "±0 B");
        assert_eq!(Change::between(0, 3 << 19).to_string(), "+1.50 MiB");
        assert_eq!(Change::between(2048, 0).to_string(), "-2.00 KiB");
        assert_eq!(Change::between(0, u64::MAX).0, i64::MAX);
        assert_eq!(Change::between(u64::MAX, 0).0, i64::MIN);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(counted(1, "sample", "samples"), "1 sample");
        assert_eq!(counted(1_234_567, "sample", "samples"), "1,234,567 samples");
        assert_eq!(
            [0, 999, 1000, u64::MAX].map(thousands),
            ["0", "999", "1,000", "18,446,744,073,709,551,615"]
        );
    }

    proptest! {
        #[test]
        fn any_size_text_is_handled(text in "\\PC*") {
            let _ = parse_bytes(&text);
        }

        #[test]
        fn plain_numbers_parse(bytes: u64) {
            prop_assert_eq!(parse_bytes(&bytes.to_string()), Ok(bytes));
        }

        #[test]
        fn shown_sizes_parse_back(bytes in 0_u64..(1 << 49)) {
            let shown = Bytes(bytes).to_string();
            let back = parse_bytes(&shown).unwrap();
            let error = back.abs_diff(bytes);
            prop_assert!(error <= bytes / 200 + 1, "{} -> {} -> {}", bytes, shown, back);
        }
    }
}
