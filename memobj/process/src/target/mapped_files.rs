//! The files of a process: the very ones that it has mapped, in whatever container it is, deleted or replaced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, major, minor};

use crate::info::{Mapping, MappingKind};

/// Opens the file behind a mapping of a process.
///
/// Three ways are tried. `map_files` leads to the very file, but takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the first user
/// namespace (proc_pid_map_files(5)). The path, in the root of the process, may meanwhile be another file's, so that device and number
/// are compared. `exe` is the program's own, deleted or not.
///
/// # Errors
/// If none leads to it, or it is no regular file: devices are never opened, since that alone may change something.
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

/// Where a path of a process is, seen from here. Its parts stay below the process's root as long as no link leads out of it, and what
/// is found there is compared before it is believed.
fn in_root(pid: u32, path: &Path) -> Option<PathBuf> {
    Some(Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?))
}

fn open_same(path: &Path, mapping: &Mapping) -> io::Result<File> {
    let file = open_regular(path)?;
    let found = file.metadata()?;
    let is_same = found.ino() == mapping.inode && (major(found.dev()), minor(found.dev())) == mapping.device;
    if is_same { Ok(file) } else { Err(io::Error::other("another file has its name now")) }
}

/// Opens a file, if it is one: looked at before it is opened.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let place = OpenOptions::new().read(true).custom_flags(OFlags::PATH.bits().cast_signed()).open(path)?;
    if !place.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Through the handle, so that it is the one that was looked at. Without O_NONBLOCK: it is a regular file.
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))
}
