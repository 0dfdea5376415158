//! Parses pieces of complete lines.

use super::line::{self, Line};
use super::pieces::Lines;
use super::scan::Scanner;
use crate::record::RecordError;

/// Some editors put it before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The start of each record.
const RECORD_START: &[u8] = br#"{"type":""#;

/// The number of bad lines in a batch whose reasons are kept.
pub(super) const MAX_REASONS: usize = 5;

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    /// The line is longer than the limit.
    #[error("line longer than {limit} bytes, left out")]
    TooLong { limit: usize },
    /// The line is not JSON of the schema.
    #[error("not a record, left out: {0}")]
    NotARecord(RecordError),
}

/// The content of a piece of an input. Line numbers count from 1 within the piece.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The number of lines.
    pub(super) lines: u64,
    /// The moments in order, with their lines.
    pub(super) moments: Vec<(u64, Line)>,
    /// The first bad lines.
    pub(super) reasons: Vec<(u64, BadLine)>,
    pub(super) bad_lines: u64,
    pub(super) torn_lines: u64,
    pub(super) other_records: u64,
    pub(super) unknown: u64,
    /// The number of moments that were scanned.
    pub(super) scanned: u64,
}

impl Batch {
    /// Parses `lines`, with `scanner` if possible.
    pub(super) fn parse(lines: &Lines, max_line_bytes: usize, mut scanner: Option<&mut Scanner>) -> Self {
        let mut batch = Self::default();
        let mut rest = lines.bytes.as_slice();
        if lines.first {
            rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
        }
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            rest = behind.get(1..).unwrap_or_default();
            batch.lines += 1;
            if line.len() > max_line_bytes {
                batch.bad(BadLine::TooLong { limit: max_line_bytes });
                continue;
            }
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let Err(error) = batch.take(line, scanner.as_deref_mut()) else { continue };
            if end.is_none() && lines.last && matches!(&error, RecordError::Json(error) if error.is_eof()) {
                batch.torn_lines += 1;
                continue;
            }
            batch.bad(BadLine::NotARecord(error));
            // A killed writer left a partial line, and the next one appended to it.
            let appended = memchr::memmem::rfind(line, RECORD_START).filter(|&at| at > 0);
            if let Some(record) = appended.and_then(|at| line.get(at..)) {
                let _ = batch.take(record, scanner.as_deref_mut());
            }
        }
        batch
    }

    /// Adds a line without its end.
    fn take(&mut self, line: &[u8], scanner: Option<&mut Scanner>) -> Result<(), RecordError> {
        let found = match scanner.and_then(|scanner| scanner.scan(line)) {
            Some(moment) => {
                self.scanned += 1;
                moment
            }
            None => line::parse(line)?,
        };
        match found {
            Line::NoMoment => self.other_records += 1,
            Line::Unknown => self.unknown += 1,
            moment => self.moments.push((self.lines, moment)),
        }
        Ok(())
    }

    /// A batch of one line that is too long.
    pub(super) fn too_long(limit: usize) -> Self {
        let mut batch = Self { lines: 1, ..Self::default() };
        batch.bad(BadLine::TooLong { limit });
        batch
    }

    fn bad(&mut self, line: BadLine) {
        self.bad_lines += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push((self.lines, line));
        }
    }
}
