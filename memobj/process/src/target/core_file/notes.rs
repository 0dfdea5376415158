//! The notes of a core file: core(5), fs/binfmt_elf.c of Linux 6.12.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::addr::Addr;

/// The most entries of `NT_FILE` that are read: a process has 65,530 mappings at most, unless the system's limit was raised.
const MAX_FILES: usize = 1 << 20;

/// A mapped part of a file: an entry of `NT_FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub range: Range<Addr>,
    /// The offset in the file, in bytes.
    pub offset: u64,
    pub path: PathBuf,
}

/// The process: `NT_PRPSINFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: u32,
    pub name: String,
}

/// `struct elf_prpsinfo` (include/linux/elfcore.h) on 64-bit Linux: the pid is at 24, the name at 40, 16 bytes long.
pub(super) fn process(note: &[u8]) -> Option<Process> {
    let pid = u32::from_le_bytes(*note.get(24..)?.first_chunk()?);
    let name = note.get(40..56)?;
    let name = name.split(|&byte| byte == 0).next()?;
    Some(Process { pid, name: String::from_utf8_lossy(name).into_owned() })
}

/// The number of a thread: `pr_pid` of `struct elf_prstatus`, at 32.
pub(super) fn thread(note: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*note.get(32..)?.first_chunk()?))
}

/// `NT_FILE`: the number of entries, the page size, three numbers for each entry, then the zero-terminated names.
pub(super) fn files(note: &[u8]) -> Vec<MappedFile> {
    let words = note.as_chunks::<8>().0;
    let word = |at: usize| words.get(at).copied().map(u64::from_le_bytes);
    let (Some(count), Some(page)) = (word(0), word(1)) else { return Vec::new() };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_FILES).min(words.len() / 3);
    let names = note.get(count.saturating_mul(24).saturating_add(16)..).unwrap_or_default();
    let mut names = names.split(|&byte| byte == 0);
    (0..count)
        .map_while(|entry| {
            let at = entry.saturating_mul(3);
            let field = |number: usize| word(at.saturating_add(number));
            let (start, end, offset) = (field(2)?, field(3)?, field(4)?);
            let path = PathBuf::from(OsStr::from_bytes(names.next()?));
            Some(MappedFile { range: Addr(start)..Addr(end), offset: offset.checked_mul(page)?, path })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(count: u64, page: u64, entries: &[[u64; 3]], names: &[u8]) -> Vec<u8> {
        let words = [count, page].into_iter().chain(entries.iter().flatten().copied());
        words.flat_map(u64::to_le_bytes).chain(names.iter().copied()).collect()
    }

    #[test]
    fn mapped_files_are_parsed() {
        let files = files(&note(2, 4096, &[[0x1000, 0x3000, 0], [0x3000, 0x4000, 2]], b"/bin/a\0/lib/b c\0"));
        let found: Vec<_> = files
            .iter()
            .map(|f| (f.range.start.0, f.range.end.0, f.offset, f.path.to_str().unwrap()))
            .collect();
        assert_eq!(found, [(0x1000, 0x3000, 0, "/bin/a"), (0x3000, 0x4000, 0x2000, "/lib/b c")]);
    }

    #[test]
    fn truncated_notes_are_safe() {
        assert!(files(b"").is_empty() && files(&[255; 16]).is_empty());
        assert!(files(&note(u64::MAX, u64::MAX, &[[1, 2, 3]], b"")).is_empty());
        assert!(files(&note(5, 4096, &[[0x1000, 0x2000, 0]], b"/a\0")).len() <= 1);
    }

    #[test]
    fn process_and_thread_are_parsed() {
        let mut info = vec![0; 136];
        info[24..28].copy_from_slice(&77_u32.to_le_bytes());
        info[40..46].copy_from_slice(b"python");
        assert_eq!(process(&info), Some(Process { pid: 77, name: "python".to_owned() }));
        assert_eq!((process(&info[..50]), thread(&info[..30])), (None, None));
    }
}
