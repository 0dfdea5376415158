//! What a snapshot says of its process besides the memory, as JSON: it is small, and can be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::process::{ProcessId, ProcessState};
use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::facts::{Access, Facts, Mapping, Thread, shown};
use crate::target::{Still, Taking};

/// The first part of a snapshot. Fields may be added, and are passed over by who does not know them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
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
    threads: Vec<HeadThread>,
    mappings: Vec<HeadMapping>,
    landmarks: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeadThread {
    tid: u32,
    inner_tid: Option<u32>,
    name: String,
    state: ProcessState,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeadMapping {
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

impl Head {
    pub fn of(still: &Still) -> Self {
        let (facts, taking) = (&still.facts, &still.taking);
        Self {
            pid: facts.id.pid,
            start_ticks: facts.id.start,
            inner_pid: facts.inner_pid,
            name: facts.name.clone(),
            program: shown(&facts.program),
            rss_bytes: facts.rss_bytes,
            rss_anon_bytes: facts.rss_anon_bytes,
            swap_bytes: facts.swap_bytes,
            at: still.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()),
            pause: taking.pause,
            stops: taking.stops,
            was_quiet: taking.was_quiet,
            stopped_threads: taking.threads,
            lost_pages: taking.lost_pages,
            missing_bytes: taking.missing_bytes,
            threads: facts.threads.iter().map(HeadThread::of).collect(),
            mappings: facts.mappings.iter().map(HeadMapping::of).collect(),
            landmarks: still.landmarks.iter().map(|(name, at)| (name.clone(), at.0)).collect(),
        }
    }

    /// The parts of a [`Still`] that are not memory.
    pub fn parts(self) -> (Facts, Option<SystemTime>, Taking, BTreeMap<String, Addr>) {
        let mut mappings: Vec<Mapping> = self.mappings.into_iter().map(HeadMapping::mapping).collect();
        mappings.retain(|mapping| mapping.range.start < mapping.range.end);
        mappings.sort_by_key(|mapping| mapping.range.start);
        let facts = Facts {
            id: ProcessId { pid: self.pid, start: self.start_ticks },
            inner_pid: self.inner_pid,
            name: self.name,
            program: PathBuf::from(self.program),
            rss_bytes: self.rss_bytes,
            rss_anon_bytes: self.rss_anon_bytes,
            swap_bytes: self.swap_bytes,
            threads: self.threads.into_iter().map(HeadThread::thread).collect(),
            mappings,
        };
        let taking = Taking {
            pause: self.pause,
            stops: self.stops,
            was_quiet: self.was_quiet,
            threads: self.stopped_threads,
            lost_pages: self.lost_pages,
            missing_bytes: self.missing_bytes,
        };
        let landmarks = self.landmarks.into_iter().map(|(name, at)| (name, Addr(at))).collect();
        (facts, self.at.and_then(|at| UNIX_EPOCH.checked_add(at)), taking, landmarks)
    }
}

impl HeadThread {
    fn of(thread: &Thread) -> Self {
        let Thread { tid, inner_tid, name, state } = thread;
        Self { tid: *tid, inner_tid: *inner_tid, name: name.clone(), state: *state }
    }

    fn thread(self) -> Thread {
        Thread { tid: self.tid, inner_tid: self.inner_tid, name: self.name, state: self.state }
    }
}

impl HeadMapping {
    fn of(mapping: &Mapping) -> Self {
        let Access { read, write, execute, shared } = mapping.access;
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
            access: Access { read: has('r'), write: has('w'), execute: has('x'), shared: has('s') },
            offset: self.offset,
            device: self.device,
            inode: self.inode,
            path: Path::new(&self.path).to_path_buf(),
            deleted: self.deleted,
        }
    }
}
