//! Bytes from the keyboard as keys.
//!
//! Not crossterm's events: these would open the terminal a second time and catch SIGWINCH by themselves, and the run loop has
//! both in hand already. The sequences are those of the XTerm control sequences document and of the Linux console,
//! console_codes(4).

/// A key that means something here.
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

/// Reads keys byte by byte, wherever the bytes were cut apart.
#[derive(Debug, Default)]
pub(super) struct KeyDecoder {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After an escape.
    Escape,
    /// After escape and `O`.
    Single,
    /// After escape and `[`, with the first number read so far.
    Sequence { number: u8, is_first: bool },
}

impl KeyDecoder {
    /// The key that `byte` completes.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        let state = std::mem::take(&mut self.state);
        match (state, byte) {
            // Two escapes: the first was the key. It quits, so that nothing comes after it.
            (State::Escape, 0x1b) => Some(Key::Quit),
            (_, 0x1b) => {
                self.state = State::Escape;
                None
            }
            (State::Ground, _) => from_char(byte),
            (State::Escape, b'[') => {
                self.state = State::Sequence { number: 0, is_first: true };
                None
            }
            (State::Escape, b'O') => {
                self.state = State::Single;
                None
            }
            // With Alt held down a key means something else, and that is nothing here.
            (State::Escape, _) => None,
            (State::Single, _) => from_final_letter(byte),
            (State::Sequence { number, is_first: true }, b'0'..=b'9') => {
                let number = number.saturating_mul(10).saturating_add(byte - b'0');
                self.state = State::Sequence { number, is_first: true };
                None
            }
            // What follows the first number are held-down keys: Shift, Ctrl.
            (State::Sequence { number, .. }, 0x20..=0x3f) => {
                self.state = State::Sequence { number, is_first: false };
                None
            }
            (State::Sequence { number, .. }, b'~') => from_number(number),
            (State::Sequence { .. }, _) => from_final_letter(byte),
        }
    }

    /// Whether bytes of a sequence are still to come, or the escape key was pressed: time tells.
    pub(super) fn is_waiting(&self) -> bool {
        self.state != State::Ground
    }

    /// The key, if nothing more came in time.
    pub(super) fn finish(&mut self) -> Option<Key> {
        (std::mem::take(&mut self.state) == State::Escape).then_some(Key::Quit)
    }
}

fn from_char(byte: u8) -> Option<Key> {
    Some(match byte {
        b'q' | b'Q' => Key::Quit,
        b'k' => Key::Up,
        b'j' => Key::Down,
        b' ' => Key::PageDown,
        b'g' => Key::Home,
        b'G' => Key::End,
        b's' => Key::Sort,
        // Ctrl-L
        0x0c => Key::Repaint,
        _ => return None,
    })
}

fn from_final_letter(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'H' => Key::Home,
        b'F' => Key::End,
        _ => return None,
    })
}

fn from_number(number: u8) -> Option<Key> {
    Some(match number {
        1 | 7 => Key::Home,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
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
