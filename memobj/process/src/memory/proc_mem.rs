//! The memory of a process as it is at this moment, each read a system call.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::{Memory, Unreadable};
use crate::addr::Addr;

/// `/proc/PID/mem`: proc_pid_mem(5). Never written to.
#[derive(Debug)]
pub struct ProcMem {
    mem: File,
    regions: Vec<Range<Addr>>,
}

impl ProcMem {
    /// Reads through `mem`, opened for reading; `regions` are what the process has mapped.
    #[must_use]
    pub fn new(mem: File, regions: Vec<Range<Addr>>) -> Self {
        Self { mem, regions: super::ranges::merge_overlapping(regions) }
    }

    /// Reads as much as there is from `at` on: how many bytes.
    pub(super) fn read_some(&self, at: Addr, into: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.mem.read_at(rest, at.plus(done as u64).0) {
                // 0 is what a process without memory gives: it has ended or become another program.
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }
}

impl Memory for ProcMem {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        if self.read_some(at, into) == into.len() { Ok(()) } else { Err(Unreadable { at }) }
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }
}
