//! Writes complete lines or nothing.

use std::fs::File;
use std::io::{self, Write};

/// A file opened for appending, which can be shortened.
pub trait AppendFile: Write {
    /// Removes everything after the first `length` bytes.
    ///
    /// # Errors
    /// The system refuses.
    fn truncate_to(&mut self, length: u64) -> io::Result<()>;
}

impl AppendFile for File {
    fn truncate_to(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Writes each buffer completely or not at all.
#[derive(Debug)]
pub(super) struct AtomicWriter<F> {
    file: F,
    /// Bytes of complete writes.
    length: u64,
    /// Whether part of a failed write follows them.
    torn: bool,
}

impl<F: AppendFile> AtomicWriter<F> {
    /// Writes to an empty `file`.
    pub(super) fn new(file: F) -> Self {
        Self { file, length: 0, torn: false }
    }

    #[cfg(test)]
    pub(super) fn storage(&self) -> &F {
        &self.file
    }

    fn remove_torn_part(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.truncate_to(self.length)?;
            self.torn = false;
        }
        Ok(())
    }
}

impl<F: AppendFile> Write for AtomicWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.remove_torn_part()?;
        if let Err(error) = self.file.write_all(bytes) {
            self.torn = true;
            // If this fails too, the next write tries again.
            let _ = self.remove_torn_part();
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
    pub(in super::super) struct SmallDisk {
        room: Rc<Cell<usize>>,
        pub(in super::super) bytes: Vec<u8>,
        pub(in super::super) can_truncate: bool,
    }

    impl SmallDisk {
        pub(in super::super) fn new(room: &Rc<Cell<usize>>) -> Self {
            Self { room: Rc::clone(room), bytes: Vec::new(), can_truncate: true }
        }
    }

    impl Write for SmallDisk {
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

    impl AppendFile for SmallDisk {
        fn truncate_to(&mut self, length: u64) -> io::Result<()> {
            if !self.can_truncate {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let length = usize::try_from(length).unwrap();
            self.room.set(self.room.get() + self.bytes.len() - length);
            self.bytes.truncate(length);
            Ok(())
        }
    }

    #[test]
    fn failed_write_leaves_no_part() {
        let room = Rc::new(Cell::new(9));
        let mut whole = AtomicWriter::new(SmallDisk::new(&room));
        whole.write_all(b"first\n").unwrap();
        assert_eq!(whole.write_all(b"second\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(whole.file.bytes, b"first\n");
        room.set(100);
        whole.write_all(b"third\n").unwrap();
        assert_eq!(whole.file.bytes, b"first\nthird\n");
    }

    #[test]
    fn torn_part_is_removed_later() {
        let room = Rc::new(Cell::new(9));
        let mut whole = AtomicWriter::new(SmallDisk::new(&room));
        whole.write_all(b"first\n").unwrap();
        whole.file.can_truncate = false;
        assert!(whole.write_all(b"second\n").is_err());
        assert_eq!(whole.file.bytes, b"first\nsec", "torn");
        room.set(100);
        let refused = whole.write_all(b"third\n").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(whole.file.bytes, b"first\nsec", "nothing follows the torn part");
        whole.file.can_truncate = true;
        whole.write_all(b"fourth\n").unwrap();
        assert_eq!(whole.file.bytes, b"first\nfourth\n");
    }

    #[test]
    fn file_is_truncated_and_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = File::options().append(true).create_new(true).open(&path).unwrap();
        file.write_all(b"first\nsec").unwrap();
        file.truncate_to(6).unwrap();
        file.write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nthird\n");
    }
}
