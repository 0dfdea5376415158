//! The notes of a core file: core(5), fs/binfmt_elf.c of Linux 6.12.

use std::path::PathBuf;

use crate::addr::Addr;

/// The longest `NT_FILE` that is read, in entries: a process has 65,530 mappings, unless its system was told otherwise.
const MAX_FILES: usize = 1 << 20;

/// A stretch of a file that the process had mapped: an entry of `NT_FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub start: Addr,
    pub end: Addr,
    /// Where in the file, in bytes.
    pub offset: u64,
    pub path: PathBuf,
}

/// Who it was: `NT_PRPSINFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: u32,
    pub name: String,
}

/// `struct elf_prpsinfo` (include/linux/elfcore.h) on x86-64: the pid is at 24, the name at 40, 16 bytes long.
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

/// `NT_FILE`: how many, the size of a page, then three numbers each, then their names, each with a zero at its end.
pub(super) fn files(note: &[u8]) -> Vec<MappedFile> {
    let words = note.as_chunks::<8>().0;
    let word = |at: usize| words.get(at).copied().map(u64::from_le_bytes);
    let (Some(count), Some(page)) = (word(0), word(1)) else { return Vec::new() };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_FILES).min(words.len() / 3);
    let names = note.get(16 + count * 24..).unwrap_or_default();
    let mut names = names.split(|&byte| byte == 0);
    (0..count)
        .map_while(|entry| {
            let at = 2 + entry * 3;
            let (start, end, offset) = (word(at)?, word(at + 1)?, word(at + 2)?);
            let path =
                PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(names.next()?));
            Some(MappedFile { start: Addr(start), end: Addr(end), offset: offset.checked_mul(page)?, path })
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
    fn files_are_named_in_order_with_their_offsets_in_bytes() {
        let files = files(&note(2, 4096, &[[0x1000, 0x3000, 0], [0x3000, 0x4000, 2]], b"/bin/a\0/lib/b c\0"));
        let told: Vec<_> =
            files.iter().map(|f| (f.start.0, f.end.0, f.offset, f.path.to_str().unwrap())).collect();
        assert_eq!(told, [(0x1000, 0x3000, 0, "/bin/a"), (0x3000, 0x4000, 0x2000, "/lib/b c")]);
    }

    #[test]
    fn a_note_that_promises_more_than_it_has_gives_what_it_has() {
        assert!(files(b"").is_empty() && files(&[255; 16]).is_empty());
        assert!(files(&note(u64::MAX, u64::MAX, &[[1, 2, 3]], b"")).is_empty());
        assert!(files(&note(5, 4096, &[[0x1000, 0x2000, 0]], b"/a\0")).len() <= 1);
    }

    #[test]
    fn who_it_was_is_read_where_the_kernel_puts_it() {
        let mut info = vec![0; 136];
        info[24..28].copy_from_slice(&77_u32.to_le_bytes());
        info[40..46].copy_from_slice(b"python");
        assert_eq!(process(&info), Some(Process { pid: 77, name: "python".to_owned() }));
        assert_eq!((process(&info[..50]), thread(&info[..30])), (None, None));
    }
}
