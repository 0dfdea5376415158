//! Zstandard archives of several frames, as from `cat a.zst b.zst` and parallel compressors.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// An empty last block of a frame, and space for a checksum. A decoder keeps back what later blocks may refer to; this end flushes
/// it for a truncated archive.
const END_OF_FRAME: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// The content of all frames, with checked checksums.
pub(super) struct Frames<R> {
    source: R,
    frame: Option<Box<FrameDecoder>>,
    /// The error to return after all decoded bytes.
    pending_error: Option<io::Error>,
    ended: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, frame: None, pending_error: None, ended: false }
    }

    /// Starts the next frame with content; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut decoder = FrameDecoder::new();
            match decoder.init(&mut self.source) {
                Ok(()) => {
                    self.frame = Some(Box::new(decoder));
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buffer.is_empty() {
            let Some(frame) = &mut self.frame else {
                self.ended = !self.next_frame().inspect_err(|_| self.ended = true)?;
                continue;
            };
            while frame.can_collect() == 0 && !frame.is_finished() {
                let Err(error) = frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                else {
                    continue;
                };
                let cut_off = self.source.fill_buf().is_ok_and(<[u8]>::is_empty);
                let rest = frame.decode_blocks(&END_OF_FRAME[..], BlockDecodingStrategy::All);
                if !cut_off || rest.is_err() {
                    self.ended = true;
                    return Err(io::Error::other(error));
                }
                self.pending_error = Some(io::Error::new(io::ErrorKind::UnexpectedEof, error));
            }
            let count = frame.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(error) = self.pending_error.take() {
                self.ended = true;
                return Err(error);
            }
            let expected = frame.get_checksum_from_data();
            if expected.is_some() && expected != frame.get_calculated_checksum() {
                self.ended = true;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum differs"));
            }
            self.frame = None;
        }
        Ok(0)
    }
}
