//! The memory of a live process, each read a system call.

use std::fs::File;
use std::io::{ErrorKind, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::ranges::merge_overlapping;
use super::{Memory, Unreadable};
use crate::addr::Addr;

/// `/proc/PID/mem`: proc_pid_mem(5). Never written to.
#[derive(Debug)]
pub struct ProcMem {
    mem: File,
    regions: Vec<Range<Addr>>,
}

impl ProcMem {
    /// Reads through `mem`, a file opened for reading; `regions` are the process's mappings.
    #[must_use]
    pub fn new(mem: File, regions: Vec<Range<Addr>>) -> Self {
        Self { mem, regions: merge_overlapping(regions) }
    }
}

impl Memory for ProcMem {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        // At the end of the file is a process without memory: it has exited, or runs another program.
        match read_file(&self.mem, at.0, into) {
            Some(length) if length == into.len() => Ok(()),
            _ => Err(Unreadable { at }),
        }
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }
}

/// Reads until `into` is full or the file ends, and returns the number of bytes; `None` after an error.
pub(super) fn read_file(file: &File, offset: u64, into: &mut [u8]) -> Option<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.checked_add(done as u64)?) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(done)
}

/// Reads parts of a process's memory into consecutive bytes by one process_vm_readv(2), and returns the number of bytes read: it ends at
/// the first part that cannot be read.
///
/// # Errors
/// If nothing can be read, or the call is forbidden, as by a container's seccomp profile.
pub fn read_scattered(pid: u32, parts: &[(Addr, usize)], into: &mut [u8]) -> std::io::Result<usize> {
    let parts: Vec<RemoteIoVec> = parts
        .iter()
        .map(|&(at, len)| RemoteIoVec { base: usize::try_from(at.0).unwrap_or(usize::MAX), len })
        .collect();
    Ok(process_vm_readv(Pid::from_raw(pid.cast_signed()), &mut [IoSliceMut::new(into)], &parts)?)
}
