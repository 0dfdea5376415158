//! Waits for another tracer: a process has one at most, and another memobj holds it for milliseconds, or seconds if the heap is large.

use std::time::{Duration, Instant};

use super::procfs::{thread_status, tids};
use super::ptrace::StopError;

/// How long another tracer is waited for; a debugger stays longer.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The attempts after a refusal when no other tracer was seen: it may have left in between, and come back.
const MAX_UNTRACED: u32 = 5;
/// The pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Repeats an attempt to pause a process while the kernel refuses it because another tracer has the process.
pub(super) fn retry_while_traced<T>(
    pid: u32,
    mut attempt: impl FnMut() -> Result<T, StopError>,
) -> Result<T, StopError> {
    let deadline = Instant::now() + MAX_WAIT;
    let mut untraced = 0;
    loop {
        match attempt() {
            Err(StopError::Refused(_)) if Instant::now() < deadline && untraced < MAX_UNTRACED => {
                if !is_traced(pid) {
                    untraced += 1;
                }
                std::thread::sleep(RETRY_PAUSE);
            }
            result => return result,
        }
    }
}

fn is_traced(pid: u32) -> bool {
    // Another memobj may hold only the threads that ran.
    let is_traced = |tid| thread_status(pid, tid).is_some_and(|status| status.tracer.is_some());
    tids(pid).unwrap_or_default().into_iter().any(is_traced)
}
