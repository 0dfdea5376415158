//! Bytes into whole lines, and whole lines into marked ones.

use crate::record::OutputStream;
use crate::stdio;

use super::queue::Entry;

/// Longer lines are cut into pieces of this size.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// What one of the command's outputs brought at one time: whole lines with their ends, or (after a pause, at the end, or
/// where a line is too long) with the beginning of one.
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

/// Puts the source before each line, whatever order blocks come in.
#[derive(Debug)]
pub(super) struct Marker {
    /// What lines of standard output and of standard error begin with; `None`: they stay as they are.
    prefixes: Option<[Vec<u8>; 2]>,
    /// Whose line is not ended yet.
    open: Option<OutputStream>,
}

impl Marker {
    pub(super) fn new(name: Option<&str>) -> Self {
        let prefixes = name.map(|name| {
            let name = stdio::escape_controls(name);
            [format!("[{name}] ").into_bytes(), format!("[{name}!] ").into_bytes()]
        });
        Self { prefixes, open: None }
    }

    /// Adds `block` to `text`. The bytes of the command are not touched.
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

    /// Adds a line of our own.
    pub(super) fn say(&mut self, line: &str, text: &mut Vec<u8>) {
        if self.open.take().is_some() {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }

    /// The end: what follows on stderr begins a line. Lines that are not marked stay as they are to the last byte.
    pub(super) fn finish(&mut self, text: &mut Vec<u8>) {
        if self.prefixes.is_some() && self.open.take().is_some() {
            text.push(b'\n');
        }
    }
}

/// Cuts what comes in any pieces into lines.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    begun: Vec<u8>,
}

impl Cutter {
    /// Takes `bytes` and gives each line, without its end, to `line`, with whether it is whole.
    pub(super) fn cut(&mut self, bytes: &[u8], mut line: impl FnMut(Vec<u8>, bool)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (content, is_ended) = match piece.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (piece, false),
            };
            self.begun.extend_from_slice(content);
            while self.begun.len() > MAX_LINE_BYTES {
                let rest = self.begun.split_off(character_start(&self.begun, MAX_LINE_BYTES));
                line(std::mem::replace(&mut self.begun, rest), false);
            }
            if is_ended {
                line(std::mem::take(&mut self.begun), true);
            }
        }
    }

    /// The end: a last line without an end of its own.
    pub(super) fn finish(&mut self, line: impl FnOnce(Vec<u8>, bool)) {
        if !self.begun.is_empty() {
            line(std::mem::take(&mut self.begun), true);
        }
    }
}

/// `at`, or up to three bytes before: where a UTF-8 character begins, if this is UTF-8.
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
        let mut marker = Marker::new(name);
        let mut text = Vec::new();
        for (stream, bytes) in blocks {
            marker.mark(&block(*stream, bytes), &mut text);
        }
        marker.finish(&mut text);
        text
    }

    use OutputStream::{Stderr, Stdout};

    #[test]
    fn each_line_tells_its_source() {
        let text = marked(Some("bot"), &[(Stdout, b"one\n\ntwo\n"), (Stderr, b"\x1b[31moops\xff\0\n")]);
        assert_eq!(text, b"[bot] one\n[bot] \n[bot] two\n[bot!] \x1b[31moops\xff\0\n");
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_marked_once() {
        assert_eq!(
            marked(Some("b"), &[(Stdout, b"name"), (Stdout, b"? "), (Stdout, b"ok\n")]),
            b"[b] name? ok\n"
        );
    }

    #[test]
    fn an_open_line_is_ended_before_another_source_speaks_and_at_the_end() {
        let text = marked(Some("b"), &[(Stdout, b"half"), (Stderr, b"error\n"), (Stdout, b" more")]);
        assert_eq!(text, b"[b] half\n[b!] error\n[b]  more\n");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(marked(Some("a\x1b[2J"), &[(Stdout, b"x\n")]), b"[a\\u{1b}[2J] x\n");
    }

    #[test]
    fn our_own_words_begin_a_line() {
        let mut marker = Marker::new(None);
        let mut text = Vec::new();
        marker.mark(&block(Stdout, b"half"), &mut text);
        marker.say("lost", &mut text);
        marker.say("again", &mut text);
        assert_eq!(text, b"half\nlost\nagain\n");
    }

    #[test]
    fn lines_are_counted_by_their_ends() {
        assert_eq!(block(Stdout, b"a\nb\n").lines(), 2);
        assert_eq!(block(Stdout, b"a\nb").lines(), 1);
    }

    fn cut(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Vec::new();
        let mut cutter = Cutter::default();
        for piece in pieces {
            cutter.cut(piece, |line, whole| lines.push((line, whole)));
        }
        cutter.finish(|line, whole| lines.push((line, whole)));
        lines
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let expected = vec![(b"ab".to_vec(), true), (b"".to_vec(), true), (b"c".to_vec(), true)];
        assert_eq!(cut(&[b"ab\n\nc"]), expected);
        assert_eq!(cut(&[b"a", b"b", b"\n", b"\n", b"c\n"]), expected);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
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
        fn unmarked_bytes_stay_as_they_are(blocks: Vec<(bool, Vec<u8>)>) {
            let stream = |is_stderr| if is_stderr { Stderr } else { Stdout };
            let blocks: Vec<_> = blocks.iter().map(|(s, bytes)| (stream(*s), bytes.as_slice())).collect();
            let expected: Vec<u8> = blocks.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            prop_assert_eq!(marked(None, &blocks), expected);
        }

        #[test]
        fn marked_bytes_of_one_stream_are_found_again(blocks: Vec<Vec<u8>>) {
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
