//! Signals as messages. The first Ctrl-C asks for a clean end; the second ends the program by the signal itself.

#[cfg(unix)]
pub use unix::{ENDING, Signals, end_by};

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub number: i32,
    /// Whether a process sent it with kill(2) or the like, rather than the terminal's driver. Ctrl-C at a terminal goes to the
    /// whole foreground group: a command in that group has got it already.
    pub sent_by_process: bool,
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{self, Receiver};

    use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithOrigin;
    use signal_hook::low_level::siginfo::{Cause, Sent};

    use super::Received;

    /// What the user asks for an end with: Ctrl-C, kill(1), a terminal that goes away.
    pub const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

    /// Signals delivered to a queue, with a descriptor that becomes readable when one is there.
    #[derive(Debug)]
    pub struct Signals {
        queue: Receiver<Received>,
        wake: UnixStream,
        patience_over: Arc<AtomicBool>,
    }

    impl Signals {
        /// Catches `numbers` from now on. Those the program was started with as ignored stay so (nohup(1)), but for SIGCHLD: where that is
        /// ignored the kernel keeps no status of children.
        ///
        /// The first one of `ending` that arrives is the last that is caught, as by [`lose_patience`](Self::lose_patience), whatever
        /// the program is busy with: one that waits for a reader of its output asks for no signals.
        ///
        /// # Errors
        /// What the system says to installing a handler or starting the thread that waits.
        pub fn catch(numbers: &[i32], ending: &[i32]) -> io::Result<Self> {
            let ignored = ignored_signals();
            let caught: Vec<i32> =
                numbers.iter().copied().filter(|n| *n == SIGCHLD || !ignored.contains(n)).collect();
            let patience_over = Arc::new(AtomicBool::new(false));
            for &number in caught.iter().filter(|n| **n != SIGCHLD) {
                // Registered before the queue: once patience is over the default action comes first.
                signal_hook::flag::register_conditional_default(number, Arc::clone(&patience_over))?;
            }
            let mut signals = SignalsInfo::<WithOrigin>::new(&caught)?;
            let (wake, mut waker) = UnixStream::pair()?;
            wake.set_nonblocking(true)?;
            waker.set_nonblocking(true)?;
            let (sender, queue) = mpsc::channel();
            let (ending, over) = (ending.to_vec(), Arc::clone(&patience_over));
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
                    // A full socket is as good a wake-up as one more byte in it.
                    let _ = io::Write::write(&mut waker, &[0]);
                }
            })?;
            Ok(Self { queue, wake, patience_over })
        }

        /// The next signal, if one arrived.
        #[must_use]
        pub fn next(&self) -> Option<Received> {
            let mut bytes = [0; 64];
            while matches!(io::Read::read(&mut &self.wake, &mut bytes), Ok(n) if n > 0) {}
            self.queue.try_recv().ok()
        }

        /// From now on a caught signal has its default effect: the user asked twice.
        pub fn lose_patience(&self) {
            self.patience_over.store(true, Ordering::SeqCst);
        }
    }

    impl AsFd for Signals {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.wake.as_fd()
        }
    }

    /// Ends this program as if the signal had not been caught, so that whoever started it sees why it ended.
    pub fn end_by(number: i32) {
        let _ = signal_hook::low_level::emulate_default_handler(number);
    }

    /// The signals this program was started with as ignored: proc_pid_status(5), `SigIgn`. Empty where that is not told.
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
        fn a_signal_wakes_and_says_who_sent_it() {
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
        fn sigpipe_is_ignored_in_rust_programs_and_so_never_caught() {
            assert!(ignored_signals().contains(&signal_hook::consts::SIGPIPE));
        }
    }
}
