//! New processes, found at the least cost.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};

use super::parse;

/// The listing is made anew after this time even if nothing seems to have happened.
const MAX_LISTING_AGE: Duration = Duration::from_secs(30);

/// Tells which processes are new since the last look.
///
/// Two tricks make this cheap. `/proc/loadavg` ends in the pid that the kernel gave out last (proc_loadavg(5)): if it has not moved,
/// nothing was created. And the listing of `/proc` bears an inode number with every process, which the kernel makes anew for
/// every process (fs/proc/base.c, `proc_fill_cache`): a process that got the number of a dead one shows by that, without
/// opening one file of those known already.
#[derive(Debug)]
pub struct ProcessListing {
    proc: OwnedFd,
    loadavg: OwnedFd,
    last_pid: Option<u64>,
    listed: Option<Instant>,
    round: u64,
    known: HashMap<u32, ListedProcess>,
    buffer: Vec<MaybeUninit<u8>>,
}

#[derive(Debug)]
struct ListedProcess {
    inode: u64,
    round: u64,
}

impl ProcessListing {
    /// Opens `/proc`.
    ///
    /// # Errors
    /// If there is none.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags | OFlags::DIRECTORY, Mode::empty())?;
        let loadavg = rustix::fs::openat(&proc, "loadavg", flags, Mode::empty())?;
        Ok(Self {
            proc,
            loadavg,
            last_pid: None,
            listed: None,
            round: 0,
            known: HashMap::new(),
            buffer: vec![MaybeUninit::uninit(); 32 << 10],
        })
    }

    /// `/proc` itself.
    pub fn proc(&self) -> &OwnedFd {
        &self.proc
    }

    /// Puts the pids of processes that were not there the time before into `new`.
    ///
    /// # Errors
    /// If `/proc` cannot be listed.
    pub fn new_processes(&mut self, new: &mut Vec<u32>) -> io::Result<()> {
        let last_pid = self.read_last_pid();
        let now = Instant::now();
        let stale = self.listed.is_none_or(|at| now.duration_since(at) >= MAX_LISTING_AGE);
        if !stale && last_pid.is_some() && last_pid == self.last_pid {
            return Ok(());
        }
        self.last_pid = last_pid;
        self.listed = Some(now);
        self.round += 1;
        rustix::fs::seek(&self.proc, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&self.proc, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(pid) = parse::decimal(entry.file_name().to_bytes()).and_then(|n| u32::try_from(n).ok())
            else {
                continue;
            };
            let seen = ListedProcess { inode: entry.ino(), round: self.round };
            let before = self.known.insert(pid, seen);
            if before.is_none_or(|before| before.inode != entry.ino()) {
                new.push(pid);
            }
        }
        self.known.retain(|_, known| known.round == self.round);
        Ok(())
    }

    fn read_last_pid(&self) -> Option<u64> {
        let mut buffer = [0_u8; 128];
        let n = rustix::io::pread(&self.loadavg, &mut buffer, 0).ok()?;
        parse::decimal(buffer.get(..n)?.trim_ascii_end().rsplit(|&b| b == b' ').next()?)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn new(listing: &mut ProcessListing) -> Vec<u32> {
        let mut new = Vec::new();
        listing.new_processes(&mut new).unwrap();
        new
    }

    #[test]
    fn later_listings_show_only_new() {
        let mut listing = ProcessListing::open().unwrap();
        assert!(new(&mut listing).contains(&std::process::id()));
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        assert!(new(&mut listing).contains(&child.id()));
        assert!(!new(&mut listing).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn last_pid_moves_with_new_process() {
        let listing = ProcessListing::open().unwrap();
        let before = listing.read_last_pid().unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        assert_ne!(listing.read_last_pid().unwrap(), before);
        child.wait().unwrap();
    }
}
