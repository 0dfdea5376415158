//! Records as lines: one record, one write; and lines as records, whatever else is in the file.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use crate::record::{Record, RecordError};

/// The longest line a [`Reader`] takes in unless told otherwise: 64 MiB.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// Writes records, each with a single `write`, so that no reader of the file or pipe ever sees half of one that was
/// written whole, and several writers can append to one file.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer to `output`, which should not buffer.
    pub fn new(output: W) -> Self {
        Self { output, line: Vec::new() }
    }

    /// Writes one record and its line end.
    ///
    /// # Errors
    /// What the output says; the line may then be there in part.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.output.write_all(&self.line)?;
        self.output.flush()
    }

    /// The last line written, with its end.
    pub fn last_line(&self) -> &[u8] {
        &self.line
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.output
    }
}

/// What a line turned out to be.
#[derive(Debug)]
pub enum Item {
    /// A record; of an unknown type too.
    Record(Record),
    /// Not a record; the next line may be one.
    Bad(BadLine),
}

/// A line that is no record, and where it stands.
#[derive(Debug)]
pub struct BadLine {
    /// The input's name.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: Reason,
}

/// Why a line is no record.
#[derive(Debug)]
pub enum Reason {
    /// It is longer than the reader takes in.
    TooLong {
        /// The reader's limit in bytes.
        limit: usize,
    },
    /// The file ends within it: its writer was killed or is still at it. No cause for alarm.
    Torn,
    /// Not a JSON object of the contract.
    NotARecord(RecordError),
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        match &self.reason {
            Reason::TooLong { limit } => write!(f, "line longer than {limit} bytes, left out"),
            Reason::Torn => write!(f, "last line is incomplete, left out"),
            Reason::NotARecord(error) => write!(f, "not a record, left out: {error}"),
        }
    }
}

/// Reads the records of one input. Empty lines are passed over.
#[derive(Debug)]
pub struct Reader<R> {
    file: String,
    input: R,
    limit: usize,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// A reader of `input`, called `file` in messages, with lines of up to [`MAX_LINE_BYTES`].
    pub fn new(file: impl Into<String>, input: R) -> Self {
        Self::with_limit(file, input, MAX_LINE_BYTES)
    }

    /// The same with lines of up to `limit` bytes.
    pub fn with_limit(file: impl Into<String>, input: R, limit: usize) -> Self {
        Self { file: file.into(), input, limit, line: 0, buffer: Vec::new() }
    }

    /// The next record or bad line; `None` at the end.
    ///
    /// # Errors
    /// Only what reading the input itself says.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        loop {
            self.buffer.clear();
            let room = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
            if self.input.by_ref().take(room).read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let ended = self.buffer.last() == Some(&b'\n');
            if !ended && self.buffer.len() > self.limit {
                self.input.skip_until(b'\n')?;
                return Ok(Some(self.bad(Reason::TooLong { limit: self.limit })));
            }
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            return Ok(Some(match Record::parse(text) {
                Ok(record) => Item::Record(record),
                Err(_) if !ended => self.bad(Reason::Torn),
                Err(error) => self.bad(Reason::NotARecord(error)),
            }));
        }
    }

    fn bad(&self, reason: Reason) -> Item {
        Item::Bad(BadLine { file: self.file.clone(), line: self.line, reason })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_item().transpose()
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

    fn read(bytes: &[u8], limit: usize) -> Vec<Item> {
        Reader::with_limit("log", bytes, limit).map(Result::unwrap).collect()
    }

    #[test]
    fn a_torn_last_line_costs_itself_only() {
        let mut log = written(&[error("one"), error("two")]);
        log.truncate(log.len() - 9);
        let items = read(&log, MAX_LINE_BYTES);
        assert!(matches!(&items[0], Item::Record(r) if matches!(r, Record::Error(e) if e.message == "one")));
        assert!(matches!(&items[1], Item::Bad(BadLine { line: 2, reason: Reason::Torn, .. })));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn a_last_line_without_its_end_is_still_a_record() {
        let mut log = written(&[error("one")]);
        log.pop();
        assert!(matches!(read(&log, MAX_LINE_BYTES)[..], [Item::Record(_)]));
    }

    #[test]
    fn an_over_long_line_is_left_out_and_the_next_is_read() {
        let log = written(&[error(&"x".repeat(5000)), error("after")]);
        let items = read(&log, 1000);
        assert!(matches!(
            &items[0],
            Item::Bad(BadLine { line: 1, reason: Reason::TooLong { limit: 1000 }, .. })
        ));
        assert!(matches!(&items[1], Item::Record(_)));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn a_line_of_just_the_limit_is_read() {
        let log = written(&[error("just")]);
        assert!(matches!(read(&log, log.len() - 1)[..], [Item::Record(_)]));
        assert!(matches!(read(&log, log.len() - 2)[..], [Item::Bad(_)]));
    }

    #[test]
    fn garbage_costs_its_own_lines_and_messages_name_them() {
        let mut log = b"\xff\xfe\n\n[1,2]\n{\"no\":\"type\"}\n{\"type\":\"later\",\"schema\":1}\n".to_vec();
        log.extend(written(&[error("good")]));
        let items = read(&log, MAX_LINE_BYTES);
        let bad: Vec<String> = items
            .iter()
            .filter_map(|i| if let Item::Bad(b) = i { Some(b.to_string()) } else { None })
            .collect();
        assert_eq!(bad.len(), 3, "{bad:?}");
        assert!(bad[0].starts_with("log:1: not a record"), "{bad:?}");
        assert!(bad[2].starts_with("log:4: ") && bad[2].contains("\"type\""), "{bad:?}");
        assert!(matches!(&items[3], Item::Record(Record::Unknown(kind)) if kind == "later"));
        assert!(matches!(&items[4], Item::Record(Record::Error(_))));
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
    fn a_closed_pipe_is_told_as_one() {
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

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>, limit in 1_usize..64) {
            let lines = bytes.split(|&b| b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count();
            prop_assert!(read(&bytes, limit).len() <= lines);
            prop_assert_eq!(read(&bytes, MAX_LINE_BYTES).len(), lines);
        }

        #[test]
        fn any_message_comes_back(messages in proptest::collection::vec(any::<String>(), 0..8)) {
            let records: Vec<Record> = messages.iter().map(|m| error(m)).collect();
            let log = written(&records);
            prop_assert_eq!(log.iter().filter(|&&b| b == b'\n').count(), records.len());
            let back: Vec<Record> = read(&log, MAX_LINE_BYTES)
                .into_iter()
                .map(|item| if let Item::Record(record) = item { record } else { panic!("{item:?}") })
                .collect();
            prop_assert_eq!(back, records);
        }
    }
}
