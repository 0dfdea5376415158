//! Splits an input into pieces of complete lines.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::input::Opened;

/// The approximate size of a piece of a file. Larger ones are not faster.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// The size of a read from a pipe, which is a pipe's capacity.
const PIPE_BYTES: usize = 64 << 10;

/// A part of an input.
#[derive(Debug)]
pub(super) enum Piece {
    /// Complete lines; only the last one of an input may have no end.
    Lines(Lines),
    /// A line that is too long.
    TooLong,
    /// The input failed.
    Failed(io::Error),
}

/// Complete lines of an input.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// Whether they begin the input.
    pub(super) first: bool,
    /// Whether they end the input.
    pub(super) last: bool,
}

/// Splits `opened` into pieces for `take`, until it ends or `take` breaks. Lines beyond `max_line_bytes` are skipped in memory of that
/// size. `spare` returns empty buffers.
pub(super) fn split(
    opened: &mut Opened,
    max_line_bytes: usize,
    spare: &mut dyn FnMut() -> Vec<u8>,
    take: &mut dyn FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut pipe = if opened.live { vec![0; PIPE_BYTES] } else { Vec::new() };
    let mut buffer = spare();
    let mut first = true;
    let mut skipping = false;
    loop {
        // The rest of the piece before has no line end.
        let mut known = buffer.len();
        let more = if opened.live {
            read_available(&mut *opened.source, &mut pipe, &mut buffer)
        } else {
            read_piece(&mut *opened.source, &mut buffer)
        };
        if skipping {
            let end = memchr::memchr(b'\n', &buffer);
            buffer.drain(..end.map_or(buffer.len(), |end| end + 1));
            skipping = end.is_none();
            known = 0;
        }
        if !matches!(more, Ok(true)) {
            if !buffer.is_empty() {
                take(Piece::Lines(Lines { bytes: buffer, first, last: true }))?;
            }
            return match more {
                Err(error) => take(Piece::Failed(error)),
                Ok(_) => ControlFlow::Continue(()),
            };
        }
        let end = memchr::memrchr(b'\n', buffer.get(known..).unwrap_or_default());
        if let Some(end) = end.map(|at| known + at + 1) {
            let mut rest = spare();
            rest.extend_from_slice(buffer.get(end..).unwrap_or_default());
            buffer.truncate(end);
            take(Piece::Lines(Lines { bytes: std::mem::replace(&mut buffer, rest), first, last: false }))?;
            first = false;
        }
        if buffer.len() > max_line_bytes {
            take(Piece::TooLong)?;
            buffer.clear();
            (first, skipping) = (false, true);
        }
    }
}

/// Appends up to [`PIECE_BYTES`]; false at the end.
fn read_piece(source: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.reserve(PIECE_BYTES);
    Ok(source.take(PIECE_BYTES as u64).read_to_end(buffer)? > 0)
}

/// Appends the available bytes, or waits for some; false at the end.
fn read_available(source: &mut dyn Read, pipe: &mut [u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        match source.read(pipe) {
            Ok(count) => {
                buffer.extend_from_slice(pipe.get(..count).unwrap_or_default());
                return Ok(count > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
