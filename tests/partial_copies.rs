//! Copies that leave out pages: the census is the same as that of a full copy, or there is none.

use memobj::capture::{Capturer, CensusSource as _, ProcessState, capture_memory};
use memobj::census::Census;
use memobj::config::{CacheOptions, CensusOptions, HolderOptions, StopPolicy};
use memobj::leaks::LeakTracker;
use memobj_process::addr::Addr;
use memobj_process::memory::{CopyBuffer, Memory as _, PAGE_SIZE, PageUse};
use memobj_process::target::{PageChoice, STOP_LIMIT, Target};

use crate::support::python::{python, with};
use crate::support::series::Chance;
use crate::support::{Background, Tool, workspace};

const STEPS: [&str; 5] = ["grow", "leave_holes", "fill_holes", "replace_buffers", "shrink"];

/// The program that moves its objects, with numpy if there is one.
fn moving_heap() -> Option<Background> {
    let plain = python()?;
    let interpreter = with(&["numpy==1.26.4"], "import numpy").unwrap_or_else(|_| plain.path.clone());
    let file = workspace::root().join("tests/targets/moving_heap.py");
    let mut process = Tool::new(&interpreter).arg("-B").arg(file).start();
    process.wait_line("ready");
    Some(process)
}

/// A census without what differs between two of the same moment.
fn comparable(mut census: Census) -> Census {
    let record = &mut census.record;
    (record.duration_seconds, record.pause_seconds, record.attempts) = (None, None, None);
    (record.method, record.live_reason, record.interrupted_calls) = (None, None, None);
    // They are no part of a copy.
    (record.fds, record.fd_holders) = (None, None);
    if let Some(held) = &mut census.held {
        held.descriptors = None;
    }
    // The kernel corrects its counter of resident pages late.
    record.rss_bytes = None;
    let rows = census.memory.iter_mut().flat_map(|memory| &mut memory.account.rows);
    for row in rows {
        // A page of a file is shared if another process maps it at that moment.
        row.private_bytes += std::mem::take(&mut row.shared_bytes);
    }
    census.types.sort_by(|one, other| {
        (&one.module, &one.qualname, one.count).cmp(&(&other.module, &other.qualname, other.count))
    });
    census
}

#[track_caller]
fn assert_same(one: Census, other: Census, what: &str) {
    let (one, other) = (comparable(one), comparable(other));
    assert_eq!(one.record, other.record, "{what}");
    assert!(one.types == other.types, "{what}: types");
    assert_eq!(one.memory, other.memory, "{what}");
    assert!(one.held == other.held, "{what}: holders");
    assert!(one.caches == other.caches && one == other, "{what}: caches");
}

/// A census of a copy of all pages.
fn full_census(pid: u32, options: &CensusOptions) -> Census {
    let mut target = Target::attach(pid).unwrap();
    target.record_residence(options.memory);
    let whole = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
    capture_memory(&whole, &whole.memory, options).unwrap()
}

/// Takes a census after each step with one state, so that copies leave out pages, and one of a full copy.
fn compare_steps(options: &CensusOptions, state: &mut ProcessState) -> bool {
    let Some(mut process) = moving_heap() else { return false };
    let pid = process.pid();
    let mut capturer = Capturer::default();
    capturer.capture_process(pid, options, state).unwrap();
    for step in STEPS {
        assert!(state.leaves_out_pages(), "before {step}");
        process.write("\n");
        process.wait_line(&format!("done {step}"));
        let partial = capturer.capture_process(pid, options, state).unwrap();
        assert_same(partial, full_census(pid, options), step);
    }
    true
}

#[test]
fn partial_copy_counts_the_same_objects() {
    let holders = HolderOptions { retained: true, why: vec!["bytearray".to_owned()] };
    let all = CensusOptions {
        memory: true,
        holders: Some(holders),
        caches: Some(CacheOptions { max_item_bytes: 1 << 20 }),
        ..CensusOptions::default()
    };
    for options in [CensusOptions::default(), all] {
        if !compare_steps(&options, &mut ProcessState::default()) {
            crate::skip!("no Python on this machine");
        }
    }
}

#[test]
fn stopped_partial_copy_counts_the_same_objects() {
    let options = CensusOptions { stop: StopPolicy::AtOnce, ..CensusOptions::default() };
    if !compare_steps(&options, &mut ProcessState::default()) {
        crate::skip!("no Python on this machine");
    }
}

#[test]
fn leak_search_over_partial_copies_has_the_same_numbers() {
    let Some(mut process) = moving_heap() else { crate::skip!("no Python on this machine") };
    let pid = process.pid();
    let options = CensusOptions::default();
    let (mut partial, mut full) = (ProcessState::default(), ProcessState::default());
    (partial.leaks, full.leaks) = (Some(LeakTracker::default()), Some(LeakTracker::default()));
    let mut capturer = Capturer::default();
    let (mut leaves_out, folder) = (0, tempfile::tempdir().unwrap());
    for step in ["start"].iter().chain(&STEPS) {
        if *step != "start" {
            process.write("\n");
            process.wait_line(&format!("done {step}"));
        }
        leaves_out += u32::from(partial.leaves_out_pages());
        capturer.capture_process(pid, &options, &mut partial).unwrap();
        // A snapshot has all pages.
        let save = Some(folder.path().join(step));
        let with_all = CensusOptions { save, ..CensusOptions::default() };
        capturer.capture_process(pid, &with_all, &mut full).unwrap();
        // Verdicts depend on the times of the censuses too, which differ.
        let report = |state: &ProcessState| {
            let report = state.leaks.as_ref().unwrap().report();
            let objects = (report.first_objects, report.last_objects, report.holders_checked);
            (report.censuses, objects, report.first_size_bytes, report.last_size_bytes)
        };
        assert_eq!(report(&partial), report(&full), "{step}");
    }
    assert_eq!(leaves_out, 5);
}

/// Leaves out pages by chance: a census either notices that it lacked one, or has the right numbers.
#[test]
fn census_without_a_page_notices_it() {
    let Some(process) = moving_heap() else { crate::skip!("no Python on this machine") };
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffer = CopyBuffer::new();
    let options = CensusOptions::default();
    let mut chance = Chance(20_261_129);
    let whole = target.freeze(&mut buffer, STOP_LIMIT, |_| true).unwrap();
    let expected = capture_memory(&whole, &whole.memory, &options).unwrap();
    let unread = whole.memory.usage().unread;
    // What `--max-pause` is compared with.
    let bytes = target.estimate().bytes;
    let mut choice = PageChoice::default();
    choice.learn(&PageUse { unread: unread.clone(), missed: Vec::new() });
    target.choose_pages(choice);
    assert!(target.estimate().bytes < bytes / 2);
    let (mut noticed, mut right) = (0, 0);
    let own = target.own_pages();
    for case in 0..60 {
        let skipped = own.iter().filter_map(|pages| {
            let count = (pages.end.0 - pages.start.0) / PAGE_SIZE as u64;
            let length = 16 + chance.bits() % 40;
            let at = pages.start.plus((chance.bits() % count.max(1)) * PAGE_SIZE as u64);
            let range = at..Addr((at.0 + length * PAGE_SIZE as u64).min(pages.end.0));
            // Every other case leaves out what is not needed.
            let is_unread =
                unread.iter().any(|unread| unread.start <= range.start && range.end <= unread.end);
            (chance.bits().is_multiple_of(8) && (case % 2 == 1 || is_unread)).then_some(range)
        });
        let mut choice = PageChoice::default();
        choice.learn(&PageUse { unread: skipped.collect(), missed: Vec::new() });
        target.choose_pages(choice);
        let frozen = target.freeze(&mut CopyBuffer::new(), STOP_LIMIT, |_| true).unwrap();
        let census = capture_memory(&frozen, &frozen.memory, &options);
        if frozen.memory.has_missed() {
            noticed += 1;
            continue;
        }
        right += 1;
        assert_same(census.unwrap(), expected.clone(), &format!("case {case}"));
    }
    assert!(noticed > 5 && right > 5, "{noticed} noticed, {right} right");
}
