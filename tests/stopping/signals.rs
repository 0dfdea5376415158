//! Signals that come while a process is stopped, and stops that are not ours.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memobj_process::memory::CopyBuffer;
use memobj_process::target::{STOP_LIMIT, Target};
use rustix::process::{Pid, Signal};

use super::{assert_counts_on, assert_untouched, started, states};
use crate::support::python::python;
use crate::support::{PATIENCE, wait_until};

/// Counts the signals that reach it, each one: the C handler writes a byte for each, whatever Python makes of them.
const RECEIVING: &str = r#"
import os, signal, sys, threading
def nothing(*_): pass
read, write = os.pipe()
os.set_blocking(write, False)
signal.set_wakeup_fd(write, warn_on_full_buffer=False)
for number in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGRTMIN + 3, signal.SIGRTMAX - 1):
    signal.signal(number, nothing)
counts = {}
def receive():
    while True:
        for number in os.read(read, 4096):
            counts[number] = counts.get(number, 0) + 1
            print("got", number, counts[number], flush=True)
threading.Thread(target=receive, daemon=True).start()
print("ready", int(signal.SIGRTMIN + 3), flush=True)
while True:
    sum(range(1000))
"#;

#[test]
fn no_signal_is_lost() {
    const EACH: usize = 150;
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, real_time) = started(python, RECEIVING, &[]);
    let real_time: i32 = real_time.parse().unwrap();
    let pid = process.pid();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            let target = Target::attach(pid).unwrap();
            let mut stops = 0;
            while !is_over.load(Ordering::Relaxed) {
                let _ = target.stop(Duration::from_secs(10)).unwrap().resume();
                stops += 1;
            }
            stops
        });
        for number in 1..=EACH {
            // Real-time ones queue up: each counts. Of others one at a time is pending.
            crate::support::Tool::new("kill")
                .args([format!("-{real_time}"), pid.to_string()])
                .run()
                .expect_code(0);
            process.signal(Signal::USR1);
            let line = format!("got {} {number}\n", Signal::USR1.as_raw());
            wait_until(PATIENCE, &line, || process.out().contains(&line));
        }
        let line = format!("got {real_time} {EACH}\n");
        wait_until(PATIENCE, &line, || process.out().contains(&line));
        is_over.store(true, Ordering::Relaxed);
        let stops: usize = stopping.join().unwrap();
        assert!(stops > EACH, "{stops} stops are too few to meet a signal");
    });
    // None twice, either.
    assert!(!process.out().contains(&format!("got {real_time} {}\n", EACH + 1)));
    assert_untouched(pid);
}

/// Sends itself signals all the time, and looks after each whether it came: a signal to the only thread there is comes before the call
/// returns that sent it.
const SENDING: &str = r#"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile long plain, queued;
static void on_plain(int number) { plain++; }
static void on_queued(int number, siginfo_t *info, void *context) { if (info->si_value.sival_int == 77) queued++; }
int main(void) {
    struct sigaction one = {0}, other = {0};
    one.sa_handler = on_plain;
    other.sa_sigaction = on_queued;
    other.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &one, 0);
    sigaction(SIGRTMIN + 3, &other, 0);
    printf("ready\n"); fflush(stdout);
    struct pollfd input = {0, POLLIN, 0};
    union sigval value = {77};
    for (long sent = 1;; sent++) {
        kill(getpid(), SIGUSR1);
        sigqueue(getpid(), SIGRTMIN + 3, value);
        if (plain != sent || queued != sent) { printf("lost %ld %ld of %ld\n", sent - plain, sent - queued, sent); return 1; }
        if (sent % 1000 == 0 && poll(&input, 1, 0) == 1) { printf("sent %ld\n", sent); return 0; }
    }
}
"#;

#[test]
fn signals_in_delivery_keep_their_data() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = super::compiled(folder.path(), SENDING, &[]) else {
        crate::skip!("no C compiler on this machine");
    };
    let mut process = crate::support::Tool::new(&program).start();
    process.wait_line("ready");
    let target = Target::attach(process.pid()).unwrap();
    for _ in 0..1500 {
        let _ = target.stop(Duration::from_secs(10)).unwrap().resume();
    }
    process.close_stdin();
    let run = process.finish(PATIENCE);
    assert!(run.code() == Some(0) && run.out().contains("sent "), "{}", run.out());
}

#[test]
fn job_control_stop_outlasts_ours() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, super::COUNTING, &["3"]);
    process.signal(Signal::STOP);
    let stopped = |pid| states(pid).iter().all(|&state| state == 'T');
    wait_until(PATIENCE, "a stop", || stopped(process.pid()));
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffers = CopyBuffer::new();
    for _ in 0..5 {
        let frozen = target.freeze(&mut buffers, STOP_LIMIT, |_| true).unwrap();
        assert!(frozen.memory.copied_bytes() > 1 << 20 && frozen.copy.threads == 4);
        buffers = frozen.memory.into_buffers();
        wait_until(PATIENCE, "job control's stop", || stopped(process.pid()));
    }
    process.signal(Signal::CONT);
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

#[test]
fn stop_and_cont_during_hold_apply_after() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, super::COUNTING, &["3"]);
    let target = Target::attach(process.pid()).unwrap();

    let held = target.stop(STOP_LIMIT).unwrap();
    process.signal(Signal::STOP);
    drop(held);
    wait_until(PATIENCE, "the stop that came meanwhile", || {
        states(process.pid()).iter().all(|&state| state == 'T')
    });

    let held = target.stop(STOP_LIMIT).unwrap();
    process.signal(Signal::CONT);
    drop(held);
    assert_counts_on(&mut process);
    assert_untouched(process.pid());
}

#[test]
fn parent_learns_of_kill_during_hold() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (process, _) = started(python, super::COUNTING, &["3"]);
    let mut target = Target::attach(process.pid()).unwrap();
    let held = target.stop(STOP_LIMIT).unwrap();
    rustix::process::kill_process(Pid::from_raw(process.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    wait_until(PATIENCE, "the end of its threads", || {
        states(process.pid()).iter().all(|state| "ZX".contains(*state))
    });
    drop(held);
    wait_until(PATIENCE, "its end", || process.has_ended());
    assert!(target.has_ended());
    let error = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap_err();
    assert!(error.exited, "{error}");
    // It is a child of ours, and we are who traced it: its end was not taken note of on the way.
    assert_eq!(process.finish(PATIENCE).signal(), Some(9));
}

#[test]
fn suspended_holder_resumes_target() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let (mut process, _) = started(python, super::COUNTING, &["5"]);
    let mut holder = super::holder(process.pid(), &[]);
    holder.wait_line("held ");
    holder.signal(Signal::TSTP);
    wait_until(PATIENCE, "a suspended holder", || states(holder.pid()).iter().all(|&state| state == 'T'));
    assert_untouched(process.pid());
    assert_counts_on(&mut process);
}

#[test]
fn suspended_memobj_goes_on_when_continued() {
    let Some(python) = python().filter(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python that memobj knows")
    };
    let (process, _) = started(python, "print('ready', flush=True)\nwhile True: pass", &[]);
    let pid = process.pid().to_string();
    let mut memobj = crate::support::Tool::ours("memobj").args(["-i", "50ms", "-p", &pid]).start();
    for _ in 0..3 {
        let before = memobj.records().len();
        wait_until(PATIENCE, "another census", || memobj.records().len() > before);
        memobj.signal(Signal::TSTP);
        wait_until(PATIENCE, "its stop", || states(memobj.pid()).iter().all(|&state| state == 'T'));
        assert_untouched(process.pid());
        memobj.signal(Signal::CONT);
    }
    let before = memobj.records().len();
    wait_until(PATIENCE, "another census", || memobj.records().len() > before);
    assert!(memobj.wait_line("{").contains("census"));
    assert_untouched(process.pid());
}
