//! Processes of every system that the sysinfo crate supports. Values that it does not have are `None`.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use common::process::{ProcessId, ProcessState};
use common::record::{ProcessSample, System as Machine};
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::{ProcessDetails, ProcessEntry, ProcessSizes, ProcessSource, ReadError};

/// Processes as sysinfo shows them. Each sample reads all processes of the machine.
#[derive(Debug)]
pub struct SysinfoSource {
    system: System,
    known: HashSet<ProcessId>,
}

impl SysinfoSource {
    /// Creates the source; nothing is read yet.
    ///
    /// # Errors
    /// The system is not supported by sysinfo.
    pub fn open() -> io::Result<Self> {
        let system = System::new().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { system, known: HashSet::new() })
    }

    fn refresh(&mut self, which: ProcessesToUpdate<'_>) {
        // Otherwise each thread appears as a process with the size of all.
        let kind = ProcessRefreshKind::nothing()
            .with_memory()
            .with_cpu()
            .with_cmd(UpdateKind::OnlyIfNotSet)
            .without_tasks();
        self.system.refresh_processes_specifics(which, true, kind);
    }

    fn process(&self, id: ProcessId) -> Result<&Process, ReadError> {
        let process = self.system.process(Pid::from_u32(id.pid));
        process
            .filter(|process| process.start_time() == id.start && !has_ended(process))
            .ok_or(ReadError::Exited { wait_status: None })
    }
}

impl ProcessSource for SysinfoSource {
    fn new_processes(&mut self) -> io::Result<Vec<ProcessEntry>> {
        self.refresh(ProcessesToUpdate::All);
        let now: Vec<ProcessEntry> =
            self.system.processes().values().filter(|p| !has_ended(p)).map(entry).collect();
        let new = now.iter().filter(|f| !self.known.contains(&f.id)).copied().collect();
        self.known = now.into_iter().map(|f| f.id).collect();
        Ok(new)
    }

    fn find(&mut self, pid: u32) -> Result<ProcessEntry, ReadError> {
        let pid = Pid::from_u32(pid);
        self.refresh(ProcessesToUpdate::Some(&[pid]));
        match self.system.process(pid) {
            Some(process) if !has_ended(process) => Ok(entry(process)),
            _ => Err(ReadError::Exited { wait_status: None }),
        }
    }

    fn sizes(&mut self, id: ProcessId) -> Result<ProcessSizes, ReadError> {
        let process = self.process(id)?;
        Ok(ProcessSizes { rss_bytes: process.memory(), vms_bytes: process.virtual_memory() })
    }

    fn details(&mut self, id: ProcessId) -> Result<ProcessDetails, ReadError> {
        let process = self.process(id)?;
        let sample = ProcessSample {
            cmdline: Some(process.cmd().iter().map(|arg| arg.to_string_lossy().into_owned()).collect()),
            state: Some(state(process.status())),
            ..ProcessSample::unread(id.pid, &process.name().to_string_lossy())
        };
        Ok(ProcessDetails {
            sample,
            start_unix_seconds: Some(process.start_time() as f64),
            cpu_time: Some(Duration::from_millis(process.accumulated_cpu_time())),
            entry: entry(process),
            image: None,
        })
    }

    fn forget(&mut self, id: ProcessId) {
        self.known.remove(&id);
    }

    fn system(&mut self) -> Option<Machine> {
        self.system.refresh_memory();
        let total_bytes = self.system.total_memory();
        (total_bytes > 0)
            .then(|| Machine { total_bytes, available_bytes: Some(self.system.available_memory()) })
    }
}

fn entry(process: &Process) -> ProcessEntry {
    ProcessEntry {
        id: ProcessId { pid: process.pid().as_u32(), start: process.start_time() },
        ppid: process.parent().map_or(0, Pid::as_u32),
        group: 0,
        session: process.session_id().map_or(0, Pid::as_u32),
    }
}

fn has_ended(process: &Process) -> bool {
    state(process.status()).has_ended()
}

fn state(status: ProcessStatus) -> ProcessState {
    match status {
        ProcessStatus::Run => ProcessState::Running,
        ProcessStatus::Sleep => ProcessState::Sleeping,
        ProcessStatus::UninterruptibleDiskSleep => ProcessState::DiskSleep,
        ProcessStatus::Stop => ProcessState::Stopped,
        ProcessStatus::Tracing => ProcessState::TracingStop,
        ProcessStatus::Zombie => ProcessState::Zombie,
        ProcessStatus::Dead => ProcessState::Dead,
        ProcessStatus::Idle => ProcessState::Idle,
        ProcessStatus::Parked => ProcessState::Parked,
        _ => ProcessState::Unknown,
    }
}
