//! Signals as messages. The first Ctrl-C asks for a clean end; the second ends the program by the signal itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Sent};

/// A signal that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub number: i32,
    /// Whether a process sent it, as with kill(2), and not the terminal's driver. The driver sends Ctrl-C to the whole
    /// foreground group, so a command in that group already has it.
    pub sent_by_process: bool,
}

/// Signals that ask for the end: Ctrl-C, kill(1), a closed terminal.
pub const STOP_SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// A queue of delivered signals. Its descriptor is readable while the queue is not empty.
#[derive(Debug)]
pub struct Signals {
    queue: Receiver<Received>,
    wake: UnixStream,
    use_defaults: Arc<AtomicBool>,
}

impl Signals {
    /// Starts to catch `numbers`. A signal that was ignored at the program's start stays ignored (nohup(1)), except SIGCHLD:
    /// while it is ignored, the kernel keeps no status of children.
    ///
    /// The first signal of `ending` has the effect of [`restore_defaults`](Self::restore_defaults), so that a second one ends
    /// a program that is blocked in a write.
    ///
    /// Call it before other threads start: a signal that one of them takes meanwhile may be lost.
    ///
    /// # Errors
    /// The system refuses a handler or a thread.
    pub fn catch(numbers: &[i32], ending: &[i32]) -> io::Result<Self> {
        let ignored = ignored_signals();
        let caught: Vec<i32> =
            numbers.iter().copied().filter(|n| *n == SIGCHLD || !ignored.contains(n)).collect();
        let use_defaults = Arc::new(AtomicBool::new(false));
        // They wait until their handlers have a queue.
        let unmasked = mask(&caught)?;
        for &number in caught.iter().filter(|n| **n != SIGCHLD) {
            // Registered before the queue, so that the default action comes first.
            signal_hook::flag::register_conditional_default(number, Arc::clone(&use_defaults))?;
        }
        let mut signals = SignalsInfo::<WithOrigin>::new(&caught)?;
        unmasked.thread_set_mask()?;
        let (wake, mut waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let (sender, queue) = mpsc::channel();
        let (ending, over) = (ending.to_vec(), Arc::clone(&use_defaults));
        std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(move || {
            for origin in signals.forever() {
                if ending.contains(&origin.signal) {
                    over.store(true, Ordering::SeqCst);
                }
                let sent_by_process =
                    matches!(origin.cause, Cause::Sent(Sent::User | Sent::TKill | Sent::Queue));
                if sender.send(Received { number: origin.signal, sent_by_process }).is_err() {
                    return;
                }
                // A full socket wakes, too.
                let _ = io::Write::write(&mut waker, &[0]);
            }
        })?;
        Ok(Self { queue, wake, use_defaults })
    }

    /// Returns the next signal, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<Received> {
        let mut bytes = [0; 64];
        while matches!(io::Read::read(&mut &self.wake, &mut bytes), Ok(n) if n > 0) {}
        self.queue.try_recv().ok()
    }

    /// Gives the caught signals their default effect again.
    pub fn restore_defaults(&self) {
        self.use_defaults.store(true, Ordering::SeqCst);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Lets `around` decide when the program is suspended (SIGTSTP, Ctrl-Z): it is called for each such signal with a function that suspends the
/// program and returns when it is continued. Does nothing if the signal was ignored at the program's start.
///
/// # Errors
/// The system refuses a handler or a thread.
pub fn on_suspend(mut around: impl FnMut(&mut dyn FnMut()) + Send + 'static) -> io::Result<()> {
    if ignored_signals().contains(&SIGTSTP) {
        return Ok(());
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGTSTP])?;
    let wait = move || {
        for number in signals.forever() {
            // It sends SIGSTOP, which cannot be refused.
            around(&mut || drop(signal_hook::low_level::emulate_default_handler(number)));
        }
    };
    std::thread::Builder::new().name("suspend".into()).stack_size(64 << 10).spawn(wait)?;
    Ok(())
}

/// Lets the signals `numbers` wait, as far as this thread is concerned. Returns the signals that waited before.
fn mask(numbers: &[i32]) -> io::Result<SigSet> {
    let signals = numbers.iter().map(|&number| Signal::try_from(number)).collect::<Result<SigSet, _>>()?;
    Ok(signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?)
}

/// The signals that this program ignores since its start: proc_pid_status(5), `SigIgn`. Empty without `/proc`.
fn ignored_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    (1..=64).filter(|n| mask & (1 << (n - 1)) != 0).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use signal_hook::consts::SIGUSR2;

    use super::*;

    #[test]
    fn signal_reports_its_sender() {
        let signals = Signals::catch(&[SIGUSR2], &[]).unwrap();
        assert_eq!(signals.next(), None);
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR2).unwrap();
        let limit = Instant::now() + Duration::from_secs(10);
        let received = loop {
            if let Some(received) = signals.next() {
                break received;
            }
            assert!(Instant::now() < limit, "the signal never arrived");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(received, Received { number: SIGUSR2, sent_by_process: true });
    }

    #[test]
    fn sigpipe_is_found_ignored() {
        assert!(ignored_signals().contains(&signal_hook::consts::SIGPIPE));
    }
}
