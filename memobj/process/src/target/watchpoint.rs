//! Hardware watchpoints: who writes to a word of a running process.
//!
//! The kernel samples the registers and the stack of the writing thread at the moment of the write (perf_event_open(2), `PERF_TYPE_BREAKPOINT`).
//! The process is not stopped, gets no signal, and nothing is written to it. The kernel takes a watchpoint away when its descriptor is closed,
//! so our own end by SIGKILL leaves nothing behind. The number of hits is bounded when the watchpoint is armed, and the kernel counts them:
//! the cost for the process stays bounded even if we are stopped.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use perf_event_open::config::{Cpu, Opts, Proc, RegsMask, SampleOn, Size, WakeUpOn};
use perf_event_open::count::Counter;
use perf_event_open::event::bp::{Breakpoint, Len, Type};
use perf_event_open::sample::Sampler;
use perf_event_open::sample::record::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Target;
use super::access_errors::{Capability, as_root, named, own_status};
use super::processor::KEPT_REGISTERS;
use super::procfs::{self, Status};
use crate::addr::Addr;
use crate::error::{Error, Stage};
use crate::info::ProcessSource as _;

/// Watchpoints that a thread can have at once, those of debuggers included: the debug registers of x86-64. An Arm has four in most cases, some
/// have fewer or more.
pub const MAX_WATCHPOINTS: usize = 4;

/// The capabilities that permit perf events: either suffices. Kernels before 5.8 have the latter only.
const PERFMON: Capability = Capability(38, "PERFMON");
const SYS_ADMIN: Capability = Capability(21, "SYS_ADMIN");

/// Bytes of the stack in a sample, from the stack pointer up.
const STACK_BYTES: u32 = 4096;
/// The buffer of one thread: room for some 15 samples.
const BUFFER_BYTES: usize = 64 << 10;
/// Threads that are watched at most. Each costs a descriptor and a buffer.
const MAX_THREADS: usize = 128;

/// A write to the watched word: the thread's registers and stack right after it, on Arm right before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteHit {
    /// The thread, by its number in our namespace.
    pub thread: u32,
    /// The registers that belong to the callers of the writing function.
    pub registers: Vec<u64>,
    /// The words of the stack, the top first.
    pub stack: Vec<u64>,
}

/// A watchpoint on one word, in all threads of a process.
pub struct Watchpoint {
    pid: u32,
    word: Addr,
    max_hits: u32,
    threads: Vec<WatchedThread>,
    known: BTreeSet<u32>,
}

struct WatchedThread {
    thread: u32,
    counter: Counter,
    sampler: Sampler,
    /// Whether the kernel disarmed it: the thread has ended, or made as many hits as were asked for.
    is_spent: bool,
    /// Hits that were asked for so far, and those that were made at the last renewal.
    allowed: u64,
    hits: u64,
}

/// What a watchpoint did until its renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Renewal {
    /// The writes since the renewal before, also those whose samples the buffer had no room for.
    pub hits: u64,
    /// Whether a thread made as many as were allowed, so that it was not watched any more.
    pub was_disarmed: bool,
}

impl Watchpoint {
    /// Watches writes to the eight bytes at `word`: `max_hits` of each thread at most.
    ///
    /// # Errors
    /// If the kernel refuses, with what to do about it.
    pub fn arm(target: &Target, word: Addr, max_hits: u32) -> Result<Self, Error> {
        let mut watchpoint =
            Self { pid: target.info().id.pid, word, max_hits, threads: Vec::new(), known: BTreeSet::new() };
        watchpoint.watch_new_threads(&target.info().name)?;
        Ok(watchpoint)
    }

    /// Watches threads that were started since.
    ///
    /// # Errors
    /// If the kernel refuses, with what to do about it.
    pub fn watch_new_threads(&mut self, name: &str) -> Result<(), Error> {
        // A process without threads has exited: nothing more comes from it.
        for thread in procfs::tids(self.pid).unwrap_or_default() {
            if self.known.len() >= MAX_THREADS || !self.known.insert(thread) {
                continue;
            }
            match watch_thread(thread, self.word, self.max_hits) {
                Ok(watched) => self.threads.push(watched),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
                Err(error) => return Err(refused(self.pid, name, &error)),
            }
        }
        Ok(())
    }

    /// Allows each thread as many hits as at the beginning again, and forgets the threads that have ended.
    pub fn renew(&mut self) -> Renewal {
        let mut renewal = Renewal::default();
        for thread in &mut self.threads {
            let Ok(hits) = thread.counter.stat().map(|stat| stat.count) else { continue };
            renewal.hits = renewal.hits.saturating_add(hits.saturating_sub(thread.hits));
            thread.hits = hits;
            let left = thread.allowed.saturating_sub(hits);
            if left == 0 {
                renewal.was_disarmed = true;
                thread.is_spent = false;
            }
            let more = u64::from(self.max_hits).saturating_sub(left);
            let arms = u32::try_from(more).is_ok_and(|more| thread.sampler.enable_counter_with(more).is_ok());
            if arms {
                thread.allowed = thread.allowed.saturating_add(more);
            }
        }
        let known = &mut self.known;
        self.threads.retain(|thread| !(thread.is_spent && known.remove(&thread.thread)));
        renewal
    }

    /// The next write that was sampled; `None` if there is none at the moment. Does not wait.
    pub fn next_hit(&mut self) -> Option<WriteHit> {
        self.threads.iter().find_map(|thread| {
            thread.sampler.iter()?.find_map(|(_, record)| {
                let Record::Sample(sample) = record else { return None };
                let words = |bytes: Vec<u8>| {
                    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
                };
                Some(WriteHit {
                    thread: thread.thread,
                    registers: sample.user_regs.map(|(registers, _)| registers).unwrap_or_default(),
                    stack: sample.user_stack.map(words).unwrap_or_default(),
                })
            })
        })
    }

    /// Whether no more hits can come.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.threads.iter().all(|thread| thread.is_spent)
    }
}

/// Waits until one of the watchpoints may have a hit, at most for `limit`.
///
/// # Errors
/// If the kernel cannot wait.
pub fn wait_for_hits(watchpoints: &mut [&mut Watchpoint], limit: Duration) -> io::Result<()> {
    let mut threads: Vec<&mut WatchedThread> = watchpoints
        .iter_mut()
        .flat_map(|watchpoint| &mut watchpoint.threads)
        .filter(|thread| !thread.is_spent)
        .collect();
    let mut files: Vec<PollFd<'_>> =
        threads.iter().map(|thread| PollFd::new(thread.counter.file(), PollFlags::IN)).collect();
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut files, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    // The kernel hangs up when the thread ends or the last hit was made; samples may be left in the buffer.
    let hung_up: Vec<bool> = files.iter().map(|file| file.revents().contains(PollFlags::HUP)).collect();
    for (thread, hung_up) in threads.iter_mut().zip(hung_up) {
        thread.is_spent = hung_up;
    }
    Ok(())
}

fn watch_thread(thread: u32, word: Addr, max_hits: u32) -> io::Result<WatchedThread> {
    let mut options = Opts::default();
    (options.exclude.kernel, options.exclude.hv) = (true, true);
    options.sample_on = SampleOn::Count(1);
    options.wake_up.on = WakeUpOn::Samples(1);
    options.sample_format.user_regs = Some(RegsMask(KEPT_REGISTERS));
    options.sample_format.user_stack = Some(Size(STACK_BYTES));
    let event = Breakpoint { ty: Type::W(Len::_8), addr: word.0 };
    let counter = Counter::new(event, (Proc(thread), Cpu::ALL), options)?;
    let pages = (BUFFER_BYTES / rustix::param::page_size()).max(1);
    let sampler = counter.sampler(u8::try_from(pages.ilog2()).unwrap_or(0))?;
    sampler.enable_counter_with(max_hits)?;
    Ok(WatchedThread { thread, counter, sampler, is_spent: false, allowed: max_hits.into(), hits: 0 })
}

/// Explains why the kernel refuses a watchpoint: perf_event_open(2), "Errors".
fn refused(pid: u32, name: &str, error: &io::Error) -> Error {
    let (reason, hint) = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => {
            let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
            not_permitted(&own_status(), paranoid.trim().parse().ok())
        }
        Some(Errno::NOSPC) => {
            ("all debug registers are in use".to_owned(), "detach the debugger that uses them".to_owned())
        }
        Some(Errno::NOSYS | Errno::NODEV | Errno::NOENT | Errno::OPNOTSUPP) => (
            "this kernel or machine has no hardware watchpoints".to_owned(),
            "run it where perf events are enabled".to_owned(),
        ),
        _ => (error.to_string(), PERFMON.remedy(&own_status())),
    };
    Error::new(Stage::WATCH, format!("{}: writes cannot be watched: {reason}", named(pid, name)), hint)
}

/// The reason and the remedy of a process with this status, where `kernel.perf_event_paranoid` is `paranoid`.
fn not_permitted(own: &Status, paranoid: Option<i32>) -> (String, String) {
    let may_watch = [PERFMON, SYS_ADMIN].iter().any(|right| right.is_in(own.capabilities));
    let root_may = [PERFMON, SYS_ADMIN].iter().any(|right| right.root_may_have(own));
    match paranoid {
        _ if own.is_filtered => (
            "perf_event_open is not permitted, probably by a seccomp filter of this container".to_owned(),
            PERFMON.of_container(),
        ),
        _ if may_watch => (
            "perf_event_open is not permitted, although we have the capability here".to_owned(),
            "a security module may forbid it: run memobj as root of the machine".to_owned(),
        ),
        _ if !root_may => ("perf_event_open is not permitted".to_owned(), PERFMON.of_container()),
        Some(level @ 3..) => (
            format!("kernel.perf_event_paranoid is {level}"),
            format!("{}, or set it to 2 (`sysctl kernel.perf_event_paranoid=2`)", as_root()),
        ),
        _ => ("perf_event_open is not permitted".to_owned(), as_root().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_a_remedy() {
        for errno in [Errno::ACCESS, Errno::NOSPC, Errno::NOSYS, Errno::MFILE] {
            let error = refused(7, "bot", &errno.into());
            assert!(error.message.starts_with("pid 7 (bot): writes cannot be watched: "), "{error}");
            assert!(!error.hint.is_empty(), "{error}");
        }
    }

    #[test]
    fn remedy_is_that_of_this_machine() {
        let user = Status { capabilities: Some(0), bounding: Some(u64::MAX), ..Status::default() };
        let text = |own: &Status, paranoid| {
            let (reason, hint) = not_permitted(own, Some(paranoid));
            format!("{reason}: {hint}")
        };
        assert!(text(&user, 3).contains("paranoid is 3: run it as root"), "{}", text(&user, 3));
        assert!(text(&user, 2).contains("run it as root (`sudo "), "{}", text(&user, 2));
        let in_container = Status { bounding: Some(0), ..user.clone() };
        assert!(text(&in_container, 3).contains("--cap-add PERFMON"), "{}", text(&in_container, 3));
        let filtered = Status { is_filtered: true, capabilities: Some(u64::MAX), ..user.clone() };
        assert!(text(&filtered, 2).contains("seccomp"), "{}", text(&filtered, 2));
        // Kernels before 5.8 have no CAP_PERFMON.
        let before = Status { capabilities: Some(1 << SYS_ADMIN.0), ..user };
        assert!(text(&before, 2).contains("security module"), "{}", text(&before, 2));
    }
}
