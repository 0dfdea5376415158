//! Values as plots show them: at most three digits, powers of 1024 for bytes.

use crate::figure::{Figure, Unit};

/// The names of a unit's multiples, and the factor between two of them.
pub fn multiples(unit: Unit) -> (&'static [&'static str], f64) {
    match unit {
        Unit::Bytes => (&["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 1024.0),
        Unit::Count => (&["", "k", "M", "G", "T"], 1000.0),
    }
}

/// A number with its unit: `512 B`, `12.3 MiB`, `7`.
pub fn with_unit(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

/// A value: `512 B`, `12.3 MiB`, `1.05 M`.
pub fn value(unit: Unit, value: f64) -> String {
    let (names, factor) = multiples(unit);
    let mut scaled = value.abs();
    let mut index = 0;
    while scaled >= 999.5 && index + 1 < names.len() {
        scaled /= factor;
        index += 1;
    }
    let decimals = match scaled {
        _ if index == 0 => 0,
        r if r < 9.995 => 2,
        r if r < 99.95 => 1,
        _ => 0,
    };
    let sign = if value < 0.0 { "−" } else { "" };
    with_unit(&format!("{sign}{scaled:.decimals$}"), names.get(index).copied().unwrap_or_default())
}

/// A change, always with a sign.
pub fn change(unit: Unit, change: f64) -> String {
    match change {
        c if c > 0.0 => format!("+{}", value(unit, c)),
        c if c < 0.0 => value(unit, c),
        _ => format!("±{}", value(unit, 0.0)),
    }
}

/// A value of a figure: with a sign if its values are changes.
pub fn shown(figure: &Figure, number: f64) -> String {
    if figure.delta { change(figure.unit, number) } else { value(figure.unit, number) }
}

/// Joins parts into lines: a part starts a new line where the current one would no longer fit.
pub fn wrap_parts(parts: &[String], separator: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let joined = lines.last().map(|line| format!("{line}{separator}{part}"));
        match (joined.filter(|joined| fits(joined)), lines.last_mut()) {
            (Some(joined), Some(line)) => *line = joined,
            _ => lines.push(part.clone()),
        }
    }
    lines
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
