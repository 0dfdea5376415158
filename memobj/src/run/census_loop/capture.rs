//! Censuses, which the user can interrupt.

use std::time::Instant;

use common::cli::Failure;
use memobj_cpython::stage;
use memobj_process::error::{Error, Stage};

use super::CensusLoop;
use crate::census::Census;
use crate::config::HeapFile;
use crate::run::census_worker::CensusWorker;
use crate::run::tracker::Tracker;

impl<'a> CensusLoop<'a> {
    pub(super) fn count_file(&mut self, file: &HeapFile) -> Result<(), Failure> {
        let header = self.next_header();
        let config = self.config;
        let census = self.with_worker(|worker, goes_on| worker.capture_file(file, &config.census, goes_on));
        match census {
            Ok(census) => {
                self.censuses += 1;
                self.write_census(header, None, &census, &mut Tracker::default());
                Ok(())
            }
            Err(error) => {
                self.report_error(None, &error, true);
                Err(error.into())
            }
        }
    }

    /// Counts a process. If the user interrupts that, `self.interrupted` is set, and the state of the process is lost.
    pub(super) fn capture(&mut self, pid: u32) -> Result<Census, Error> {
        let Some(process) = self.processes.get_mut(pid) else {
            return Err(Error::exited(Stage::ATTACH, format!("pid {pid} has exited")));
        };
        let mut state = std::mem::take(&mut process.tracker.state);
        if self.leaks.is_some() {
            state.leaks.get_or_insert_default();
        }
        let config = self.config;
        let census = self
            .with_worker(|worker, goes_on| worker.capture_process(pid, &config.census, &mut state, goes_on));
        if let Some(process) = self.processes.get_mut(pid) {
            process.tracker.state = state;
        }
        census
    }

    /// Lends out the worker, and what it asks from time to time: whether to go on.
    fn with_worker(
        &mut self,
        work: impl FnOnce(&mut CensusWorker<'a>, &mut dyn FnMut() -> bool) -> Result<Census, Error>,
    ) -> Result<Census, Error> {
        let mut worker = self.worker.take();
        let census = match &mut worker {
            Some(worker) => {
                work(worker, &mut || self.wait_for_signals(Some(Instant::now())).is_ok() && !self.interrupted)
            }
            None => Err(Error::new(stage::HEAP, "internal error: another census is under way", "report it")),
        };
        self.worker = worker;
        census
    }
}
