//! What a snapshot says of its process besides the memory, as JSON: it is small, and can be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::process::{ProcessId, ProcessState};
use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::info::{Mapping, Permissions, ProcessInfo, Thread, shown};
use crate::memory::PAGE_SIZE;
use crate::residence::{PageKind, PageRun, Pages, Residence};
use crate::target::{CopyInfo, FrozenProcess};

/// Where the addresses of a user's process end.
const MOST_ADDRESSES: u64 = 1 << 47;
/// More pages than a process is believed to have: 1 TiB.
const MOST_PAGES: u64 = 1 << 28;

/// The first part of a snapshot. Fields may be added, and are passed over by who does not know them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHeader {
    pid: u32,
    start_ticks: u64,
    inner_pid: Option<u32>,
    name: String,
    program: String,
    rss_bytes: Option<u64>,
    rss_anon_bytes: Option<u64>,
    swap_bytes: Option<u64>,
    /// Since 1970.
    at: Option<Duration>,
    pause: Option<Duration>,
    stops: u32,
    was_quiet: bool,
    stopped_threads: usize,
    lost_pages: u64,
    missing_bytes: u64,
    threads: Vec<HeaderThread>,
    mappings: Vec<HeaderMapping>,
    saved_addresses: BTreeMap<String, u64>,
    /// Where its pages were; snapshots were saved without this at first.
    #[serde(default)]
    residence: Option<HeaderResidence>,
}

/// Where its pages were.
#[derive(Debug, Serialize, Deserialize)]
struct HeaderResidence {
    /// Consecutive pages of one kind: how many pages after the last ones they begin, how many they are, and their kind: 0 private,
    /// 1 shared, 2 swapped.
    runs: Vec<(u64, u64, u8)>,
    rss_bytes: u64,
    huge_bytes: u64,
    swap_bytes: u64,
    hugetlb_bytes: u64,
    page_table_bytes: Option<u64>,
    stack_pointers: Vec<(u32, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeaderThread {
    tid: u32,
    inner_tid: Option<u32>,
    name: String,
    state: ProcessState,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeaderMapping {
    start: u64,
    end: u64,
    /// As maps has it: `rw-p`.
    access: String,
    offset: u64,
    device: (u32, u32),
    inode: u64,
    path: String,
    deleted: bool,
}

impl SnapshotHeader {
    pub fn of(still: &FrozenProcess) -> Self {
        let (info, copy) = (&still.info, &still.copy);
        Self {
            pid: info.id.pid,
            start_ticks: info.id.start,
            inner_pid: info.inner_pid,
            name: info.name.clone(),
            program: shown(&info.program),
            rss_bytes: info.rss_bytes,
            rss_anon_bytes: info.rss_anon_bytes,
            swap_bytes: info.swap_bytes,
            at: still.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()),
            pause: copy.pause,
            stops: copy.stops,
            was_quiet: copy.was_quiet,
            stopped_threads: copy.threads,
            lost_pages: copy.lost_pages,
            missing_bytes: copy.missing_bytes,
            threads: info.threads.iter().map(HeaderThread::of).collect(),
            mappings: info.mappings.iter().map(HeaderMapping::of).collect(),
            saved_addresses: still.saved_addresses.iter().map(|(name, at)| (name.clone(), at.0)).collect(),
            residence: still.residence.as_ref().map(HeaderResidence::of),
        }
    }

    /// The same without what is longest and least needed.
    pub fn without_pages(self) -> Self {
        Self { residence: None, ..self }
    }

    /// Where its pages were, as far as that is known and can be: what is more than any process has is none.
    pub fn take_residence(&mut self) -> Option<Residence> {
        self.residence.take()?.residence()
    }

    /// The parts of a [`FrozenProcess`] that are not memory.
    pub fn parts(self) -> (ProcessInfo, Option<SystemTime>, CopyInfo, BTreeMap<String, Addr>) {
        let mut mappings: Vec<Mapping> = self.mappings.into_iter().map(HeaderMapping::mapping).collect();
        mappings.retain(|mapping| mapping.range.start < mapping.range.end);
        mappings.sort_by_key(|mapping| mapping.range.start);
        let info = ProcessInfo {
            id: ProcessId { pid: self.pid, start: self.start_ticks },
            inner_pid: self.inner_pid,
            name: self.name,
            program: PathBuf::from(self.program),
            rss_bytes: self.rss_bytes,
            rss_anon_bytes: self.rss_anon_bytes,
            swap_bytes: self.swap_bytes,
            threads: self.threads.into_iter().map(HeaderThread::thread).collect(),
            mappings,
        };
        let copy = CopyInfo {
            pause: self.pause,
            stops: self.stops,
            was_quiet: self.was_quiet,
            threads: self.stopped_threads,
            lost_pages: self.lost_pages,
            missing_bytes: self.missing_bytes,
        };
        let saved_addresses = self.saved_addresses.into_iter().map(|(name, at)| (name, Addr(at))).collect();
        (info, self.at.and_then(|at| UNIX_EPOCH.checked_add(at)), copy, saved_addresses)
    }
}

impl HeaderResidence {
    fn of(residence: &Residence) -> Self {
        let mut before = 0;
        let runs = residence.pages.runs().iter().map(|run| {
            let (first, end) = (run.range.start.0 / PAGE_SIZE as u64, run.range.end.0 / PAGE_SIZE as u64);
            let kind = match run.kind {
                PageKind::Private => 0,
                PageKind::Shared => 1,
                PageKind::Swapped => 2,
            };
            let skipped = first.saturating_sub(before);
            before = end;
            (skipped, end.saturating_sub(first), kind)
        });
        Self {
            runs: runs.collect(),
            rss_bytes: residence.rss_bytes,
            huge_bytes: residence.huge_bytes,
            swap_bytes: residence.swap_bytes,
            hugetlb_bytes: residence.hugetlb_bytes,
            page_table_bytes: residence.page_table_bytes,
            stack_pointers: residence.stack_pointers.iter().map(|(tid, at)| (*tid, at.0)).collect(),
        }
    }

    fn residence(self) -> Option<Residence> {
        let (mut page, mut all) = (0_u64, 0_u64);
        let mut runs = Vec::with_capacity(self.runs.len());
        for (skipped, count, kind) in self.runs {
            let first = page.checked_add(skipped)?;
            page = first.checked_add(count).filter(|&end| end <= MOST_ADDRESSES / PAGE_SIZE as u64)?;
            all = all.saturating_add(count);
            let kind = match kind {
                0 => PageKind::Private,
                1 => PageKind::Shared,
                2 => PageKind::Swapped,
                _ => return None,
            };
            let at = |page: u64| Addr(page * PAGE_SIZE as u64);
            runs.push(PageRun { range: at(first)..at(page), kind });
        }
        (all <= MOST_PAGES).then(|| Residence {
            pages: Pages::of(runs),
            rss_bytes: self.rss_bytes,
            huge_bytes: self.huge_bytes,
            swap_bytes: self.swap_bytes,
            hugetlb_bytes: self.hugetlb_bytes,
            page_table_bytes: self.page_table_bytes,
            stack_pointers: self.stack_pointers.into_iter().map(|(tid, at)| (tid, Addr(at))).collect(),
        })
    }
}

impl HeaderThread {
    fn of(thread: &Thread) -> Self {
        let Thread { tid, inner_tid, name, state } = thread;
        Self { tid: *tid, inner_tid: *inner_tid, name: name.clone(), state: *state }
    }

    fn thread(self) -> Thread {
        Thread { tid: self.tid, inner_tid: self.inner_tid, name: self.name, state: self.state }
    }
}

impl HeaderMapping {
    fn of(mapping: &Mapping) -> Self {
        let Permissions { read, write, execute, shared } = mapping.access;
        let letter = |is: bool, letter: char| if is { letter } else { '-' };
        let last = if shared { 's' } else { 'p' };
        Self {
            start: mapping.range.start.0,
            end: mapping.range.end.0,
            access: [letter(read, 'r'), letter(write, 'w'), letter(execute, 'x'), last].iter().collect(),
            offset: mapping.offset,
            device: mapping.device,
            inode: mapping.inode,
            path: shown(&mapping.path),
            deleted: mapping.deleted,
        }
    }

    fn mapping(self) -> Mapping {
        let has = |letter: char| self.access.contains(letter);
        Mapping {
            range: Addr(self.start)..Addr(self.end),
            access: Permissions { read: has('r'), write: has('w'), execute: has('x'), shared: has('s') },
            offset: self.offset,
            device: self.device,
            inode: self.inode,
            path: Path::new(&self.path).to_path_buf(),
            deleted: self.deleted,
        }
    }
}
