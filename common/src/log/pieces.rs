//! Cuts an input into pieces of whole lines.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::input::Opened;

/// About how long a piece of a file is. Larger ones are no faster, and take more memory.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// How much is taken from a pipe at once: what a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

/// A part of an input.
#[derive(Debug)]
pub(super) enum Piece {
    /// Whole lines; only the last one of an input may have no end.
    Lines(Lines),
    /// A line that is too long, in place of it.
    TooLong,
    /// The input could not be read further.
    Failed(io::Error),
}

/// Whole lines of an input.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    /// Whether the input begins here.
    pub(super) first: bool,
    /// Whether the input ends here.
    pub(super) last: bool,
}

/// Cuts `opened` into pieces for `take`, until it ends or `take` wants no more. Lines that grow beyond `max_line_bytes` are passed over in
/// memory of that size. `spare` gives empty buffers.
pub(super) fn cut(
    opened: &mut Opened,
    max_line_bytes: usize,
    spare: &mut dyn FnMut() -> Vec<u8>,
    take: &mut dyn FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut pipe = if opened.live { vec![0; PIPE_BYTES] } else { Vec::new() };
    let mut buffer = spare();
    let mut first = true;
    let mut passing_over = false;
    loop {
        // What is left of the piece before has no line end.
        let mut known = buffer.len();
        let more = if opened.live {
            read_what_is_there(&mut *opened.source, &mut pipe, &mut buffer)
        } else {
            read_piece(&mut *opened.source, &mut buffer)
        };
        if passing_over {
            let end = memchr::memchr(b'\n', &buffer);
            buffer.drain(..end.map_or(buffer.len(), |end| end + 1));
            passing_over = end.is_none();
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
            (first, passing_over) = (false, true);
        }
    }
}

/// Adds up to [`PIECE_BYTES`]; false at the end.
fn read_piece(source: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.reserve(PIECE_BYTES);
    Ok(source.take(PIECE_BYTES as u64).read_to_end(buffer)? > 0)
}

/// Adds what is there, or waits until there is something; false at the end.
fn read_what_is_there(source: &mut dyn Read, pipe: &mut [u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
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
