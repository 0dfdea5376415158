//! ELF files that were read, kept for the next process that maps them.

use std::sync::Arc;
use std::time::Duration;

use common::cache::{Cache, Health, Limits};

use super::{BuildId, Elf, build_id_in_memory};
use crate::info::{Mapping, ProcessSource};
use crate::memory::Memory;

/// Thousands of files: one takes about 3 KiB.
const MAX_BYTES: u64 = 8 << 20;
/// Longer than any interval between censuses that is common; a program that is not started again is forgotten then.
const TIME_TO_LIVE: Duration = Duration::from_mins(10);

/// A file, and its build. Device and inode come from the kernel, so that no process can replace the file of another by a copied build id;
/// the build id changes if the file is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey {
    device: (u32, u32),
    inode: u64,
    build_id: BuildId,
}

/// A bounded cache of ELF files by device, inode and the build id in the memory of a process. A hit opens no file.
#[derive(Debug)]
pub struct ElfCache {
    files: Cache<FileKey, Arc<Elf>>,
    symbols: &'static [&'static str],
}

impl ElfCache {
    /// Creates an empty cache of files with those symbols that are called `symbols`.
    #[must_use]
    pub fn new(symbols: &'static [&'static str]) -> Self {
        let limits = Limits { time_to_live: Some(TIME_TO_LIVE), ..Limits::new(MAX_BYTES) };
        Self { files: Cache::new(limits), symbols }
    }

    /// Returns the file of `first`, the mapping of its beginning; `memory` is that of the process. `None` if it cannot be opened or read.
    ///
    /// A file is kept only if it has the build id that its process has in memory.
    pub fn read(&self, source: &dyn ProcessSource, memory: &dyn Memory, first: &Mapping) -> Option<Arc<Elf>> {
        let build_id = build_id_in_memory(memory, first.range.start);
        let key = build_id.map(|build_id| FileKey { device: first.device, inode: first.inode, build_id });
        if let Some(elf) = key.and_then(|key| self.files.get(&key)) {
            return Some(elf);
        }
        let elf = Arc::new(Elf::read(source.open(first).ok()?, self.symbols).ok()?);
        if let Some(key) = key.filter(|key| elf.build_id == Some(key.build_id)) {
            self.files.insert(key, Arc::clone(&elf));
        }
        Some(elf)
    }

    /// Returns contents and counters.
    #[must_use]
    pub fn health(&self) -> Health {
        self.files.health()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::addr::Addr;
    use crate::error::Error;
    use crate::info::ProcessInfo;
    use crate::memory::FakeMemory;

    /// A process that has our own program mapped; counts the files that are opened.
    struct OwnProgram {
        memory: FakeMemory,
        opened: AtomicU32,
    }

    impl ProcessSource for OwnProgram {
        fn info(&self) -> &ProcessInfo {
            unreachable!("the cache needs no facts")
        }

        fn memory(&self) -> &dyn Memory {
            &self.memory
        }

        fn open(&self, _: &Mapping) -> Result<File, Error> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            Ok(File::open("/proc/self/exe").unwrap())
        }
    }

    const START: Addr = Addr(0x7000_0000);

    fn own_headers() -> Vec<u8> {
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        bytes.truncate(1 << 16);
        bytes
    }

    fn process(headers: &[u8]) -> OwnProgram {
        let mut memory = FakeMemory::new();
        memory.put(START, headers);
        OwnProgram { memory, opened: AtomicU32::new(0) }
    }

    fn mapping(inode: u64) -> Mapping {
        Mapping { range: START..START.plus(1 << 16), inode, ..Mapping::default() }
    }

    #[test]
    fn known_file_is_not_opened_again() {
        let files = ElfCache::new(&["main"]);
        let own = process(&own_headers());
        let read = |inode| files.read(&own, &own.memory, &mapping(inode)).unwrap();
        let first = read(1);
        assert!(first.symbol("main").is_some() && Arc::ptr_eq(&first, &read(1)));
        assert_eq!(own.opened.load(Ordering::Relaxed), 1);
        // Another file may claim the same build id.
        assert!(!Arc::ptr_eq(&first, &read(2)));
        assert_eq!(own.opened.load(Ordering::Relaxed), 2);
        let health = files.health();
        assert_eq!((health.entries, health.hits, health.misses), (2, 1, 2));
        assert!((600..100_000).contains(&health.largest_bytes), "{health:?}");
    }

    #[test]
    fn unconfirmed_build_id_is_not_kept() {
        let files = ElfCache::new(&["main"]);
        let id = Elf::read(File::open("/proc/self/exe").unwrap(), &[]).unwrap().build_id;
        let headers = own_headers();
        let at = (0..headers.len() - 64)
            .find(|&at| BuildId::new(&headers[at..at + 20]) == id && headers[at - 4..at] == *b"GNU\0");
        let mut other_build = headers.clone();
        other_build[at.unwrap()] ^= 1;
        for headers in [other_build, vec![0; 1 << 16]] {
            let process = process(&headers);
            for _ in 0..2 {
                assert!(files.read(&process, &process.memory, &mapping(1)).is_some());
            }
            assert_eq!((process.opened.into_inner(), files.health().entries), (2, 0));
        }
    }
}
