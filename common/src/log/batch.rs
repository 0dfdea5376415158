//! Whole lines as what they say.

use super::line::{self, Line};
use super::pieces::Lines;
use super::scan::Scanner;
use crate::jsonl::Reason;
use crate::record::RecordError;

/// The mark that some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What every record begins with.
const BEGIN_OF_RECORD: &[u8] = br#"{"type":""#;

/// Reasons that are kept; of further bad lines only the number is.
pub(super) const MAX_REASONS: usize = 5;

/// What a piece of an input says. Lines are counted from 1 within the piece.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// How many lines it has.
    pub(super) lines: u64,
    /// Moments, in order.
    pub(super) moments: Vec<(u64, Line)>,
    /// The first bad lines, and why.
    pub(super) reasons: Vec<(u64, Reason)>,
    pub(super) bad_lines: u64,
    pub(super) torn_lines: u64,
    pub(super) beside: u64,
    pub(super) unknown: u64,
    /// How many of the moments the fast path took.
    pub(super) scanned: u64,
}

impl Batch {
    /// Reads `lines`, the fast way where that is possible if there is a `scanner`.
    pub(super) fn of(lines: &Lines, max_line_bytes: usize, mut scanner: Option<&mut Scanner>) -> Self {
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
                batch.bad(Reason::TooLong { limit: max_line_bytes });
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
            batch.bad(Reason::NotARecord(error));
            // A writer that was killed left half a line, and the next one wrote behind it.
            let glued = memchr::memmem::rfind(line, BEGIN_OF_RECORD).filter(|&at| at > 0);
            if let Some(record) = glued.and_then(|at| line.get(at..)) {
                let _ = batch.take(record, scanner.as_deref_mut());
            }
        }
        batch
    }

    /// Takes in one line without its end.
    fn take(&mut self, line: &[u8], scanner: Option<&mut Scanner>) -> Result<(), RecordError> {
        let found = match scanner.and_then(|scanner| scanner.scan(line)) {
            Some(moment) => {
                self.scanned += 1;
                moment
            }
            None => line::parse(line)?,
        };
        match found {
            Line::Beside => self.beside += 1,
            Line::Unknown => self.unknown += 1,
            moment => self.moments.push((self.lines, moment)),
        }
        Ok(())
    }

    /// A line of its own that is too long.
    pub(super) fn too_long(limit: usize) -> Self {
        let mut batch = Self { lines: 1, ..Self::default() };
        batch.bad(Reason::TooLong { limit });
        batch
    }

    fn bad(&mut self, reason: Reason) {
        self.bad_lines += 1;
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push((self.lines, reason));
        }
    }
}
