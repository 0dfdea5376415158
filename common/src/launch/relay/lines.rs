//! Splits bytes into lines, and marks lines with their source.

use crate::record::OutputStream;
use crate::stdio;

use super::queue::Entry;

/// Longer lines are split into pieces of this size.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// Bytes of one stream, relayed at once: complete lines with their ends. After a pause, at the end of the output, or for a
/// long line, the last one may be partial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) stream: OutputStream,
    pub(super) bytes: Vec<u8>,
}

impl Entry for Block {
    fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn lines(&self) -> u64 {
        self.bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
    }
}

/// Puts the source before each line, for blocks in any order.
#[derive(Debug)]
pub(super) struct LineMarker {
    /// The prefixes for standard output and standard error; `None` if lines stay unchanged.
    prefixes: Option<[Vec<u8>; 2]>,
    /// The stream whose line is still open.
    open: Option<OutputStream>,
}

impl LineMarker {
    pub(super) fn new(name: Option<&str>) -> Self {
        let prefixes = name.map(|name| {
            let name = stdio::escape_controls(name);
            [format!("[{name}] ").into_bytes(), format!("[{name}!] ").into_bytes()]
        });
        Self { prefixes, open: None }
    }

    /// Appends `block` to `text`; the command's bytes stay unchanged.
    pub(super) fn mark(&mut self, block: &Block, text: &mut Vec<u8>) {
        let Some([stdout, stderr]) = &self.prefixes else {
            text.extend_from_slice(&block.bytes);
            self.open = Some(block.stream).filter(|_| !block.bytes.ends_with(b"\n"));
            return;
        };
        let prefix = match block.stream {
            OutputStream::Stdout => stdout,
            OutputStream::Stderr => stderr,
        };
        if self.open.is_some_and(|open| open != block.stream) {
            text.push(b'\n');
            self.open = None;
        }
        for line in block.bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.open.is_none() {
                text.extend_from_slice(prefix);
            }
            text.extend_from_slice(line);
            self.open = Some(block.stream).filter(|_| !line.ends_with(b"\n"));
        }
    }

    /// Appends a message as a line of its own.
    pub(super) fn push_message(&mut self, line: &str, text: &mut Vec<u8>) {
        if self.open.take().is_some() {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }

    /// Ends an open line, so that later text begins a line. Unmarked output stays unchanged to the last byte.
    pub(super) fn finish(&mut self, text: &mut Vec<u8>) {
        if self.prefixes.is_some() && self.open.take().is_some() {
            text.push(b'\n');
        }
    }
}

/// Splits a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    /// Passes each line without its end to `line`, with whether the line ends there.
    pub(super) fn split(&mut self, bytes: &[u8], mut line: impl FnMut(Vec<u8>, bool)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (content, is_ended) = match piece.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (piece, false),
            };
            self.partial.extend_from_slice(content);
            while self.partial.len() > MAX_LINE_BYTES {
                let rest = self.partial.split_off(character_start(&self.partial, MAX_LINE_BYTES));
                line(std::mem::replace(&mut self.partial, rest), false);
            }
            if is_ended {
                line(std::mem::take(&mut self.partial), true);
            }
        }
    }

    /// Passes on a last line without an end.
    pub(super) fn finish(&mut self, line: impl FnOnce(Vec<u8>, bool)) {
        if !self.partial.is_empty() {
            line(std::mem::take(&mut self.partial), true);
        }
    }
}

/// The start of the UTF-8 character at `at`, up to three bytes before; `at` itself if this is not UTF-8.
fn character_start(bytes: &[u8], at: usize) -> usize {
    let begins = |i: &usize| bytes.get(*i).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(begins).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(stream: OutputStream, bytes: &[u8]) -> Block {
        Block { stream, bytes: bytes.to_vec() }
    }

    fn marked(name: Option<&str>, blocks: &[(OutputStream, &[u8])]) -> Vec<u8> {
        let mut marker = LineMarker::new(name);
        let mut text = Vec::new();
        for (stream, bytes) in blocks {
            marker.mark(&block(*stream, bytes), &mut text);
        }
        marker.finish(&mut text);
        text
    }

    use OutputStream::{Stderr, Stdout};

    #[test]
    fn lines_have_their_source() {
        let text = marked(Some("bot"), &[(Stdout, b"one\n\ntwo\n"), (Stderr, b"\x1b[31moops\xff\0\n")]);
        assert_eq!(text, b"[bot] one\n[bot] \n[bot] two\n[bot!] \x1b[31moops\xff\0\n");
    }

    #[test]
    fn split_line_is_marked_once() {
        assert_eq!(
            marked(Some("b"), &[(Stdout, b"name"), (Stdout, b"? "), (Stdout, b"ok\n")]),
            b"[b] name? ok\n"
        );
    }

    #[test]
    fn other_source_ends_open_line() {
        let text = marked(Some("b"), &[(Stdout, b"half"), (Stderr, b"error\n"), (Stdout, b" more")]);
        assert_eq!(text, b"[b] half\n[b!] error\n[b]  more\n");
    }

    #[test]
    fn name_controls_are_escaped() {
        assert_eq!(marked(Some("a\x1b[2J"), &[(Stdout, b"x\n")]), b"[a\\u{1b}[2J] x\n");
    }

    #[test]
    fn messages_begin_a_line() {
        let mut marker = LineMarker::new(None);
        let mut text = Vec::new();
        marker.mark(&block(Stdout, b"half"), &mut text);
        marker.push_message("lost", &mut text);
        marker.push_message("again", &mut text);
        assert_eq!(text, b"half\nlost\nagain\n");
    }

    #[test]
    fn block_counts_line_ends() {
        assert_eq!(block(Stdout, b"a\nb\n").lines(), 2);
        assert_eq!(block(Stdout, b"a\nb").lines(), 1);
    }

    fn cut(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::default();
        for piece in pieces {
            splitter.split(piece, |line, whole| lines.push((line, whole)));
        }
        splitter.finish(|line, whole| lines.push((line, whole)));
        lines
    }

    #[test]
    fn split_lines_are_joined() {
        let expected = vec![(b"ab".to_vec(), true), (b"".to_vec(), true), (b"c".to_vec(), true)];
        assert_eq!(cut(&[b"ab\n\nc"]), expected);
        assert_eq!(cut(&[b"a", b"b", b"\n", b"\n", b"c\n"]), expected);
    }

    #[test]
    fn long_line_splits_at_characters() {
        let long = "é".repeat(MAX_LINE_BYTES);
        let lines = cut(&[b"x", long.as_bytes(), b"\n"]);
        assert_eq!(lines.iter().map(|(_, whole)| *whole).collect::<Vec<_>>(), [false, false, true]);
        assert!(
            lines.iter().all(|(line, _)| line.len() <= MAX_LINE_BYTES && std::str::from_utf8(line).is_ok())
        );
        assert_eq!(lines.concat_lines(), format!("x{long}").into_bytes());
        // No UTF-8 at all: cut all the same.
        let lines = cut(&[&vec![0x80; MAX_LINE_BYTES + 1]]);
        assert_eq!(lines[0].0.len(), MAX_LINE_BYTES);
    }

    trait ConcatLines {
        fn concat_lines(&self) -> Vec<u8>;
    }

    impl ConcatLines for Vec<(Vec<u8>, bool)> {
        fn concat_lines(&self) -> Vec<u8> {
            self.iter().flat_map(|(line, _)| line.clone()).collect()
        }
    }

    proptest! {
        #[test]
        fn unmarked_bytes_are_unchanged(blocks: Vec<(bool, Vec<u8>)>) {
            let stream = |is_stderr| if is_stderr { Stderr } else { Stdout };
            let blocks: Vec<_> = blocks.iter().map(|(s, bytes)| (stream(*s), bytes.as_slice())).collect();
            let expected: Vec<u8> = blocks.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            prop_assert_eq!(marked(None, &blocks), expected);
        }

        #[test]
        fn marked_bytes_are_unchanged(blocks: Vec<Vec<u8>>) {
            let all = blocks.concat();
            let blocks: Vec<_> = blocks.iter().map(|bytes| (Stdout, bytes.as_slice())).collect();
            let text = marked(Some("n"), &blocks);
            let mut stripped: Vec<u8> =
                text.split_inclusive(|&b| b == b'\n').flat_map(|line| line[4..].to_vec()).collect();
            if !all.ends_with(b"\n") && !all.is_empty() {
                stripped.pop();
            }
            prop_assert_eq!(stripped, all);
        }
    }
}
