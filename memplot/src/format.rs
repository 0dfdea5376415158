//! Values and rates as pictures show them: short, at most three digits, powers of 1024 for bytes.

use crate::figure::Unit;

const BYTES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const COUNTS: [&str; 5] = ["", "k", "M", "G", "T"];

/// A value: `512 B`, `12.3 MiB`, `1.05 M`.
#[must_use]
pub fn value(unit: Unit, value: f64) -> String {
    let (units, factor): (&[&str], f64) = match unit {
        Unit::Bytes => (&BYTES, 1024.0),
        Unit::Count => (&COUNTS, 1000.0),
    };
    let mut rest = value.abs();
    let mut place = 0;
    while rest >= 999.5 && place + 1 < units.len() {
        rest /= factor;
        place += 1;
    }
    let decimals = match rest {
        _ if place == 0 => 0,
        r if r < 9.995 => 2,
        r if r < 99.95 => 1,
        _ => 0,
    };
    let sign = if value < 0.0 { "−" } else { "" };
    let name = units.get(place).copied().unwrap_or_default();
    let space = if name.is_empty() { "" } else { " " };
    format!("{sign}{rest:.decimals$}{space}{name}")
}

/// A change: always with its sign.
#[must_use]
pub fn change(unit: Unit, change: f64) -> String {
    match change {
        c if c > 0.0 => format!("+{}", value(unit, c)),
        c if c < 0.0 => value(unit, c),
        _ => format!("±{}", value(unit, 0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits() {
        for (bytes, text) in [
            (0.0, "0 B"),
            (1.0, "1 B"),
            (999.0, "999 B"),
            (1000.0, "0.98 KiB"),
            (1024.0, "1.00 KiB"),
            (12.345 * 1024.0 * 1024.0, "12.3 MiB"),
            (999.6 * 1024.0 * 1024.0, "0.98 GiB"),
            (-5.0 * 1024.0, "−5.00 KiB"),
            (2_f64.powi(64), "16.0 EiB"),
            (1e300, &format!("{:.0} EiB", 1e300 / 2_f64.powi(60))),
        ] {
            assert_eq!(value(Unit::Bytes, bytes), text, "{bytes}");
        }
        for (count, text) in [(7.0, "7"), (999.0, "999"), (1234.0, "1.23 k"), (1_050_000.0, "1.05 M")] {
            assert_eq!(value(Unit::Count, count), text);
        }
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(change(Unit::Bytes, 2048.0), "+2.00 KiB");
        assert_eq!(change(Unit::Count, -3.0), "−3");
        assert_eq!(change(Unit::Count, 0.0), "±0");
    }
}
