//! Linux: `/proc` with descriptors that stay open.

mod cgroup;
mod connector;
mod listing;
mod parse;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use common::process::ProcessId;
use common::record::{Cgroup, Pressure, ProcessSample, System};
use rustix::fs::{Mode, OFlags};

use self::cgroup::Cgroups;
pub use self::connector::Connector;
use self::listing::ProcessListing;
use self::parse::Stat;
use super::{
    KernelEvent, ProcessCounts, ProcessDetails, ProcessEntry, ProcessSizes, ProcessSource, ProportionalSizes,
    ReadError,
};

/// The longest command line that is read: the default limit of execve(2).
const MAX_CMDLINE_BYTES: usize = 4 << 20;

/// Descriptors reserved for other files.
const SPARE_DESCRIPTORS: u64 = 64;

/// Processes as `/proc` shows them.
#[derive(Debug)]
pub struct LinuxSource {
    listing: ProcessListing,
    connector: Option<Connector>,
    /// `statm` of each watched process. Reading an open file costs a sixth of opening it, and its descriptor belongs to the
    /// process, not to the pid: after an exit reads fail, even if the pid is in use again.
    open_files: HashMap<ProcessId, OwnedFd>,
    max_open_files: usize,
    new: Vec<u32>,
    buffer: Vec<u8>,
    cmdlines: HashMap<ProcessId, (u64, Arc<[String]>)>,
    meminfo: OwnedFd,
    pressure: Option<OwnedFd>,
    cgroups: Cgroups,
    page_bytes: u64,
    ticks_per_second: f64,
    boot_unix_seconds: f64,
}

impl LinuxSource {
    /// Opens `/proc` and raises this process's limit of open files.
    ///
    /// Call it after launching a command, which would inherit the raised limit.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn open(connector: Option<Connector>) -> io::Result<Self> {
        let listing = ProcessListing::open()?;
        let meminfo = open_at(listing.proc(), "meminfo")?;
        let pressure = open_at(listing.proc(), "pressure/memory").ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            listing,
            connector,
            open_files: HashMap::new(),
            max_open_files: raise_descriptor_limit(),
            new: Vec::new(),
            buffer: Vec::with_capacity(8 << 10),
            cmdlines: HashMap::new(),
            meminfo,
            pressure,
            cgroups: Cgroups::default(),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            ticks_per_second,
            boot_unix_seconds: boot_unix_seconds(),
        })
    }

    /// Reads `/proc/PID/what` into the buffer.
    fn read(&mut self, pid: u32, what: &str) -> io::Result<&[u8]> {
        let file = open_at(self.listing.proc(), &format!("{pid}/{what}"))?;
        read_all(&file, &mut self.buffer, MAX_CMDLINE_BYTES)?;
        Ok(&self.buffer)
    }

    /// Reads `/proc/PID/stat`.
    fn stat(&mut self, pid: u32) -> Result<Stat<'_>, ReadError> {
        let text = self.read(pid, "stat")?;
        Stat::parse(text).ok_or_else(|| incomplete(pid, "stat"))
    }

    fn count_fds(&self, pid: u32) -> Option<u64> {
        // Since Linux 6.2 the size of the directory is the number of descriptors (fs/proc/fd.c, `proc_fd_getattr`).
        let folder = format!("/proc/{pid}/fd");
        match std::fs::metadata(&folder).ok()?.len() {
            0 => u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok(),
            size => Some(size),
        }
    }

    /// The command line; an unchanged one is shared with the reading before.
    fn cmdline(&mut self, id: ProcessId) -> Option<Arc<[String]>> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let text = self.read(id.pid, "cmdline").ok()?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((known, cmdline)) = self.cmdlines.get(&id)
            && *known == hash
        {
            return Some(Arc::clone(cmdline));
        }
        let text = self.buffer.strip_suffix(b"\0").unwrap_or(&self.buffer);
        let arguments = text.split(|&b| b == 0).filter(|_| !text.is_empty());
        let cmdline: Arc<[String]> = arguments.map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        self.cmdlines.insert(id, (hash, Arc::clone(&cmdline)));
        Some(cmdline)
    }

    fn read_smaps_rollup(&mut self, id: ProcessId) -> Result<ProportionalSizes, ReadError> {
        let (mut pss, mut uss_bytes) = (None, 0_u64);
        for (key, bytes) in parse::kib_fields(self.read(id.pid, "smaps_rollup")?) {
            if key == b"Pss" {
                pss = Some(bytes);
            } else if [&b"Private_Clean"[..], b"Private_Dirty", b"Private_Hugetlb"].contains(&key) {
                uss_bytes = uss_bytes.saturating_add(bytes);
            }
        }
        let pss_bytes = pss.ok_or(ReadError::Exited { wait_status: None })?;
        Self::check_identity(&self.stat(id.pid)?, id)?;
        Ok(ProportionalSizes { pss_bytes, uss_bytes })
    }

    /// Checks that a text that was read by pid belongs to this process.
    fn check_identity(stat: &Stat<'_>, id: ProcessId) -> Result<(), ReadError> {
        let reused = stat.start_ticks != id.start;
        if reused || stat.has_exited() {
            return Err(ReadError::Exited { wait_status: (!reused).then_some(stat.exit_code) });
        }
        Ok(())
    }
}

/// The mapped and resident pages of a process, by the first of its threads that still has memory.
fn thread_sizes(pid: u32) -> Option<(u64, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    threads.flatten().find_map(|thread| {
        let text = std::fs::read(thread.path().join("statm")).ok()?;
        parse::statm(&text).filter(|&(mapped, _)| mapped > 0)
    })
}

impl ProcessSource for LinuxSource {
    fn new_processes(&mut self) -> io::Result<Vec<ProcessEntry>> {
        let mut new = std::mem::take(&mut self.new);
        new.clear();
        self.listing.new_processes(&mut new)?;
        // Processes that exited meanwhile or are not readable are skipped.
        let found = new.iter().filter_map(|&pid| self.find(pid).ok()).collect();
        self.new = new;
        Ok(found)
    }

    fn find(&mut self, pid: u32) -> Result<ProcessEntry, ReadError> {
        let stat = self.stat(pid)?;
        if stat.has_exited() {
            return Err(ReadError::Exited { wait_status: Some(stat.exit_code) });
        }
        Ok(entry(pid, &stat))
    }

    fn sizes(&mut self, id: ProcessId) -> Result<ProcessSizes, ReadError> {
        let mut text = [0_u8; 128];
        let n = if let Some(file) = self.open_files.get(&id) {
            rustix::io::pread(file, &mut text, 0).map_err(io::Error::from)?
        } else {
            let file = open_at(self.listing.proc(), &format!("{}/statm", id.pid))?;
            let n = rustix::io::pread(&file, &mut text, 0).map_err(io::Error::from)?;
            // Opened by pid, which may be in use again.
            Self::check_identity(&self.stat(id.pid)?, id)?;
            if self.open_files.len() < self.max_open_files {
                self.open_files.insert(id, file);
            }
            n
        };
        let sizes = text.get(..n).and_then(parse::statm);
        let (mut mapped, mut resident) = sizes.ok_or_else(|| incomplete(id.pid, "statm"))?;
        if mapped == 0 {
            // No memory: a zombie, a kernel thread, or a process about to become a zombie, since memory is released before the
            // state changes (kernel/exit.c, do_exit).
            let stat = self.stat(id.pid)?;
            Self::check_identity(&stat, id)?;
            if !stat.is_kernel_thread {
                // The kernel shows the memory by the main thread, which may have exited before the others.
                let others = if stat.state.has_ended() { thread_sizes(id.pid) } else { None };
                (mapped, resident) = others.ok_or(ReadError::Exiting)?;
            }
        }
        let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
        Ok(ProcessSizes { rss_bytes: bytes(resident), vms_bytes: bytes(mapped) })
    }

    fn details(&mut self, id: ProcessId) -> Result<ProcessDetails, ReadError> {
        let (boot_unix_seconds, ticks_per_second) = (self.boot_unix_seconds, self.ticks_per_second);
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second;
        let stat = self.stat(id.pid)?;
        Self::check_identity(&stat, id)?;
        let sample = ProcessSample::unread(id.pid, &String::from_utf8_lossy(stat.comm));
        let mut details = ProcessDetails {
            entry: entry(id.pid, &stat),
            sample: ProcessSample { state: Some(stat.state), threads: Some(stat.threads), ..sample },
            start_unix_seconds: Some(boot_unix_seconds + seconds(id.start)),
            cpu_time: Duration::try_from_secs_f64(seconds(stat.cpu_ticks)).ok(),
            image: stat.image,
        };
        if let Ok(status) = self.read(id.pid, "status") {
            parse::status(status, &mut details.sample);
        }
        details.sample.cmdline = self.cmdline(id);
        details.sample.fds = self.count_fds(id.pid);
        Ok(details)
    }

    fn counts(&mut self, id: ProcessId) -> ProcessCounts {
        match self.stat(id.pid) {
            Ok(stat) if Self::check_identity(&stat, id).is_ok() => {
                let threads = Some(stat.threads);
                ProcessCounts { fds: self.count_fds(id.pid), threads }
            }
            _ => ProcessCounts::default(),
        }
    }

    fn proportional(&mut self, id: ProcessId) -> Option<Result<ProportionalSizes, ReadError>> {
        Some(self.read_smaps_rollup(id))
    }

    fn kernel_events(&mut self) -> Option<Vec<KernelEvent>> {
        self.connector.as_mut().map(Connector::events)
    }

    fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        self.connector.as_ref().map(AsFd::as_fd)
    }

    fn forget(&mut self, id: ProcessId) {
        self.open_files.remove(&id);
        self.cmdlines.remove(&id);
    }

    fn system(&mut self) -> Option<System> {
        let mut text = [0_u8; 4096];
        let n = rustix::io::pread(&self.meminfo, &mut text, 0).ok()?;
        let text = text.get(..n)?;
        let field =
            |name: &[u8]| parse::kib_fields(text).find(|(key, _)| *key == name).map(|(_, bytes)| bytes);
        Some(System { total_bytes: field(b"MemTotal")?, available_bytes: field(b"MemAvailable") })
    }

    fn pressure(&mut self) -> Option<Pressure> {
        let mut text = [0_u8; 512];
        let n = rustix::io::pread(self.pressure.as_ref()?, &mut text, 0).ok()?;
        parse::pressure(text.get(..n)?)
    }

    fn group_pressure(&mut self, id: ProcessId) -> Option<Pressure> {
        self.cgroups.pressure(id)
    }

    fn cgroup(&mut self, id: ProcessId) -> Option<Cgroup> {
        self.cgroups.read(id)
    }
}

fn entry(pid: u32, stat: &Stat<'_>) -> ProcessEntry {
    ProcessEntry {
        id: ProcessId { pid, start: stat.start_ticks },
        ppid: stat.ppid,
        group: stat.group,
        session: stat.session,
    }
}

fn incomplete(pid: u32, file: &str) -> ReadError {
    ReadError::Failed(io::Error::other(format!("/proc/{pid}/{file} is incomplete")))
}

fn open_at(folder: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads a whole file, at most `most` bytes, into the buffer.
fn read_all(file: &OwnedFd, buffer: &mut Vec<u8>, most: usize) -> io::Result<()> {
    buffer.clear();
    while buffer.len() < most {
        buffer.reserve(4 << 10);
        if rustix::io::read(file, rustix::buffer::spare_capacity(buffer))? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// The boot time, on the clock of `starttime`.
fn boot_unix_seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let seconds = |id| {
        let time = clock_gettime(id);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

/// Raises this process's limit of open files as far as permitted, at most to 16,384. Returns how many files may stay open.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(16 << 10);
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < wanted && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).is_ok() {
        current = wanted;
    }
    usize::try_from(current.saturating_sub(SPARE_DESCRIPTORS).min(16 << 10)).unwrap_or(0)
}
