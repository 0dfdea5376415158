//! Writing to a file whole lines or nothing.

use std::fs::File;
use std::io::{self, Write};

/// Something written at its end that can be shortened: a file opened for appending.
pub trait Storage: Write {
    /// Gives up what is behind the first `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Writes each buffer to its end or not at all.
#[derive(Debug)]
pub(super) struct Whole<F> {
    file: F,
    /// The bytes that were written whole.
    length: u64,
    /// Whether something torn stands behind them.
    torn: bool,
}

impl<F: Storage> Whole<F> {
    /// Writes to an empty `file`.
    pub(super) fn new(file: F) -> Self {
        Self { file, length: 0, torn: false }
    }

    #[cfg(test)]
    pub(super) fn storage(&self) -> &F {
        &self.file
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.cut(self.length)?;
            self.torn = false;
        }
        Ok(())
    }
}

impl<F: Storage> Write for Whole<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.mend()?;
        if let Err(error) = self.file.write_all(bytes) {
            self.torn = true;
            // If this fails too, it is tried again before the next write.
            let _ = self.mend();
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// A file on a disk with little room, which may be shared with others.
    pub(in super::super) struct Small {
        room: Rc<Cell<usize>>,
        pub(in super::super) bytes: Vec<u8>,
        pub(in super::super) can_cut: bool,
    }

    impl Small {
        pub(in super::super) fn new(room: &Rc<Cell<usize>>) -> Self {
            Self { room: Rc::clone(room), bytes: Vec::new(), can_cut: true }
        }
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room.get());
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.set(self.room.get() - count);
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Storage for Small {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            if !self.can_cut {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let length = usize::try_from(length).unwrap();
            self.room.set(self.room.get() + self.bytes.len() - length);
            self.bytes.truncate(length);
            Ok(())
        }
    }

    #[test]
    fn what_does_not_fit_leaves_no_part_of_itself() {
        let room = Rc::new(Cell::new(9));
        let mut whole = Whole::new(Small::new(&room));
        whole.write_all(b"first\n").unwrap();
        assert_eq!(whole.write_all(b"second\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(whole.file.bytes, b"first\n");
        room.set(100);
        whole.write_all(b"third\n").unwrap();
        assert_eq!(whole.file.bytes, b"first\nthird\n");
    }

    #[test]
    fn what_could_not_be_cut_back_is_cut_back_before_the_next_write() {
        let room = Rc::new(Cell::new(9));
        let mut whole = Whole::new(Small::new(&room));
        whole.write_all(b"first\n").unwrap();
        whole.file.can_cut = false;
        assert!(whole.write_all(b"second\n").is_err());
        assert_eq!(whole.file.bytes, b"first\nsec", "torn");
        room.set(100);
        let refused = whole.write_all(b"third\n").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(whole.file.bytes, b"first\nsec", "nothing is put behind what is torn");
        whole.file.can_cut = true;
        whole.write_all(b"fourth\n").unwrap();
        assert_eq!(whole.file.bytes, b"first\nfourth\n");
    }

    #[test]
    fn a_file_is_cut_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = File::options().append(true).create_new(true).open(&path).unwrap();
        file.write_all(b"first\nsec").unwrap();
        file.cut(6).unwrap();
        file.write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nthird\n");
    }
}
