//! The memory of a process that runs on while it is read: page by page, each kept for a while.
//!
//! What is read at different moments need not agree; whoever reads has to check what it makes of it. Nothing is read but pages that were
//! asked for: the neighbours of a page may never have been touched, and would be by reading them.

use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::cache::{Cache, Health, Limits};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::addr::Addr;
use crate::memory::{Memory, PAGE_SIZE, ProcMem, Unreadable};

/// How many pages one call reads at most. More brought nothing on the machines that were measured; the kernel's own limit is 1,024.
const PAGES_A_CALL: usize = 256;

/// What reading took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// System calls that read memory.
    pub calls: u64,
    /// Pages they brought.
    pub pages: u64,
    /// Reads that failed: an address of nothing, mostly one that was already stale.
    pub rejected: u64,
}

/// A process's memory as it runs.
#[derive(Debug)]
pub struct LiveMemory {
    pid: u32,
    direct: ProcMem,
    /// Where something else than zeros was when this began.
    written: Vec<Range<Addr>>,
    cache: Cache<u64, Arc<[u8]>>,
    /// Whether several pages may be had by one process_vm_readv(2): it parts pages that are shared with a fork, each of which would
    /// then take memory of its own, so it is used only where nothing is shared.
    one_call: bool,
    calls: AtomicU64,
    pages: AtomicU64,
    rejected: AtomicU64,
}

impl LiveMemory {
    pub(super) fn new(pid: u32, direct: ProcMem, written: Vec<Range<Addr>>, cache_bytes: u64) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            pid,
            direct,
            written,
            cache: Cache::new(Limits::of(cache_bytes)),
            one_call: shares_nothing(pid),
            calls: none(),
            pages: none(),
            rejected: none(),
        }
    }

    /// Forgets what was read: the next census sees what is there then.
    pub fn clear_cache(&self) {
        self.cache.clear();
    }

    /// What reading took till now.
    #[must_use]
    pub fn counts(&self) -> ReadCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ReadCounts { calls: of(&self.calls), pages: of(&self.pages), rejected: of(&self.rejected) }
    }

    /// How the cache fares.
    #[must_use]
    pub fn health(&self) -> Health {
        self.cache.health()
    }

    fn page(&self, number: u64) -> Option<Arc<[u8]>> {
        if let Some(page) = self.cache.get(&number) {
            return Some(page);
        }
        let mut bytes = [0; PAGE_SIZE];
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.direct.read(from_number(number), &mut bytes).ok()?;
        Some(self.keep(number, &bytes))
    }

    fn keep(&self, number: u64, bytes: &[u8]) -> Arc<[u8]> {
        let page: Arc<[u8]> = bytes.into();
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.cache.insert(number, Arc::clone(&page));
        page
    }

    /// Reads pages that follow each other nowhere in particular; those that are not there are left out.
    fn fetch(&self, numbers: &[u64], room: &mut [u8]) {
        let Some(into) = room.get_mut(..numbers.len() * PAGE_SIZE) else { return };
        let stretches: Vec<RemoteIoVec> = numbers
            .iter()
            .map(|&number| RemoteIoVec { base: from_number(number).0 as usize, len: PAGE_SIZE })
            .collect();
        self.calls.fetch_add(1, Ordering::Relaxed);
        // It ends at the first page that is not there; the rest is had one by one, when it is asked for.
        let read =
            process_vm_readv(Pid::from_raw(self.pid.cast_signed()), &mut [IoSliceMut::new(into)], &stretches);
        let whole = read.unwrap_or(0) / PAGE_SIZE;
        for (&number, bytes) in numbers.iter().zip(into.chunks_exact(PAGE_SIZE)).take(whole) {
            self.keep(number, bytes);
        }
    }
}

impl Memory for LiveMemory {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        let mut from = at;
        let mut rest = into;
        while !rest.is_empty() {
            let within = from.0 as usize % PAGE_SIZE;
            let length = (PAGE_SIZE - within).min(rest.len());
            let Some((part, after)) = rest.split_at_mut_checked(length) else { break };
            let page = self.page(from.0 / PAGE_SIZE as u64);
            let Some(bytes) = page.as_deref().and_then(|page| page.get(within..)?.get(..length)) else {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return Err(Unreadable { at });
            };
            part.copy_from_slice(bytes);
            from = from.plus(length as u64);
            rest = after;
        }
        Ok(())
    }

    fn regions(&self) -> &[Range<Addr>] {
        self.direct.regions()
    }

    fn written_regions(&self) -> Vec<Range<Addr>> {
        self.written.clone()
    }

    fn prefetch(&self, wanted: &mut dyn Iterator<Item = Range<Addr>>) {
        if !self.one_call {
            // One call a page is what reading does anyway.
            return;
        }
        let mut missing = BTreeSet::new();
        let mut room = Vec::new();
        let mut fetch = |missing: &mut BTreeSet<u64>| {
            room.resize(PAGES_A_CALL * PAGE_SIZE, 0);
            let numbers: Vec<u64> = std::mem::take(missing).into_iter().collect();
            self.fetch(&numbers, &mut room);
        };
        for range in wanted {
            let last = range.end.0.saturating_sub(1).max(range.start.0) / PAGE_SIZE as u64;
            let first = range.start.0 / PAGE_SIZE as u64;
            // A range that says it is huge is no reason to read all of it.
            for number in (first..=last).take(PAGES_A_CALL) {
                if self.cache.get(&number).is_none() {
                    missing.insert(number);
                }
                if missing.len() == PAGES_A_CALL {
                    fetch(&mut missing);
                }
            }
        }
        if !missing.is_empty() {
            fetch(&mut missing);
        }
    }
}

/// Whether a process has no memory of its own that another has too. What a fork left both of is written to, so that it is dirty:
/// `Shared_Dirty` of proc_pid_smaps(5).
fn shares_nothing(pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { return false };
    let value = text.lines().find_map(|line| line.strip_prefix("Shared_Dirty:"));
    value.is_some_and(|value| value.trim() == "0 kB")
}

fn from_number(page: u64) -> Addr {
    Addr(page.wrapping_mul(PAGE_SIZE as u64))
}
