//! Saved snapshots open again, and damaged ones are refused or read safely.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::process::{ProcessId, ProcessState};

use super::format::BLOCK_PAGES;
use super::*;
use crate::addr::Addr;
use crate::info::{Mapping, Permissions, ProcessInfo, ProcessSource, Thread};
use crate::memory::{Backing, CopyBuffer, CopyBuilder, FilePart, Memory, PAGE_SIZE, Uncopied};
use crate::target::{CopyInfo, FileOrigin, FrozenProcess};

const HEAP: Addr = Addr(0x7f00_0000_0000);
const LIBRARY: Addr = Addr(0x5000_0000);
const PAGES: u64 = 90;

fn mapping(start: Addr, pages: u64, inode: u64) -> Mapping {
    Mapping {
        range: start..start.plus(pages * PAGE_SIZE as u64),
        access: Permissions { read: true, write: inode == 0, execute: false, shared: false },
        offset: 0,
        device: (0, u32::from(inode > 0)),
        inode,
        path: if inode > 0 { PathBuf::from("/lib/some.so") } else { PathBuf::new() },
        deleted: false,
    }
}

/// A heap of zeros, text and noise, of which a third was never touched, and a library of which a page was written to.
fn sample() -> FrozenProcess {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&b"a constant ".repeat(1000)).unwrap();
    let mut buffers = CopyBuffer::new();
    buffers.prepare(PAGES as usize * PAGE_SIZE).unwrap();
    let mut filling = CopyBuilder::new(buffers);
    let mut noise = 1_u64;
    for page in (0..PAGES).filter(|page| !(30..60).contains(page)) {
        let into = filling.pages(HEAP.plus(page * PAGE_SIZE as u64), 1).unwrap();
        into.fill(0);
        match page % 7 {
            0 => {}
            1..4 => into.copy_from_slice(&b"0123456789abcdef".repeat(PAGE_SIZE / 16)),
            _ => into.iter_mut().for_each(|byte| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (noise >> 56) as u8;
            }),
        }
    }
    filling.pages(LIBRARY.plus(PAGE_SIZE as u64), 1).unwrap().fill(5);
    let (heap, library) = (mapping(HEAP, PAGES, 0), mapping(LIBRARY, 4, 9));
    let constant = Arc::new(FilePart::new(Arc::new(file), 0, 4 * PAGE_SIZE as u64));
    let memory = filling.finish(vec![
        Uncopied { range: heap.range.clone(), backing: Backing::Zeros },
        Uncopied { range: library.range.clone(), backing: Backing::File(constant) },
    ]);
    let thread =
        Thread { tid: 8, inner_tid: Some(2), name: "worker".to_owned(), state: ProcessState::Sleeping };
    let info = ProcessInfo {
        id: ProcessId { pid: 7, start: 1234 },
        inner_pid: Some(1),
        name: "python".to_owned(),
        program: PathBuf::from("/usr/bin/python3"),
        rss_bytes: Some(1 << 20),
        rss_anon_bytes: None,
        swap_bytes: Some(0),
        threads: vec![thread],
        mappings: vec![library, heap],
    };
    FrozenProcess {
        memory,
        info,
        at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
        copy: CopyInfo {
            pause: Some(Duration::from_millis(3)),
            stops: 2,
            cut_short: 1,
            was_consistent: true,
            threads: 1,
            lost_pages: 0,
            missing_bytes: 0,
        },
        residence: None,
        files: FileOrigin::Process(7),
        saved_addresses: BTreeMap::from([("_PyRuntime".to_owned(), Addr(0x5000_0040))]),
    }
}

fn bytes_of(still: &FrozenProcess) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = write(still, &mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    bytes
}

fn reopened(bytes: &[u8], seal: Checksum) -> Result<FrozenProcess, read::SnapshotError> {
    read(bytes, bytes.len() as u64, seal)
}

/// Everything readable, page by page.
fn content(memory: &dyn Memory) -> Vec<(Addr, Option<Vec<u8>>)> {
    let pages = (0..PAGES).map(|page| HEAP.plus(page * PAGE_SIZE as u64));
    let pages = pages.chain((0..5).map(|page| LIBRARY.plus(page * PAGE_SIZE as u64)));
    pages
        .map(|at| {
            let mut bytes = vec![0; PAGE_SIZE];
            (at, memory.read(at, &mut bytes).ok().map(|()| bytes))
        })
        .collect()
}

#[test]
fn open_returns_what_was_saved() {
    let saved = sample();
    let bytes = bytes_of(&saved);
    let opened = reopened(&bytes, Checksum::Verify).unwrap();
    assert_eq!(opened.info, saved.info);
    assert_eq!(
        (opened.at, opened.copy, &opened.saved_addresses),
        (saved.at, saved.copy, &saved.saved_addresses)
    );
    assert_eq!(opened.files, FileOrigin::Disk);
    assert!(content(&opened.memory) == content(&saved.memory), "the memory differs");
    assert!(opened.open(&opened.info.mappings[0]).is_err(), "there is no such library");
    // Zeros and repetitions are packed; noise, which three sevenths are, is not.
    assert!(bytes.len() < 33 * PAGE_SIZE, "{} bytes", bytes.len());
    assert!(bytes_of(&opened) == bytes_of(&reopened(&bytes_of(&opened), Checksum::Verify).unwrap()));
}

#[test]
fn saved_file_is_private_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    std::fs::write(&path, "an older one").unwrap();
    let length = save(&sample(), &path).unwrap();
    let there = std::fs::metadata(&path).unwrap();
    assert_eq!((there.len(), there.permissions().mode() & 0o777), (length, 0o600));
    assert!(open(&path).is_ok());

    let error = save(&sample(), &folder.path().join("none/snapshot")).unwrap_err();
    assert!(error.to_string().contains("none/snapshot"), "{error}");
    assert!(save(&sample(), Path::new("/dev/full")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut newer = bytes_of(&sample());
    newer[8] = 9;
    let mut broken = bytes_of(&sample());
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    let cut = &bytes_of(&sample())[..5000];
    for (bytes, word) in [
        (&b""[..], "not a snapshot"),
        (&b"\x7fELF\x02\x01\x01"[..], "--core"),
        (&newer, "format 9"),
        (&broken, "damaged"),
        (cut, "cut short"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("file"), "{error}");
    }
    assert!(open(&folder.path().join("none")).unwrap_err().to_string().contains("No such file"));
}

#[test]
fn flipped_bits_are_detected() {
    let whole = bytes_of(&sample());
    let mut random = 7_u64;
    let mut opened = 0;
    for round in 0..500 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (random >> 33) as usize % if round % 3 == 0 { 2000 } else { whole.len() };
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (random >> 24 & 7);
        assert!(reopened(&bytes, Checksum::Verify).is_err(), "a flipped bit at {place} went unseen");
        if let Ok(still) = reopened(&bytes, Checksum::Ignore) {
            opened += 1;
            let copied = still.memory.copied_bytes();
            assert!(copied <= 255 * bytes.len() as u64, "{copied} bytes came of {}", bytes.len());
            content(&still.memory);
        }
    }
    assert!(opened > 50, "nothing was read of broken ones: {opened}");
}

#[test]
fn truncated_snapshots_are_refused() {
    let whole = bytes_of(&sample());
    for length in (0..2000).chain((2000..whole.len()).step_by(997)) {
        assert!(reopened(&whole[..length], Checksum::Ignore).is_err(), "{length}");
    }
}

#[test]
fn impossible_lengths_are_refused() {
    let whole = bytes_of(&sample());
    let mut long_head = whole.clone();
    long_head[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(reopened(&long_head, Checksum::Ignore).is_err());

    let head = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    let block = |at: u64, pages: u64, stored: &[u8]| {
        let mut bytes = whole[..16 + head].to_vec();
        bytes.extend(at.to_le_bytes());
        bytes.extend(pages.to_le_bytes());
        bytes.extend((stored.len() as u32).to_le_bytes());
        bytes.extend(stored);
        bytes.extend([0; 24]);
        reopened(&bytes, Checksum::Ignore)
    };
    for (at, pages, stored) in [
        (1, 1, &[][..]),
        (u64::MAX - 4095, 1, &[][..]),
        (1 << 48, 1, &[][..]),
        (0, 1 << 52, &[][..]),
        (0, u64::MAX, &[][..]),
        (0, BLOCK_PAGES as u64 + 1, &[1; 64][..]),
        (0, 1, &[7; PAGE_SIZE + 1][..]),
        (0, 1, &[255; 100][..]),
    ] {
        assert!(block(at, pages, stored).is_err(), "{at:#x} {pages} {}", stored.len());
    }
    let zeros = block(PAGE_SIZE as u64, (1 << 35) - 2, &[]).unwrap();
    assert_eq!(zeros.memory.read_u64(Addr(1 << 46)), Ok(0));
    assert_eq!(zeros.memory.copied_bytes(), 0);
}
