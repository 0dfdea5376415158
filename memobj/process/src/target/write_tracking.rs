//! Which pages a process has written to, as the kernel notes it: the soft-dirty bits of Documentation/admin-guide/mm/soft-dirty.rst
//! (CONFIG_MEM_SOFT_DIRTY; Debian, Ubuntu and Fedora have it on x86-64).
//!
//! Writing `4` to `/proc/PID/clear_refs` makes the kernel forget all former writes. It protects the pages for that: the next write to each one
//! costs the process a page fault of less than a microsecond, without a copy. Bit 55 of proc_pid_pagemap(5) is set from then on, by whatever
//! writes: the process, a system call, process_vm_writev(2). A page in a mapping that is new, or that has grown, has the bit too. What has no
//! bit and another content is a page that was given back (MADV_DONTNEED) and read again: the kernel's page of zeros, which is not exclusive.
//! A device that writes to pinned pages sets no bit; it delivers data, and no objects.
//!
//! A process has one set of these bits. Another program that makes the kernel forget writes meanwhile (a second memobj, a checkpoint by CRIU)
//! would hide some of them. Two memobj exclude each other by flock(2) on that file.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;

use memmap2::MmapMut;
use rustix::fs::FlockOperation;

use super::page_map::PageMap;
use crate::addr::Addr;
use crate::memory::EarlierCopy;
use crate::residence::{PRESENT, SOFT_DIRTY};

/// What makes the kernel forget the writes: `CLEAR_REFS_SOFT_DIRTY` in fs/proc/task_mmu.c.
const FORGET: &[u8] = b"4";
/// The first version of Linux that is trusted with it. Before, a page that a fork shares could be copied wrongly meanwhile, to the harm of the
/// process ("mm: fix clear_refs_write locking").
const FIRST_LINUX: (u32, u32) = (5, 11);

/// The tracking of the writes of one process. Another memobj cannot track them at the same time.
#[derive(Debug)]
pub(super) struct WriteTracking {
    file: File,
}

impl WriteTracking {
    /// Prepares it. `None` if the kernel cannot track writes, forbids it, or if another memobj does.
    pub fn of(pid: u32) -> Option<Self> {
        if !is_supported() {
            return None;
        }
        let file = open_marks(pid).ok()?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { file })
    }

    /// Makes the kernel forget all writes until now.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn forget(&self) -> io::Result<()> {
        forget(&self.file)
    }
}

/// Opens the file of a process that takes requests to forget. `process` is its pid, or `self`.
fn open_marks(process: impl Display) -> io::Result<File> {
    OpenOptions::new().write(true).open(format!("/proc/{process}/clear_refs"))
}

fn forget(mut marks: &File) -> io::Result<()> {
    marks.write_all(FORGET)
}

/// Pages that were copied while the process ran, and the tracking of its writes since.
#[derive(Debug)]
pub(super) struct CopyAhead {
    pub pages: EarlierCopy,
    /// Held while they are used.
    pub _tracking: WriteTracking,
}

/// Whether this kernel tracks writes: tried on our own memory, once. Kernels without it accept the request, and never set the bit.
fn is_supported() -> bool {
    static IS_SUPPORTED: OnceLock<bool> = OnceLock::new();
    *IS_SUPPORTED.get_or_init(|| {
        is_trusted(&rustix::system::uname().release().to_string_lossy()) && is_exact().unwrap_or(false)
    })
}

/// Whether a release of Linux, as `6.1.0-57-amd64`, is new enough.
fn is_trusted(release: &str) -> bool {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit()).map(|number| number.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    version.is_some_and(|version| version >= FIRST_LINUX)
}

/// Whether the bits of three pages are right: one written to, one not, one written to after a change of its protection (which Linux 5.19 missed).
fn is_exact() -> io::Result<bool> {
    let page = rustix::param::page_size();
    let mut pages = MmapMut::map_anon(3 * page)?;
    // A huge page has one bit. Kernels without them refuse the advice.
    let _ = pages.advise(memmap2::Advice::NoHugePage);
    let first = Addr(pages.as_ptr() as u64);
    pages.iter_mut().step_by(page).for_each(|byte| *byte = 1);
    forget(&open_marks("self")?)?;
    let mut page_map = PageMap::new(Some(File::open("/proc/self/pagemap")?), false);
    let mut bits = || {
        let mut bits = Vec::new();
        let is_set = |entry| entry & (PRESENT | SOFT_DIRTY) == PRESENT | SOFT_DIRTY;
        let all = first..first.plus(3 * page as u64);
        let end = page_map.entries(&all, |at, entry| {
            bits.extend((at.0 % page as u64 == 0).then_some(is_set(entry)));
        });
        end.map(|()| bits).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let before = bits()?;
    write(&mut pages, 0);
    let pages = pages.make_read_only()?;
    let mut pages = pages.make_mut()?;
    write(&mut pages, 2 * page);
    Ok(before == [false; 3] && bits()? == [true, false, true])
}

fn write(pages: &mut MmapMut, at: usize) {
    if let Some(byte) = pages.get_mut(at) {
        *byte = std::hint::black_box(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_is_what_the_kernel_was_built_with() {
        let Ok(config) = std::process::Command::new("zcat").arg("/proc/config.gz").output() else { return };
        let config = String::from_utf8_lossy(&config.stdout);
        if config.is_empty() {
            eprintln!("skipped: this kernel does not say how it was built");
            return;
        }
        let is_built_in = config.lines().any(|line| line == "CONFIG_MEM_SOFT_DIRTY=y");
        assert_eq!(is_exact().unwrap(), is_built_in);
    }

    #[test]
    fn old_kernels_are_not_trusted() {
        for (release, expected) in [
            ("6.1.0-57-cloud-amd64", true),
            ("5.11.0", true),
            ("10.0", true),
            ("5.10.223-1", false),
            ("4.19.0", false),
            ("6", false),
            ("", false),
            ("x.y", false),
        ] {
            assert_eq!(is_trusted(release), expected, "{release}");
        }
    }
}
