//! The run of `--watch-adds`: one census to find the container, then the watch, and its summary at the end.

use std::time::{Duration, Instant};

use common::cli::Failure;
use common::record::{Record, WritesRecord};
use common::stdio::StatusLine;
use common::units::counted;
use memobj_process::error::{Error, Stage};

use super::CensusLoop;
use crate::census::Census;
use crate::config::WatchOptions;
use crate::run::TOOL;

/// The time from one line of progress to the next.
const PROGRESS: Duration = Duration::from_millis(500);

impl CensusLoop<'_> {
    /// Watches who writes to a container.
    pub(super) fn watch_writes(&mut self, options: &WatchOptions) -> Result<(), Failure> {
        let header = self.next_header();
        let Some(pid) = self.processes.pids().first().copied() else { return Ok(()) };
        let watched = self.capture(pid).and_then(|census| match census.watched {
            Some(Ok(holder)) => Ok((Census { watched: None, ..census }, holder)),
            Some(Err(error)) => Err(error),
            None => Err(Error::new(Stage::WATCH, "nothing to watch", "")),
        });
        let (census, holder) = watched.map_err(|error| self.fail(pid, error))?;
        self.censuses += 1;
        self.watch_exits();
        let tracker = self.processes.get_mut(pid).map(|process| std::mem::take(&mut process.tracker));
        let mut shown = Instant::now();
        let mut status = StatusLine::new(true);
        let mut goes_on = |watched: Duration, added: u64, removed: u64| {
            if status.is_enabled() && shown.elapsed() >= PROGRESS {
                let added = counted(added, "addition", "additions");
                let removed = counted(removed, "removal", "removals");
                let seconds = watched.as_secs();
                status.show(&format!(
                    "{TOOL}: {}: {added}, {removed} in {seconds} s (Ctrl-C ends it) …",
                    holder.name
                ));
                shown = Instant::now();
            }
            let is_over = options.duration.is_some_and(|most| watched >= most)
                || options.additions.is_some_and(|most| added >= most);
            !is_over && self.wait(Some(Instant::now())).is_ok() && !self.stopped && self.outputs.is_open()
        };
        let seen = tracker.unwrap_or_default().state.watch_writes(&holder, &mut goes_on);
        status.clear();
        let seen = seen.map_err(|error| self.fail(pid, error))?;
        let process = census.record;
        let record = WritesRecord {
            pid,
            start_ticks: process.start_ticks,
            name: process.name,
            cmdline: process.cmdline.filter(|_| self.config.census.cmdline),
            python: process.python.map(|python| python.version).unwrap_or_default(),
            holder: holder.name,
            container: holder.type_name,
            containers: holder.alike,
            watched_containers: holder.containers.len() as u64,
            ..seen
        }
        .with_header(header);
        self.outputs.record(&Record::Writes(Box::new(record)));
        Ok(())
    }

    fn fail(&mut self, pid: u32, error: Error) -> Failure {
        self.report_error(Some(pid), &error, true);
        error.into()
    }
}
