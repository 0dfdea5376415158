//! Everything that is kept of a process from one census to the next.

use common::record::LeaksRecord;

use crate::capture::ProcessState;
use crate::emit::census_record::CensusRecorder;
use crate::emit::text::TextState;

/// Everything that is kept of a process from one census to the next.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    pub state: ProcessState,
    pub recorder: CensusRecorder,
    pub text: Option<TextState>,
    /// The findings so far, if leaks are searched for and a census was taken.
    pub outcome: Option<LeaksRecord>,
}

impl Tracker {
    /// Forgets the program, as another one runs in the process now. Its records and text go on.
    pub fn restart(&mut self) {
        self.state = ProcessState::default();
    }
}
