//! Opens files for output: private when they are new, and not through links of other users.
//!
//! Logs hold command lines, which may hold passwords. The program may run as root in a folder in which everybody can
//! create links, as in `/tmp`.
//!
//! ```
//! use std::io::Write as _;
//! use common::output_file::{Existing, open};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("log.jsonl");
//! open(&path, Existing::Append)?.write_all(b"{}\n")?;
//! # std::io::Result::Ok(())
//! ```

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The effect on the content of a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Output follows the content.
    Append,
    /// Output replaces the content.
    Replace,
}

/// Opens a file for output. Only its owner can read a new file; a file that exists keeps its mode.
///
/// Devices, FIFOs and `/dev/stdout` can be opened too.
///
/// # Errors
/// As open(2). Also if the path is a symbolic link that another user than root and us created, a link to a file of
/// another user, or a file of another user in a folder where everybody can create files. Linux has the same rules
/// as `fs.protected_symlinks`, `fs.protected_regular` and `fs.protected_fifos` (proc_sys_fs(5)), but they can be off.
pub fn open(path: &Path, existing: Existing) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).append(existing == Existing::Append);
    let file = open_checked(path, &options)?;
    // After the checks: opening with O_TRUNC would empty the file before them.
    if existing == Existing::Replace && file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Replaces the whole file at `path`: a reader sees the old content or the new one, never a part.
///
/// The content is written to a file beside it, which is then renamed. It must have no secrets: all users can read a new file, as far
/// as the umask permits, because other services read such files. A file that exists keeps its mode. Links, devices and FIFOs stay
/// what they are; they are written as [`open`] does, not at once.
///
/// # Errors
/// As open(2), write(2) and rename(2).
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let existing = match path.symlink_metadata() {
        Ok(about) if !about.is_file() => return open(path, Existing::Replace)?.write_all(content),
        about => about.ok(),
    };
    let beside = beside(path)?;
    let written = create_beside(&beside).and_then(|mut file| {
        if let Some(about) = existing {
            file.set_permissions(about.permissions())?;
        }
        file.write_all(content)
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        // It may not exist.
        let _ = fs::remove_file(&beside);
    }
    renamed
}

/// Checks whether [`replace`] can work, before there is content. Creates missing folders.
///
/// # Errors
/// As [`replace`].
pub fn check_replace(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        _ if path.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // Nothing is created beside it.
        Ok(about) if !about.is_file() => return Ok(()),
        _ => {}
    }
    let beside = beside(path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    create_beside(&beside)?;
    fs::remove_file(beside)
}

/// A hidden file in the folder of `path`, of this process.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Creates the file anew: one that exists is left by a process that was killed, or is a link of another user.
fn create_beside(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options.open(path)
}

#[cfg(not(unix))]
fn open_checked(path: &Path, options: &OpenOptions) -> io::Result<File> {
    options.clone().create(true).truncate(false).open(path)
}

#[cfg(unix)]
use links::open_checked;

#[cfg(unix)]
mod links {
    use std::fs::Metadata;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::{File, OpenOptions, Path, io};

    /// The most links that lead to a file, as in Linux (MAXSYMLINKS in include/linux/namei.h), or attempts to open one.
    const MAX_STEPS: usize = 40;
    /// The type of `/proc`, by statfs(2). Its links lead to open files, some of which have no path.
    #[cfg(target_os = "linux")]
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    /// The mode bits of a folder where everybody can create files, but remove only their own.
    const SHARED_FOLDER: u32 = 0o1002;

    /// Follows links one by one, because open(2) does not say whose links it follows.
    pub(super) fn open_checked(path: &Path, options: &OpenOptions) -> io::Result<File> {
        let mut path = path.to_path_buf();
        let mut is_linked = false;
        for _ in 0..MAX_STEPS {
            match options.clone().create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Many folders of /dev and /proc take no new files.
                Err(error) if path.symlink_metadata().is_err() => return Err(error),
                Err(_) => {}
                new => return new,
            }
            let opened = options.clone().custom_flags(flags(OFlags::NOFOLLOW)).open(&path);
            match opened {
                Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {}
                // Somebody removed it meanwhile: it can be created.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
                Ok(file) => return check_owner(file, &path, is_linked),
            }
            let link = OpenOptions::new()
                .read(true)
                .custom_flags(flags(OFlags::PATH | OFlags::NOFOLLOW))
                .open(&path)?;
            let about = link.metadata()?;
            if !about.is_symlink() {
                continue;
            }
            if ![0, our_user()].contains(&about.uid()) {
                return Err(refusal("is a link that another user created"));
            }
            if is_in_proc(&link) {
                return options.open(&path);
            }
            let target = std::fs::read_link(&path)?;
            path = path.parent().map(|folder| folder.join(&target)).unwrap_or(target);
            is_linked = true;
        }
        Err(Errno::LOOP.into())
    }

    fn check_owner(file: File, path: &Path, is_linked: bool) -> io::Result<File> {
        let about = file.metadata()?;
        if about.uid() == our_user() {
            return Ok(file);
        }
        if is_linked && about.is_file() {
            return Err(refusal("is a link to a file of another user"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::fs::metadata(folder.unwrap_or(Path::new(".")))?;
        let is_shared = |folder: &Metadata| folder.mode() & SHARED_FOLDER == SHARED_FOLDER;
        // As the kernel does: the owner of the folder can replace every file in it.
        if is_shared(&folder) && about.uid() != folder.uid() {
            return Err(refusal("is a file of another user, in a folder where everybody can create files"));
        }
        Ok(file)
    }

    fn refusal(message: &str) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, message)
    }

    fn our_user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn flags(flags: OFlags) -> i32 {
        flags.bits().cast_signed()
    }

    #[cfg(target_os = "linux")]
    fn is_in_proc(link: &File) -> bool {
        rustix::fs::fstatfs(link).is_ok_and(|system| u64::try_from(system.f_type) == Ok(PROC_SUPER_MAGIC))
    }

    /// `/dev/stdout` and `/dev/fd` are devices or files of their own.
    #[cfg(not(target_os = "linux"))]
    fn is_in_proc(_: &File) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn new_file_is_private_and_old_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        open(&path, Existing::Append).unwrap().write_all(b"one").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        open(&path, Existing::Append).unwrap().write_all(b"two").unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o644, b"onetwo".to_vec()));
        open(&path, Existing::Replace).unwrap().write_all(b"3").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(open(folder.path(), Existing::Append).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(open(&path.join("below"), Existing::Append).is_err());
    }

    #[test]
    fn own_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (link, second) = (folder.path().join("link"), folder.path().join("second"));
        symlink("second", &link).unwrap();
        symlink(folder.path().join("file"), &second).unwrap();
        open(&link, Existing::Append).unwrap().write_all(b"new").unwrap();
        open(&link, Existing::Append).unwrap().write_all(b"er").unwrap();
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"newer");
        fs::remove_file(&second).unwrap();
        symlink("link", &second).unwrap();
        assert_eq!(open(&link, Existing::Append).unwrap_err().raw_os_error(), Some(40), "ELOOP");
    }

    #[test]
    fn replaced_file_is_whole_and_readable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/metrics.prom");
        check_replace(&path).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "the check leaves nothing");
        replace(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o700, 0o600);
        let reader = File::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // A process that was killed left it.
        fs::write(beside(&path).unwrap(), "half").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "one", "who reads the old file reads all of it");
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(check_replace(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn replace_keeps_links_and_devices() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old content").unwrap();
        symlink("file", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        check_replace(Path::new("/dev/null")).unwrap();
        replace(Path::new("/dev/null"), b"x").unwrap();
    }

    #[test]
    fn devices_and_fifos_are_opened() {
        open(Path::new("/dev/null"), Existing::Replace).unwrap().write_all(b"x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        open(&path, Existing::Append).unwrap().write_all(b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
    }

    #[test]
    fn descriptor_links_lead_to_the_open_file() {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        open(Path::new(&path), Existing::Replace).unwrap().write_all(b"pipe").unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "pipe");
    }
}
