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
use std::io;
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

/// Who can read a file that is written whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner, whatever mode, owner or link a file had before: for the memory of a process.
    OnlyOwner,
    /// Its owner, if it is new.
    Owner,
    /// All users, if it is new, as far as the umask permits: for content without secrets that other services read.
    Everyone,
}

/// Writes the whole file at `path`: it has its old content, or is not there, until `write` succeeded. So a reader never sees a part.
///
/// Where the file system can, the new file has no name until then, so nothing is left of it if the process is killed; else it is
/// written beside `path`. A file that exists keeps its mode, unless `readers` says otherwise. Links, devices and files of other
/// users stay what they are; they are written as [`open`] does, not at once.
///
/// # Errors
/// As open(2), write(2) and rename(2), and those of `write`.
pub fn write_whole<T>(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> io::Result<T> {
    let earlier = if readers == Readers::OnlyOwner { path.metadata() } else { path.symlink_metadata() };
    let can_replace = match &earlier {
        Ok(about) => about.is_file() && (readers == Readers::OnlyOwner || is_ours_alone(about)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let new = match can_replace.then(|| NewFile::create(path, readers)).transpose() {
        // A folder may take no new files, though the old one can be written.
        Err(_) if readers != Readers::OnlyOwner => None,
        created => created?,
    };
    let Some(new) = new else { return write(&open(path, Existing::Replace)?) };
    if let Some(about) = earlier.ok().filter(|_| readers != Readers::OnlyOwner) {
        new.file.set_permissions(about.permissions())?;
    }
    let written = write(&new.file)?;
    new.rename_to(path)?;
    Ok(written)
}

/// Checks whether [`write_whole`] can work, before there is content. Creates missing folders.
///
/// # Errors
/// As [`write_whole`].
pub fn check_whole(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        _ if path.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // Nothing is created beside it.
        Ok(about) if !about.is_file() => return Ok(()),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    NewFile::create(path, Readers::Owner).map(drop)
}

/// A file that is not complete. Dropped, it is removed.
#[derive(Debug)]
struct NewFile {
    file: File,
    /// Its name for the time being.
    beside: PathBuf,
    has_name: bool,
}

impl NewFile {
    /// Creates a file in the folder of `path`.
    fn create(path: &Path, readers: Readers) -> io::Result<Self> {
        let beside = beside(path)?;
        let mode = if readers == Readers::Everyone { 0o644 } else { 0o600 };
        // File systems that have no files without a name refuse in different ways.
        if let Some(file) = without_name(path, mode) {
            return Ok(Self { file, beside, has_name: false });
        }
        remove_old(&beside)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        Ok(Self { file: options.open(&beside)?, beside, has_name: true })
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if !self.has_name {
            remove_old(&self.beside)?;
            give_name(&self.file, &self.beside)?;
            self.has_name = true;
        }
        fs::rename(&self.beside, path)?;
        self.has_name = false;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.has_name {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// A hidden file in the folder of `path`, of this process.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Removes a file that a process left when it was killed, or a link of another user.
fn remove_old(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file without a name in the folder of `path`: `O_TMPFILE` in open(2).
#[cfg(target_os = "linux")]
fn without_name(path: &Path, mode: u32) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(mode)).ok()?;
    // Its name is given through this link.
    descriptor_link(&file).exists().then(|| file.into())
}

#[cfg(target_os = "linux")]
fn give_name(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    Ok(rustix::fs::linkat(CWD, descriptor_link(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(target_os = "linux")]
fn descriptor_link(file: &impl std::os::fd::AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(not(target_os = "linux"))]
fn without_name(_: &Path, _: u32) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn give_name(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn is_ours_alone(_: &fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
fn is_ours_alone(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    about.nlink() == 1 && about.uid() == rustix::process::geteuid().as_raw()
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

    fn put(path: &Path, readers: Readers, text: &[u8]) -> io::Result<()> {
        write_whole(path, readers, |mut file| file.write_all(text))
    }

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
    }

    #[test]
    fn whole_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/metrics.prom");
        check_whole(&path).unwrap();
        assert_eq!(names(path.parent().unwrap()), [""; 0], "the check leaves nothing");
        put(&path, Readers::Everyone, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o700, 0o600);
        let reader = File::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // A process that was killed left it.
        fs::write(beside(&path).unwrap(), "half").unwrap();
        put(&path, Readers::Owner, b"second").unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "one", "who reads the old file reads all of it");
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(path.parent().unwrap()), ["metrics.prom"]);
        assert_eq!(check_whole(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn failed_file_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let fail = || {
            let failed = write_whole(&path, Readers::Owner, |mut file| -> io::Result<()> {
                file.write_all(b"half")?;
                assert!(names(folder.path()).len() <= 1, "a part has no name");
                Err(io::ErrorKind::StorageFull.into())
            });
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        };
        fail();
        assert_eq!(names(folder.path()), [""; 0]);
        put(&path, Readers::Owner, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fail();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"first".to_vec(), vec!["a".into()]));
        assert_eq!(
            put(&path.join("below"), Readers::Owner, b"x").unwrap_err().kind(),
            io::ErrorKind::NotADirectory
        );
    }

    #[test]
    fn named_file_goes_too() {
        // As on a file system without files that have no name.
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("a"), folder.path().join(".a.tmp"));
        let new = || NewFile { file: File::create(&beside).unwrap(), beside: beside.clone(), has_name: true };
        drop(new());
        assert_eq!(names(folder.path()), [""; 0]);
        new().rename_to(&path).unwrap();
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn links_and_devices_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old content").unwrap();
        symlink("file", &link).unwrap();
        put(&link, Readers::Everyone, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let second = folder.path().join("second");
        fs::hard_link(&file, &second).unwrap();
        put(&second, Readers::Owner, b"third").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"third");
        check_whole(Path::new("/dev/null")).unwrap();
        put(Path::new("/dev/null"), Readers::Everyone, b"x").unwrap();
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
