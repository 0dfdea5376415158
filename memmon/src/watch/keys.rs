//! Decodes bytes from the keyboard.
//!
//! Not by crossterm's events: they would open the terminal a second time and catch SIGWINCH, both of which the run loop does.
//! The sequences are those of the XTerm control sequences document and of the Linux console, console_codes(4).

/// A key with a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Sort,
    Repaint,
}

const ESCAPE: u8 = 0x1b;

/// Decodes keys byte by byte.
#[derive(Debug, Default)]
pub(super) struct KeyDecoder {
    /// The bytes of an incomplete sequence, beginning with an escape.
    pending: Vec<u8>,
}

/// The longest sequence that is kept: longer ones have no meaning here.
const MAX_SEQUENCE: usize = 16;

impl KeyDecoder {
    /// The key that `byte` completes.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        match (self.pending.as_slice(), byte) {
            // Two escapes: the first was the escape key. It quits, so nothing comes after it.
            ([ESCAPE], ESCAPE) => {
                self.pending.clear();
                Some(Key::Quit)
            }
            (_, ESCAPE) => {
                self.pending = vec![ESCAPE];
                None
            }
            ([], _) => key(&[byte]),
            // More of a sequence: its kind, or its parameters.
            ([ESCAPE], b'[' | b'O') | ([ESCAPE, b'[', ..], 0x20..=0x3f) => {
                if self.pending.len() < MAX_SEQUENCE {
                    self.pending.push(byte);
                }
                None
            }
            _ => {
                self.pending.push(byte);
                key(&std::mem::take(&mut self.pending))
            }
        }
    }

    /// Whether more bytes of a sequence may follow. If none do in time, it was the escape key.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The key, if nothing more follows.
    pub(super) fn finish(&mut self) -> Option<Key> {
        (std::mem::take(&mut self.pending) == [ESCAPE]).then_some(Key::Quit)
    }
}

/// The key of a complete sequence. Of `ESC [ number ~`, parameters after the first are modifiers: Shift, Ctrl.
fn key(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        [b'q' | b'Q'] => Key::Quit,
        [b' '] => Key::PageDown,
        [b's'] => Key::Sort,
        // Ctrl-L
        [0x0c] => Key::Repaint,
        [b'k'] | [ESCAPE, b'[', .., b'A'] | [ESCAPE, b'O', b'A'] => Key::Up,
        [b'j'] | [ESCAPE, b'[', .., b'B'] | [ESCAPE, b'O', b'B'] => Key::Down,
        [b'g'] | [ESCAPE, b'[', .., b'H'] | [ESCAPE, b'O', b'H'] => Key::Home,
        [b'G'] | [ESCAPE, b'[', .., b'F'] | [ESCAPE, b'O', b'F'] => Key::End,
        [ESCAPE, b'[', parameters @ .., b'~'] => {
            match parameters.split(|byte| !byte.is_ascii_digit()).next()? {
                b"1" | b"7" => Key::Home,
                b"4" | b"8" => Key::End,
                b"5" => Key::PageUp,
                b"6" => Key::PageDown,
                _ => return None,
            }
        }
        // With Alt a key has another meaning, and none here.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = KeyDecoder::default();
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect();
        keys.extend(decoder.finish());
        keys
    }

    #[test]
    fn letters_and_sequences_are_keys() {
        assert_eq!(
            keys(b"jks \x0cG"),
            [Key::Down, Key::Up, Key::Sort, Key::PageDown, Key::Repaint, Key::End]
        );
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"), [Key::Up, Key::Down, Key::PageUp, Key::PageDown]);
        assert_eq!(
            keys(b"\x1b[H\x1b[1~\x1bOF\x1b[4~\x1b[8~"),
            [Key::Home, Key::Home, Key::End, Key::End, Key::End]
        );
        assert_eq!(keys(b"\x1b[1;5A"), [Key::Up], "with Ctrl held down");
    }

    #[test]
    fn lone_escape_quits() {
        assert_eq!(keys(b"q"), [Key::Quit]);
        assert_eq!(keys(b"\x1b"), [Key::Quit]);
        assert_eq!(keys(b"\x1b\x1b"), [Key::Quit]);
        assert_eq!(keys(b"\x1bq"), [], "Alt-q");
        assert_eq!(keys(b"\x1b["), [], "cut off");
        assert_eq!(keys(b"\x1b[24~\x1b[200~\x1b[?1;2c\x1b[I"), [], "other sequences");
    }

    #[test]
    fn sequence_may_come_in_pieces() {
        let mut decoder = KeyDecoder::default();
        assert_eq!(decoder.feed(0x1b), None);
        assert!(decoder.is_waiting());
        assert_eq!(decoder.feed(b'['), None);
        assert!(decoder.is_waiting());
        assert_eq!(decoder.feed(b'A'), Some(Key::Up));
        assert!(!decoder.is_waiting());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded(bytes: Vec<u8>) {
            let _ = keys(&bytes);
            prop_assert!(!keys(&[&bytes[..], b"\x18AA\x1b[B"].concat()).is_empty(), "it always comes back to the ground");
        }
    }
}
