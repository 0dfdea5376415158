//! The census of a process that runs while its memory is read.

use std::time::{Duration, Instant};

use common::record::{CaptureMethod, LiveReason};
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::{AnyMemory, CopyBuffer};
use memobj_process::target::Target;

use crate::arguments::read_arguments;
use crate::census::Census;
use crate::census::clock::read_clocks;
use crate::census::count::{CaptureContext, count_objects};
use crate::config::CensusOptions;
use crate::leaks::LeakTracker;

/// Bytes of a running process that are kept while it is read; the rest is read again.
const LIVE_CACHE: u64 = 256 << 20;

/// Attempts to find a running process in a consistent state, and the pause between them.
const MAX_ATTEMPTS: u32 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Why there is no copy of one moment to count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoCopy {
    pub reason: LiveReason,
    /// How long the process was paused in vain.
    pub paused: Duration,
}

/// Counts a process while it runs: a copy, whose pages are of different moments within a fraction of a second; or without the memory for one
/// what is read while it is counted.
pub(crate) fn count_live(
    target: &mut Target,
    python: &DetectedPython,
    buffer: &mut CopyBuffer,
    NoCopy { reason, paused }: NoCopy,
    options: &CensusOptions,
    mut leaks: Option<&mut LeakTracker>,
    begun: Instant,
) -> Result<Census, Error> {
    let id = target.info().id;
    let context = || CaptureContext {
        at: Instant::now(),
        clocks: Some(read_clocks(id)),
        cmdline: options.cmdline.then(|| read_arguments(id.pid)).flatten(),
        live_reason: Some(reason),
        pause: (!paused.is_zero()).then_some(paused),
        ..CaptureContext::new(CaptureMethod::Live, begun)
    };
    let mut attempt = 0;
    // Who asks for no copy wants to spare the memory.
    let is_copied = !matches!(reason, LiveReason::Asked | LiveReason::Memory);
    while let Some(copy) = is_copied.then(|| target.copy_running(buffer)) {
        attempt += 1;
        let copy = match copy {
            Err(error) if error.out_of_memory => break,
            copy => copy?,
        };
        let context = CaptureContext { lost_pages: copy.copy.lost_pages, ..context() };
        let runtime = match python.read(&copy.memory) {
            // The layout was verified when Python was found. Facts about many objects may never hold while these change.
            Err(error) if error.stage == stage::LAYOUT && attempt >= MAX_ATTEMPTS => {
                python.read_running(&copy.memory)
            }
            read => read,
        };
        let census = runtime.and_then(|runtime| {
            let memory = AnyMemory::Frozen(&copy.memory);
            count_objects(&memory, &copy.info, python, runtime, context, options, leaks.as_deref_mut())
        });
        *buffer = copy.memory.into_buffers();
        match census {
            Err(error) if error.stage == stage::LAYOUT && attempt < MAX_ATTEMPTS => {
                std::thread::sleep(RETRY_PAUSE)
            }
            census => return census,
        }
    }
    let memory = target.live(LIVE_CACHE);
    attempt = 0;
    let runtime = loop {
        attempt += 1;
        match python.read(&memory) {
            Err(error) if error.stage == stage::LAYOUT && attempt < MAX_ATTEMPTS => {
                std::thread::sleep(RETRY_PAUSE);
                memory.clear_cache();
            }
            Err(error) if error.stage == stage::LAYOUT => break python.read_running(&memory)?,
            read => break read?,
        }
    };
    count_objects(&AnyMemory::Other(&memory), target.info(), python, runtime, context(), options, leaks)
}
