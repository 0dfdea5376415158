//! Copies that leave out the pages that a census does not read, and what becomes of a census that needs one of them.

use std::time::Instant;

use common::record::CaptureMethod;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_process::error::{Error, Stage};
use memobj_process::info::ProcessSource as _;
use memobj_process::memory::{AnyMemory, FrozenMemory, Memory as _};
use memobj_process::target::{PageChoice, Target};

use crate::census::Census;
use crate::census::count::{CaptureContext, count_objects};
use crate::config::CensusOptions;
use crate::low_priority::at_low_priority;

/// Copies of one census that leave out pages. The next one has all pages. In each the missing pages of the ones before are added.
const MAX_PARTIAL: u32 = 3;

/// Copies of fewer bytes take less than some 20 ms: it is not worth a look which of them are needed.
const MIN_BYTES: u64 = 64 << 20;

/// The part of the pages of a process at which the look ends: a copy without the rest would not be much shorter.
const MAX_SHARE: u64 = 2;

/// The least part of the bytes that is left out. Less is not worth the risk that a page is missed: then the process is paused once more.
const MIN_SAVING: u64 = 4;

/// Which pages of a process its censuses need, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct KnownPages {
    /// `None` before the first look.
    choice: Option<PageChoice>,
}

impl KnownPages {
    /// Whether pages are known that the next copy need not have.
    pub fn are_some_unneeded(&self) -> bool {
        self.choice.as_ref().is_some_and(|choice| !choice.is_full())
    }

    /// Chooses the pages of the next copy of the process. In the present census, `dropped` copies lacked a page.
    pub fn choose(
        &mut self,
        target: &mut Target,
        python: &DetectedPython,
        options: &CensusOptions,
        dropped: u32,
    ) {
        target.choose_pages(PageChoice::default());
        // A snapshot has all pages.
        if options.save.is_some() || dropped >= MAX_PARTIAL {
            return;
        }
        let choice = self.choice.get_or_insert_with(|| look(target, python, options));
        if choice.is_full() {
            return;
        }
        let all = target.estimate().bytes;
        target.choose_pages(choice.clone());
        if target.estimate().bytes > all - all / MIN_SAVING {
            target.choose_pages(PageChoice::default());
        }
    }

    /// Notes which pages a census of a copy has read. Replaces it by an error if the copy lacked one.
    pub fn check(&mut self, memory: &FrozenMemory, census: Result<Census, Error>) -> Result<Census, Error> {
        let has_missed = memory.has_missed();
        // A census that failed has read less than it needs.
        if has_missed || census.is_ok() {
            self.choice.get_or_insert_default().learn(&memory.usage());
        }
        if !has_missed {
            return census;
        }
        let message = "the program moved its objects to pages that were not copied";
        Err(Error { missed_pages: true, ..Error::new(Stage::COPY, message, "try again") })
    }
}

/// Counts the objects of a process while it runs, to find out which pages that needs; the numbers are dropped. Costs less than a copy of the
/// other pages, or ends early: then a copy has all pages.
fn look(target: &Target, python: &DetectedPython, options: &CensusOptions) -> PageChoice {
    let mut choice = PageChoice::default();
    let bytes = target.estimate().bytes;
    if bytes < MIN_BYTES {
        return choice;
    }
    // Without room for a copy of all pages the process is read while it runs, and needs no look.
    let Some(copy) = target.lazy_copy(bytes / MAX_SHARE, bytes) else { return choice };
    let memory = AnyMemory::Other(&copy);
    let plain = CensusOptions { scope: options.scope, ..CensusOptions::default() };
    let context = CaptureContext::new(CaptureMethod::Live, Instant::now());
    let counted = at_low_priority(options, || {
        let runtime = python.read_running(&memory)?;
        count_objects(&memory, target.info(), python, runtime, context, &plain, None)
    });
    if let Some(usage) = copy.unread().filter(|_| counted.is_ok()) {
        choice.learn(&usage);
    }
    choice
}
