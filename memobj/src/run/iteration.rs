//! The results of one iteration of a run.

use memobj_process::error::Error;

/// The results of one iteration.
#[derive(Debug, Default)]
pub(super) struct Iteration {
    pub censuses: u64,
    /// Records about it, censuses among them.
    pub records: u64,
    /// The censuses that failed, by process.
    pub errors: Vec<(Option<u32>, Error)>,
}
