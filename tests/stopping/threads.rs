//! Many threads, threads that come and go, threads that do not stop.

use std::time::{Duration, Instant};

use memobj_process::memory::CopyBuffer;
use memobj_process::target::{STOP_LIMIT, StopLimits, Target};

use super::{COUNTING, assert_counts_on, assert_untouched, field, started};
use crate::support::python::python;
use crate::support::{PATIENCE, Tool, wait_until};

#[test]
fn fifty_threads_stop_and_resume() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["50"]);
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffers = CopyBuffer::new();
    for _ in 0..20 {
        let frozen = target.freeze(&mut buffers, Duration::from_secs(5), |_| true).unwrap();
        assert_eq!((frozen.copy.threads, frozen.info.threads.len()), (51, 51));
        buffers = frozen.memory.into_buffers();
    }
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

/// Threads that live for a moment, as many as can be.
const STORM: &str = r#"
import sys, threading, time
counts = [0]
def live():
    counts[0] += 1
def storm():
    while True:
        some = [threading.Thread(target=live) for _ in range(10)]
        for one in some: one.start()
        for one in some: one.join()
threading.Thread(target=storm, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print("counts", counts[0], flush=True)
"#;

#[test]
fn short_lived_threads_are_all_stopped() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, STORM, &[]);
    let target = Target::attach(process.pid()).unwrap();
    for _ in 0..200 {
        let stopped = target.stop(Duration::from_secs(5)).unwrap();
        // While it is stopped, no thread runs or starts.
        let states = super::states(process.pid());
        assert!(states.iter().all(|state| "tZX".contains(*state)), "{states:?}");
        assert_eq!(super::states(process.pid()).len(), states.len());
        drop(stopped);
    }
    assert_counts_on(&mut process);
    wait_until(PATIENCE, "no thread of it to be traced", || field(process.pid(), "status", "TracerPid") == 0);
}

/// One thread waits in vfork(2) for a child that takes its time: no signal and no tracer reaches it till then.
const WAITING: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile unsigned long count;
static void *counting(void *nothing) { for (;;) { count++; usleep(500); } return nothing; }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, counting, 0);
    char line[16];
    printf("ready\n"); fflush(stdout);
    if (read(0, line, 1) < 0) return 1;
    if (vfork() == 0) { sleep(2); _exit(0); }
    for (;;) { if (read(0, line, 1) <= 0) return 0; printf("counts %lu\n", count); fflush(stdout); }
}
"#;

#[test]
fn stop_gives_up_at_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = super::compiled(folder.path(), WAITING, &["-pthread"]) else {
        crate::skip!("no C compiler on this machine");
    };
    let mut process = Tool::new(&program).start();
    process.wait_line("ready");
    let mut target = Target::attach(process.pid()).unwrap();
    process.write("\n");
    wait_until(PATIENCE, "a thread in state D", || super::states(process.pid()).contains(&'D'));

    let begun = Instant::now();
    let error = target.stop(Duration::from_millis(100)).unwrap_err();
    let took = begun.elapsed();
    assert!(
        error.to_string().contains("did not stop within 100 ms") && error.to_string().contains("disk-sleep"),
        "{error}"
    );
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(!error.exited && !target.has_ended());
    assert_eq!(field(process.pid(), "status", "TracerPid"), 0);
    assert_eq!(error.paused_in_vain, Some(Duration::ZERO), "the other thread is not paused for nothing");

    // When the child has ended, the thread is not stopped after all, and the next stop succeeds.
    wait_until(PATIENCE, "the end of vfork", || !super::states(process.pid()).contains(&'D'));
    assert_counts_on(&mut process);
    let frozen = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
    assert_eq!(frozen.copy.threads, 2);
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

#[test]
fn target_runs_on_when_its_time_is_over() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, COUNTING, &["2"]);
    let mut target = Target::attach(process.pid()).unwrap();
    for pause in [Duration::from_millis(50), Duration::from_millis(100)] {
        let limits = StopLimits { pause: Some(pause), ..STOP_LIMIT.into() };
        let mut buffer = CopyBuffer::new();
        let error = target.freeze(&mut buffer, limits, |_| {
            // We are as slow as can be: it is not us who resume it.
            assert_counts_on(&mut process);
            true
        });
        let paused = error.unwrap_err().paused_in_vain.expect("the limit is the reason");
        // The promise is 10 ms; a machine that is busy with other tests may take longer.
        assert!(
            paused >= pause / 2 && paused < pause + Duration::from_millis(500),
            "{paused:?} of {pause:?}"
        );
        assert!(buffer.populated_bytes() > 0, "the buffer is given back");
        assert_untouched(process.pid());
    }
    // What does not fit is not begun.
    let mut looks = 0;
    let limits = StopLimits { pause: Some(Duration::from_micros(100)), ..STOP_LIMIT.into() };
    let error = target.freeze(&mut CopyBuffer::new(), limits, |_| {
        looks += 1;
        true
    });
    assert_eq!((error.unwrap_err().paused_in_vain, looks), (Some(Duration::ZERO), 0));
    // What fits is done.
    let limits = StopLimits { pause: Some(Duration::from_secs(10)), ..Duration::from_secs(10).into() };
    let frozen = target.freeze(&mut CopyBuffer::new(), limits, |_| true).unwrap();
    assert!(
        frozen.copy.threads == 3 && frozen.copy.pause.is_some_and(|pause| pause < Duration::from_secs(10))
    );
    assert_counts_on(&mut process);
}
