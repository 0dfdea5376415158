//! Detects new processes at the lowest cost.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};

use super::parse;

/// `/proc` is listed again after this time even if no pid was given out.
const MAX_LISTING_AGE: Duration = Duration::from_secs(30);

/// Finds the processes that are new since the last listing.
///
/// Two facts make this cheap. `/proc/loadavg` ends with the last pid that the kernel gave out (proc_loadavg(5)): if it has not
/// changed, no process was created. And a directory entry of `/proc` has an inode number that is new for every process
/// (fs/proc/base.c, `proc_fill_cache`), which reveals a reused pid without opening a file.
#[derive(Debug)]
pub struct ProcessListing {
    proc: OwnedFd,
    loadavg: OwnedFd,
    last_pid: Option<u64>,
    listed: Option<Instant>,
    /// Inode by pid.
    known: HashMap<u32, u64>,
    buffer: Vec<MaybeUninit<u8>>,
}

impl ProcessListing {
    /// Opens `/proc`.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags | OFlags::DIRECTORY, Mode::empty())?;
        let loadavg = rustix::fs::openat(&proc, "loadavg", flags, Mode::empty())?;
        let buffer = vec![MaybeUninit::uninit(); 32 << 10];
        Ok(Self { proc, loadavg, last_pid: None, listed: None, known: HashMap::new(), buffer })
    }

    /// `/proc` itself.
    pub fn proc(&self) -> &OwnedFd {
        &self.proc
    }

    /// Adds the pids of processes that were not in the last listing to `new`.
    ///
    /// # Errors
    /// `/proc` cannot be listed.
    pub fn new_processes(&mut self, new: &mut Vec<u32>) -> io::Result<()> {
        let last_pid = self.read_last_pid();
        let now = Instant::now();
        let stale = self.listed.is_none_or(|at| now.duration_since(at) >= MAX_LISTING_AGE);
        if !stale && last_pid.is_some() && last_pid == self.last_pid {
            return Ok(());
        }
        (self.last_pid, self.listed) = (last_pid, Some(now));
        rustix::fs::seek(&self.proc, SeekFrom::Start(0))?;
        let mut listed = HashMap::with_capacity(self.known.len());
        let mut entries = RawDir::new(&self.proc, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(pid) = parse::decimal(entry.file_name().to_bytes()).and_then(|n| u32::try_from(n).ok())
            else {
                continue;
            };
            listed.insert(pid, entry.ino());
            if self.known.get(&pid) != Some(&entry.ino()) {
                new.push(pid);
            }
        }
        self.known = listed;
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
