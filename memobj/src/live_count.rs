//! The census of a process that runs while its memory is read.

use std::time::{Duration, Instant};

use common::record::{CaptureMethod, LiveReason};
use memobj_cpython::runtime::Runtime;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::{AnyMemory, CopyBuffer, Memory};
use memobj_process::target::Target;

use crate::census::Census;
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
    let searches_leaks = leaks.is_some();
    let context = || CaptureContext {
        at: Instant::now(),
        live_reason: Some(reason),
        pause: (!paused.is_zero()).then_some(paused),
        ..CaptureContext::new(CaptureMethod::Live, begun).with_process(id, options, searches_leaks)
    };
    // Who asks for no copy wants to spare the memory.
    if !matches!(reason, LiveReason::Asked | LiveReason::Memory) {
        for attempt in 1..=MAX_ATTEMPTS {
            let copy = match target.copy_running(buffer) {
                Err(error) if error.out_of_memory => break,
                copy => copy?,
            };
            let context = CaptureContext { lost_pages: copy.copy.lost_pages, ..context() };
            let census = read_runtime(python, &copy.memory, attempt).and_then(|runtime| {
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
    }
    let memory = target.live(LIVE_CACHE);
    let mut attempt = 1;
    let runtime = loop {
        match read_runtime(python, &memory, attempt) {
            Err(error) if error.stage == stage::LAYOUT && attempt < MAX_ATTEMPTS => {
                std::thread::sleep(RETRY_PAUSE);
                memory.clear_cache();
                attempt += 1;
            }
            read => break read?,
        }
    };
    count_objects(&AnyMemory::Other(&memory), target.info(), python, runtime, context(), options, leaks)
}

/// Reads the runtime. At the last attempt it need not hold together: the layout was verified when Python was found, and facts about many
/// objects may never hold while these change.
fn read_runtime(python: &DetectedPython, memory: &dyn Memory, attempt: u32) -> Result<Runtime, Error> {
    match python.read(memory) {
        Err(error) if error.stage == stage::LAYOUT && attempt >= MAX_ATTEMPTS => python.read_running(memory),
        read => read,
    }
}
