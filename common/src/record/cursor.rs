//! Reads the tokens of a JSON line without white space. Returns `None` for unusual JSON, which serde then parses.

use std::borrow::Cow;

/// The limit for numbers. With at most two digits of exponent they are always finite.
const MAX_NUMBER_BYTES: usize = 40;

/// The rest of a line of UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        Self { rest: line.as_bytes() }
    }

    /// The unread text.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Skips exactly this text. Its length is constant, so that it is compared in registers: a call would cost a fifth of all time.
    #[inline]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (begin, rest) = self.rest.split_first_chunk::<N>()?;
        if begin != text {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Skips this text if it comes next.
    #[inline]
    pub(crate) fn has<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        self.literal(text).is_some()
    }

    /// Skips a separator and the key of a field, if both come next. The constant length lets it compare in registers.
    #[inline(always)]
    pub(crate) fn key<const N: usize>(&mut self, separator: u8, key: &[u8; N]) -> bool {
        let Some((&first, rest)) = self.rest.split_first() else { return false };
        match rest.split_first_chunk::<N>() {
            Some((begin, rest)) if first == separator && begin == key => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads an object; `scan` reads its fields, from `{` on.
    pub(crate) fn object(&mut self, scan: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        scan(self)?;
        self.literal(b"}")
    }

    /// Skips exactly this text of any length.
    pub(crate) fn passage(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// Reads `null`, or a value with `read`.
    pub(crate) fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.has(b"null") { Some(None) } else { read(self).map(Some) }
    }

    /// Reads an integer of at most 19 digits, which fits into 64 bits.
    pub(crate) fn integer(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        let mut digits = 0;
        for byte in self.rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        }
        let leading_zero = digits > 1 && self.rest.first() == Some(&b'0');
        if digits == 0 || digits > 19 || leading_zero {
            return None;
        }
        self.rest = self.rest.get(digits..)?;
        Some(value)
    }

    /// Reads an integer of 32 bits.
    pub(crate) fn integer32(&mut self) -> Option<u32> {
        self.integer()?.try_into().ok()
    }

    /// Reads the text of a number.
    pub(crate) fn number(&mut self) -> Option<&'a [u8]> {
        let begin = self.rest;
        let _ = self.has(b"-");
        if !self.has(b"0") {
            self.digits()?;
        }
        if self.has(b".") {
            self.digits()?;
        }
        if self.has(b"e") || self.has(b"E") {
            let _ = self.has(b"-") || self.has(b"+");
            if self.digits()? > 2 {
                return None;
            }
        }
        let length = begin.len() - self.rest.len();
        begin.get(..length).filter(|_| length <= MAX_NUMBER_BYTES)
    }

    /// Reads a number.
    pub(crate) fn float(&mut self) -> Option<f64> {
        std::str::from_utf8(self.number()?).ok()?.parse().ok()
    }

    /// Skips digits, at least one; returns their number.
    fn digits(&mut self) -> Option<usize> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = self.rest.get(count..)?;
        (count > 0).then_some(count)
    }

    /// Reads a string without escapes.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.literal(b"\"")?;
        let length = self.rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (inside, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(inside)
    }

    /// Reads a string; serde decodes escapes.
    pub(crate) fn text(&mut self) -> Option<Cow<'a, str>> {
        let begin = *self;
        if let Some(inside) = self.string() {
            return std::str::from_utf8(inside).ok().map(Cow::Borrowed);
        }
        *self = begin;
        self.literal(b"\"")?;
        let mut escaped = false;
        let inside = self.rest.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        // With both quotes.
        let (string, rest) = begin.rest.split_at_checked(inside + 2)?;
        self.rest = rest;
        serde_json::from_slice(string).ok().map(Cow::Owned)
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        if self.has(b"true") { Some(true) } else { self.literal(b"false").map(|()| false) }
    }

    /// Reads an array; `read` reads each element.
    pub(crate) fn array(&mut self, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.literal(b"[")?;
        if self.has(b"]") {
            return Some(());
        }
        loop {
            read(self)?;
            if !self.has(b",") {
                return self.literal(b"]");
            }
        }
    }

    /// Reads a timestamp in the form of our tools, `"2026-11-23T22:27:00.123+01:00"`, as milliseconds since 1970.
    pub(crate) fn stamp(&mut self) -> Option<i64> {
        let &[
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
            b'.',
            f1,
            f2,
            f3,
            sign @ (b'+' | b'-'),
            oh1,
            oh2,
            b':',
            om1,
            om2,
        ] = self.string()?
        else {
            return None;
        };
        let year = number([y1, y2, y3, y4], 1..=9998)?;
        let month = number([m1, m2], 1..=12)?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let day = number([d1, d2], 1..=days)?;
        let seconds =
            (number([h1, h2], 0..=23)? * 60 + number([n1, n2], 0..=59)?) * 60 + number([s1, s2], 0..=59)?;
        let offset = number([oh1, oh2], 0..=23)? * 60 + number([om1, om2], 0..=59)?;
        let offset = if sign == b'-' { -offset } else { offset };
        // A year that begins in March has its leap day at the end, so that one formula gives the days before a month.
        let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
            + shifted_year / 400
            + (shifted_month * 153 + 2) / 5
            + day
            - 1
            - DAYS_TO_1970;
        Some(((days * 24 * 60 - offset) * 60 + seconds) * 1000 + number([f1, f2, f3], 0..=999)?)
    }
}

/// The days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

/// Parses digits as a number within a range.
fn number<const N: usize>(digits: [u8; N], range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    range.contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Stamp;

    /// Reads all of `text` with `read`.
    fn whole<'a, T>(text: &'a str, read: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Option<T> {
        let mut cursor = Cursor::new(text);
        read(&mut cursor).filter(|_| cursor.at_end())
    }

    #[test]
    fn unusual_tokens_are_refused() {
        for (text, value) in
            [("0", Some(0)), ("9999999999999999999", Some(9_999_999_999_999_999_999)), ("10", Some(10))]
        {
            assert_eq!(whole(text, Cursor::integer), value);
        }
        for text in
            ["", "-1", "01", "1.0", "1e3", "18446744073709551616", "99999999999999999999", "+1", "null"]
        {
            assert_eq!(whole(text, Cursor::integer), None, "{text}");
        }
        for text in ["", "-", "01", "1.", ".5", "1e", "1e999", "NaN", "inf", "+1", "0x1"] {
            assert_eq!(whole(text, Cursor::float), None, "{text}");
        }
        for text in ["\"a", "\"a\\n\"", "\"a\n\"", "a", "\"a\"\""] {
            assert_eq!(whole(text, Cursor::string), None, "{text}");
        }
        for text in ["\"a\\\"", "\"\\ud800\"", "\"\\x\"", "\"a\n\"", "\"", "a", "\"a\"\""] {
            assert_eq!(whole(text, Cursor::text), None, "{text}");
        }
        assert_eq!(whole("\"名前 \u{7f}\"", Cursor::string), Some("名前 \u{7f}".as_bytes()));
        for text in ["[", "[1", "[1,]", "[,1]", "[1 ]", "[1]]"] {
            assert_eq!(whole(text, |cursor| cursor.array(|c| c.integer().map(drop))), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_match_serde(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?") {
            if let Some(value) = whole(&text, Cursor::float) {
                prop_assert_eq!(value.to_bits(), serde_json::from_str::<f64>(&text).unwrap().to_bits());
            } else {
                prop_assert!(text.len() > MAX_NUMBER_BYTES);
            }
        }

        #[test]
        fn texts_match_serde(text: String) {
            let written = serde_json::to_string(&text).unwrap();
            let found = whole(&written, Cursor::text);
            prop_assert_eq!(found.as_deref(), Some(&*text));
        }

        #[test]
        fn accepted_text_parses_in_serde(text in r#""[a"\\u0-9\x00-\x20]{0,8}""#) {
            if let Some(found) = whole(&text, Cursor::text) {
                prop_assert_eq!(found, serde_json::from_str::<String>(&text).unwrap());
            }
        }

        #[test]
        fn accepted_number_parses_in_serde(text in "[-+0-9.eE]{1,8}") {
            if let Some(value) = whole(&text, Cursor::float) {
                prop_assert_eq!(value.to_bits(), serde_json::from_str::<f64>(&text).unwrap().to_bits());
            }
            if let Some(value) = whole(&text, Cursor::integer) {
                prop_assert_eq!(value, serde_json::from_str::<u64>(&text).unwrap());
            }
        }

        #[test]
        fn stamps_match_jiff(
            date in (0_u32..=9999, 0_u32..=13, 0_u32..=32),
            time in (0_u32..=24, 0_u32..=60, 0_u32..=60, 0_u32..1000),
            offset in ("[+-]", 0_u32..=24, 0_u32..=60),
        ) {
            let ((y, mo, d), (h, mi, s, ms), (sign, oh, om)) = (date, time, offset);
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}{sign}{oh:02}:{om:02}");
            if let Some(unix_ms) = whole(&format!("\"{text}\""), Cursor::stamp) {
                prop_assert_eq!(unix_ms, text.parse::<Stamp>().unwrap().unix_ms());
            } else {
                let common = (1..=9998).contains(&y) && (1..=12).contains(&mo) && (1..=28).contains(&d)
                    && h < 24 && mi < 60 && s < 60 && oh < 24 && om < 60;
                prop_assert!(!common, "{} is a moment", text);
            }
        }
    }
}
