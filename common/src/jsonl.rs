//! Writes records as lines, each with one write.
//!
//! JSON allows control characters of 8 bits and invisible characters in strings. They are written as `\u009b`, because a log
//! is also read with cat(1) on a terminal.
//!
//! ```
//! use common::jsonl::Writer;
//! use common::record::{ErrorRecord, Header, Record, Run};
//!
//! # fn main() -> std::io::Result<()> {
//! let record = Record::Error(ErrorRecord::new(Header::now(&Run::start(), 1), "sample", "gone".into()));
//! let mut writer = Writer::new(Vec::new());
//! writer.write(&record)?;
//! assert_eq!(Record::parse(writer.last_line()).unwrap(), record);
//! # Ok(())
//! # }
//! ```

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::Formatter;

use crate::record::Record;
use crate::record_sink::Sink;
use crate::stdio::is_harmful;

/// Compact JSON with escapes for all characters that can affect a terminal.
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, output: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some((before, c)) = rest.find(is_harmful).and_then(|at| {
            let (before, from) = rest.split_at_checked(at)?;
            Some((before, from.chars().next()?))
        }) {
            output.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(output, "\\u{unit:04x}")?;
            }
            rest = rest.get(before.len() + c.len_utf8()..).unwrap_or_default();
        }
        output.write_all(rest.as_bytes())
    }
}

/// Writes each record with a single `write`, so that readers see only complete records and several writers can append to
/// one file.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Creates a writer to `output`. One that buffers lines should be written out at the end with [`finish`](Sink::finish).
    pub fn new(output: W) -> Self {
        Self { output, line: Vec::new() }
    }

    /// Writes a record and its line end.
    ///
    /// # Errors
    /// The output fails; it may contain a part of the line.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        record.serialize(&mut serde_json::Serializer::with_formatter(&mut self.line, TerminalSafe))?;
        self.line.push(b'\n');
        self.output.write_all(&self.line)
    }

    /// The last line written, with its end.
    pub fn last_line(&self) -> &[u8] {
        &self.line
    }

    /// The output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.output
    }
}

impl<W: Write> Sink for Writer<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        // Of an unknown record only its type was read: it cannot be written again.
        if matches!(record, Record::Unknown(_)) { Ok(()) } else { self.write(record) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{ErrorRecord, Header, Run};

    fn error(message: &str) -> Record {
        Record::Error(ErrorRecord::new(Header::now(&Run::start(), 3), "sample", message.to_owned()))
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for record in records {
            writer.write(record).unwrap();
        }
        writer.output
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_reported() {
        let result = Writer::new(Closed).write(&error("one"));
        assert!(crate::stdio::is_broken_pipe(&result.unwrap_err()));
    }

    /// Counts the writes that reach the system.
    struct Counting(usize);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_record_is_one_write() {
        let mut writer = Writer::new(Counting(0));
        writer.write(&error(&"long ".repeat(100_000))).unwrap();
        assert_eq!(writer.get_mut().0, 1);
        assert_eq!(writer.last_line().last(), Some(&b'\n'));
    }

    #[test]
    fn unknown_record_is_left_out() {
        let mut writer = Writer::new(Vec::new());
        writer.record(&Record::Unknown("newer".to_owned())).unwrap();
        writer.record(&error("one")).unwrap();
        assert_eq!(writer.output.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }

    #[test]
    fn terminal_controls_are_escaped() {
        let name = "a\u{7f}b\u{9b}2J\u{202e}c\u{61c}\u{2069}\"\\\n名前 🎉";
        let line = String::from_utf8(written(&[error(name)])).unwrap();
        let expected = r#""a\u007fb\u009b2J\u202ec\u061c\u2069\"\\\n名前 🎉""#;
        assert!(line.contains(expected), "{line}");
        assert_eq!(Record::parse(line.as_bytes()).unwrap(), error_like(&line, name));
    }

    /// The error of `line`'s header with that message.
    fn error_like(line: &str, message: &str) -> Record {
        let Record::Error(parsed) = Record::parse(line.as_bytes()).unwrap() else { panic!("{line}") };
        Record::Error(ErrorRecord { message: message.to_owned(), ..parsed })
    }

    proptest! {
        #[test]
        fn lines_are_harmless(message: String) {
            let log = String::from_utf8(written(&[error(&message)])).unwrap();
            prop_assert!(!log.trim_end_matches('\n').chars().any(is_harmful), "{log:?}");
        }

        #[test]
        fn messages_round_trip(messages in proptest::collection::vec(any::<String>(), 0..8)) {
            let records: Vec<Record> = messages.iter().map(|m| error(m)).collect();
            let log = written(&records);
            prop_assert_eq!(log.iter().filter(|&&b| b == b'\n').count(), records.len());
            let lines = log.split_inclusive(|&b| b == b'\n');
            let back: Vec<Record> = lines.map(|line| Record::parse(line).unwrap()).collect();
            prop_assert_eq!(back, records);
        }
    }
}
