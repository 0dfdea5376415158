//! The files that a process has mapped: the same files even if it is in a container, or they were deleted or replaced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, major, minor};

use super::page_map::is_copied;
use crate::info::{Mapping, MappingKind, ProcessInfo};
use crate::memory::FilePart;

/// The most files that are kept open. The content of others is copied from memory.
const MAX_FILES: usize = 512;

/// The parts of files behind the mappings of a process, by address.
#[derive(Debug, Default)]
pub(super) struct MappedFiles {
    parts: Vec<(Mapping, Arc<FilePart>)>,
}

impl MappedFiles {
    /// Opens the files of the current mappings, and keeps those that are still mapped.
    pub fn reopened(self, info: &ProcessInfo) -> Self {
        let is_file = |mapping: &&Mapping| mapping.kind() == MappingKind::File && is_copied(mapping);
        let mut opened: Vec<(&Mapping, Arc<File>)> = Vec::new();
        let mut parts = Vec::with_capacity(self.parts.len());
        for mapping in info.mappings.iter().filter(is_file) {
            if let Some(part) = self.part(mapping) {
                parts.push((mapping.clone(), Arc::clone(part)));
                continue;
            }
            let is_same = |known: &Mapping| (known.device, known.inode) == (mapping.device, mapping.inode);
            let file = match opened.iter().find(|(known, _)| is_same(known)) {
                Some((_, file)) => Arc::clone(file),
                None if opened.len() >= MAX_FILES => continue,
                None => {
                    let Ok(file) = open(info.id.pid, mapping).map(Arc::new) else { continue };
                    opened.push((mapping, Arc::clone(&file)));
                    file
                }
            };
            let part = FilePart::new(file, mapping.offset, mapping.length());
            parts.push((mapping.clone(), Arc::new(part)));
        }
        Self { parts }
    }

    /// The file's part behind a mapping, if the file is open.
    pub fn part(&self, mapping: &Mapping) -> Option<&Arc<FilePart>> {
        let at =
            self.parts.binary_search_by_key(&mapping.range.start, |(known, _)| known.range.start).ok()?;
        self.parts.get(at).filter(|(known, _)| known.is_same_as(mapping)).map(|(_, part)| part)
    }
}

/// Opens the file behind a mapping of a process, in one of three ways.
///
/// `map_files` has the file itself, but needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the first user namespace
/// (proc_pid_map_files(5)). The path, in the root of the process, may name another file by now, so device and inode are compared. `exe` is
/// the program's file, deleted or not.
///
/// # Errors
/// If no way leads to it, or it is not a regular file: opening a device may have effects.
pub(super) fn open(pid: u32, mapping: &Mapping) -> io::Result<File> {
    if mapping.kind() != MappingKind::File {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no file is mapped there"));
    }
    let (start, end) = (mapping.range.start.0, mapping.range.end.0);
    let mut refusal = match open_regular(Path::new(&format!("/proc/{pid}/map_files/{start:x}-{end:x}"))) {
        Ok(file) => return Ok(file),
        Err(error) => error,
    };
    if let Some(path) = in_root(pid, &mapping.path).filter(|_| !mapping.deleted) {
        match open_same(&path, mapping) {
            Ok(file) => return Ok(file),
            Err(error) => refusal = error,
        }
    }
    open_same(Path::new(&format!("/proc/{pid}/exe")), mapping).map_err(|_| refusal)
}

/// A path of the process as we see it. It stays below the process's root as long as no link leads out, and the file found is verified.
fn in_root(pid: u32, path: &Path) -> Option<PathBuf> {
    Some(Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?))
}

fn open_same(path: &Path, mapping: &Mapping) -> io::Result<File> {
    let file = open_regular(path)?;
    let found = file.metadata()?;
    let is_same = found.ino() == mapping.inode && (major(found.dev()), minor(found.dev())) == mapping.device;
    if is_same { Ok(file) } else { Err(io::Error::other("its path names another file now")) }
}

/// Opens a file after a check that it is a regular one.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let handle = OpenOptions::new().read(true).custom_flags(OFlags::PATH.bits().cast_signed()).open(path)?;
    if !handle.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Through the handle, so that it is the file that was checked. Regular files need no O_NONBLOCK.
    File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}
