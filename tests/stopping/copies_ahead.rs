//! Copies that take over what was copied before: they equal the memory, whatever the process did in between.

use std::time::Duration;

use memobj_process::info::ProcessSource;
use memobj_process::memory::CopyBuffer;
use memobj_process::target::{STOP_LIMIT, Target};
use rustix::process::Signal;

use super::{assert_untouched, differences, started, states};
use crate::support::python::{Python, pythons};
use crate::support::{Background, PATIENCE, wait_until};

const CHANGES: &str = include_str!("../targets/changes.py");

fn wait_for_stop(process: &Background) {
    wait_until(PATIENCE, "a stop by job control", || states(process.pid()).iter().all(|&state| state == 'T'));
}

/// Copies a process that changes at random, and compares. The part of the bytes that was taken over on average; `None` if writes are not tracked.
fn compare_copies(python: &Python, seed: u32, copies: u32) -> Option<f64> {
    let (process, _) = started(python, CHANGES, &[&seed.to_string()]);
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffer = CopyBuffer::new();
    let mut taken_over = 0.0;
    for copy in 0..copies {
        target.refresh().unwrap();
        let all = target.estimate().bytes;
        if !target.copy_ahead(&mut buffer) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(u64::from(copy * 7 % 30)));
        process.signal(Signal::STOP);
        wait_for_stop(&process);
        taken_over += 1.0 - target.estimate().bytes as f64 / all as f64;
        let frozen = target.freeze(&mut buffer, STOP_LIMIT, |_| true).unwrap();
        wait_for_stop(&process);
        let live = Target::attach(process.pid()).unwrap();
        let (pages, found) = differences(&frozen.info, &frozen.memory, live.memory());
        assert!(pages > 10_000, "{pages} pages were compared");
        assert!(found.is_empty(), "{python:?}, seed {seed}, copy {copy}:\n{}", found.join("\n"));
        buffer = frozen.memory.into_buffers();
        process.signal(Signal::CONT);
    }
    assert_untouched(process.pid());
    Some(taken_over / f64::from(copies))
}

#[test]
fn copy_ahead_and_its_rest_are_exact() {
    let Some(python) = pythons().iter().find(|python| python.version >= (3, 8)) else {
        crate::skip!("no Python on this machine");
    };
    let (seeds, copies) = if crate::support::is_long() { (10, 100) } else { (1, 10) };
    for seed in 1..=seeds {
        let Some(taken_over) = compare_copies(python, seed, copies) else {
            crate::skip!("this kernel does not track writes (CONFIG_MEM_SOFT_DIRTY)");
        };
        println!("seed {seed}: {:.0} % were taken over on average", taken_over * 100.0);
        assert!(taken_over > 0.1, "{taken_over}");
    }
}
