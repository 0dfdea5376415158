//! Linux: `/proc` with kept descriptors.

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
use common::record::{Cgroup, Pressure, System};
use rustix::fs::{Mode, OFlags};

use self::cgroup::Cgroups;
pub use self::connector::Connector;
use self::listing::ProcessListing;
use self::parse::{Stat, Status};
use super::{
    KernelEvent, ProcessDetails, ProcessEntry, ProcessSizes, ProcessSource, ProportionalSizes, ReadError,
};

/// The longest command line that is read: what execve(2) allows by default, and more than anyone reads.
const MAX_CMDLINE_BYTES: usize = 4 << 20;

/// Descriptors left for everything that is not a kept file.
const SPARE_DESCRIPTORS: u64 = 64;

/// Processes as `/proc` shows them.
#[derive(Debug)]
pub struct LinuxSource {
    listing: ProcessListing,
    connector: Option<Connector>,
    /// `statm` of the processes that are followed, kept open: reading it again costs a sixth of opening it, and such a
    /// descriptor belongs to the process and not to the number. After its end reads fail, whoever has the number then.
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
    /// Opens `/proc`, listens to `connector` if there is one, and takes as many descriptors as this process may have.
    ///
    /// Call it after starting a command, which would inherit the raised limit.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn open(connector: Option<Connector>) -> io::Result<Self> {
        let listing = ProcessListing::open()?;
        let meminfo = open_at(listing.proc(), "meminfo")?;
        let pressure = open_at(listing.proc(), "pressure/memory").ok();
        #[expect(clippy::cast_precision_loss, reason = "100 on Linux")]
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
            cgroups: Cgroups::new(),
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
        Stat::parse(text)
            .ok_or_else(|| ReadError::Failed(io::Error::other(format!("/proc/{pid}/stat is incomplete"))))
    }

    fn count_fds(&self, pid: u32) -> Option<u64> {
        // Since Linux 6.2 the size of the folder is the number of descriptors (fs/proc/fd.c, `proc_fd_getattr`).
        let stat = rustix::fs::statat(self.listing.proc(), format!("{pid}/fd"), rustix::fs::AtFlags::empty())
            .ok()?;
        if stat.st_size > 0 {
            return u64::try_from(stat.st_size).ok();
        }
        let listed = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        u64::try_from(listed.count()).ok()
    }

    /// The command line; the one known already if it has not changed, so that it is kept once.
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
        let cmdline: Arc<[String]> = if text.is_empty() {
            Arc::new([])
        } else {
            text.split(|&b| b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
        };
        self.cmdlines.insert(id, (hash, Arc::clone(&cmdline)));
        Some(cmdline)
    }

    /// Makes sure that what was just read by number was of this very process.
    fn check_identity(stat: &Stat<'_>, id: ProcessId) -> Result<(), ReadError> {
        if stat.start_ticks != id.start {
            return Err(ReadError::Exited { wait_status: None });
        }
        if stat.state.has_ended() {
            return Err(ReadError::Exited { wait_status: Some(stat.exit_code) });
        }
        Ok(())
    }
}

impl ProcessSource for LinuxSource {
    fn new_processes(&mut self) -> io::Result<Vec<ProcessEntry>> {
        let mut new = std::mem::take(&mut self.new);
        new.clear();
        self.listing.new_processes(&mut new)?;
        // One that is gone before it could be read is no loss; one that may not be read is not ours to follow.
        let found = new.iter().filter_map(|&pid| self.find(pid).ok()).collect();
        self.new = new;
        Ok(found)
    }

    fn find(&mut self, pid: u32) -> Result<ProcessEntry, ReadError> {
        let stat = self.stat(pid)?;
        if stat.state.has_ended() {
            return Err(ReadError::Exited { wait_status: Some(stat.exit_code) });
        }
        Ok(found(pid, &stat))
    }

    fn sizes(&mut self, id: ProcessId) -> Result<ProcessSizes, ReadError> {
        let mut text = [0_u8; 128];
        let n = if let Some(file) = self.open_files.get(&id) {
            rustix::io::pread(file, &mut text, 0).map_err(io::Error::from)?
        } else {
            let file = open_at(self.listing.proc(), &format!("{}/statm", id.pid))?;
            let n = rustix::io::pread(&file, &mut text, 0).map_err(io::Error::from)?;
            // Opened by number: it may be another's by now.
            Self::check_identity(&self.stat(id.pid)?, id)?;
            if self.open_files.len() < self.max_open_files {
                self.open_files.insert(id, file);
            }
            n
        };
        let (mapped, resident) = text.get(..n).and_then(parse::statm).ok_or_else(|| {
            ReadError::Failed(io::Error::other(format!("/proc/{}/statm is incomplete", id.pid)))
        })?;
        if mapped == 0 {
            // No memory at all: a zombie, a kernel thread, or one that is about to be a zombie: memory goes before the state
            // does (kernel/exit.c, do_exit).
            let stat = self.stat(id.pid)?;
            Self::check_identity(&stat, id)?;
            if !stat.is_kernel_thread {
                return Err(ReadError::Exiting);
            }
        }
        let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
        Ok(ProcessSizes { rss_bytes: bytes(resident), vms_bytes: bytes(mapped) })
    }

    fn details(&mut self, id: ProcessId) -> Result<ProcessDetails, ReadError> {
        let ticks_per_second = self.ticks_per_second;
        #[expect(clippy::cast_precision_loss, reason = "clock ticks of centuries are below 2^53")]
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second;
        let stat = self.stat(id.pid)?;
        Self::check_identity(&stat, id)?;
        let found = found(id.pid, &stat);
        let comm = String::from_utf8_lossy(stat.comm).into_owned();
        let cpu_time = Duration::try_from_secs_f64(seconds(stat.cpu_ticks)).ok();
        let (state, threads, image) = (stat.state, stat.threads, stat.image);
        let status = self.read(id.pid, "status").map(Status::parse).unwrap_or_default();
        let cmdline = self.cmdline(id);
        Ok(ProcessDetails {
            found,
            name: comm.into(),
            cmdline,
            start_unix_seconds: Some(self.boot_unix_seconds + seconds(id.start)),
            state,
            cpu_time,
            threads: Some(threads),
            fds: self.count_fds(id.pid),
            swap_bytes: status.swap_bytes,
            rss_peak_bytes: status.rss_peak_bytes,
            rss_anon_bytes: status.rss_anon_bytes,
            rss_file_bytes: status.rss_file_bytes,
            rss_shmem_bytes: status.rss_shmem_bytes,
            image,
        })
    }

    fn proportional(&mut self, id: ProcessId) -> Option<Result<ProportionalSizes, ReadError>> {
        let read = self.read(id.pid, "smaps_rollup").map(|text| {
            let (mut pss, mut uss) = (None, 0_u64);
            for (key, bytes) in parse::kib_fields(text) {
                match key {
                    b"Pss" => pss = Some(bytes),
                    b"Private_Clean" | b"Private_Dirty" | b"Private_Hugetlb" => {
                        uss = uss.saturating_add(bytes)
                    }
                    _ => {}
                }
            }
            pss.map(|pss_bytes| ProportionalSizes { pss_bytes, uss_bytes: uss })
        });
        Some(match read {
            Ok(Some(sizes)) => match self.stat(id.pid) {
                Ok(stat) => Self::check_identity(&stat, id).map(|()| sizes),
                Err(error) => Err(error),
            },
            Ok(None) => Err(ReadError::Exited { wait_status: None }),
            Err(error) => Err(error.into()),
        })
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
        let (mut total, mut available) = (None, None);
        for (key, bytes) in parse::kib_fields(text.get(..n)?) {
            match key {
                b"MemTotal" => total = Some(bytes),
                b"MemAvailable" => available = Some(bytes),
                _ => {}
            }
        }
        Some(System { total_bytes: total?, available_bytes: available })
    }

    fn pressure(&mut self) -> Option<Pressure> {
        let mut text = [0_u8; 512];
        let n = rustix::io::pread(self.pressure.as_ref()?, &mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..n)?).ok()?;
        let some = parse::pressure_line(text, "some")?;
        let full = parse::pressure_line(text, "full")?;
        Some(Pressure {
            some_avg10_ratio: some[0],
            some_avg60_ratio: some[1],
            some_avg300_ratio: some[2],
            some_total_seconds: some[3],
            full_avg10_ratio: full[0],
            full_avg60_ratio: full[1],
            full_avg300_ratio: full[2],
            full_total_seconds: full[3],
        })
    }

    fn cgroup(&mut self, id: ProcessId) -> Option<Cgroup> {
        self.cgroups.read(id)
    }
}

fn found(pid: u32, stat: &Stat<'_>) -> ProcessEntry {
    ProcessEntry {
        id: ProcessId { pid, start: stat.start_ticks },
        ppid: stat.ppid,
        group: stat.group,
        session: stat.session,
    }
}

fn open_at(folder: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads from the start to the end, at most `most` bytes, into the emptied buffer.
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

/// When the machine booted, on the clock that `starttime` counts on.
fn boot_unix_seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds are below 2^53, and so are seconds")]
    let seconds = |id| {
        let time = clock_gettime(id);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

/// Raises our own limit of open files to what is permitted, within reason; how many files may be kept.
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
