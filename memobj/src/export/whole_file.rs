//! Files that are either whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use common::output_file::{self, Existing};

/// Writes a file with a part of its name, which then takes its place. If that fails, an earlier file stays as it was. Devices, links and files
/// of other users are written in place. Only its owner can read a new file; a file that exists keeps its mode.
///
/// # Errors
/// As [`output_file::open`]; if it cannot be written.
pub(super) fn write(path: &Path, write: impl FnOnce(File) -> io::Result<()>) -> io::Result<()> {
    let earlier = path.symlink_metadata();
    let is_ours = |about: &fs::Metadata| {
        about.is_file() && about.nlink() == 1 && about.uid() == rustix::process::geteuid().as_raw()
    };
    let replaced = match &earlier {
        Ok(about) => is_ours(about),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let part = part_of(path);
    let file =
        if replaced { output_file::open(&part, Existing::Replace) } else { Err(io::ErrorKind::Other.into()) };
    // A folder may take no new files, though the old one can be written.
    let Ok(file) = file else { return write(output_file::open(path, Existing::Replace)?) };
    let permissions = earlier.map(|about| about.permissions());
    let written = permissions.map_or(Ok(()), |same| file.set_permissions(same));
    let written = written.and_then(|()| write(file)).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // Best effort: what failed is said anyway.
        let _ = fs::remove_file(&part);
    }
    written
}

/// The name while it is written, for this process alone.
fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn put(path: &Path, text: &[u8]) -> io::Result<()> {
        write(path, |mut file| file.write_all(text))
    }

    fn fail(path: &Path) -> io::Result<()> {
        write(path, |mut file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        })
    }

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn failed_file_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(fail(&path).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(folder.path()), [""; 0]);
        put(&path, b"first").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fail(&path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        put(&path, b"second").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"second".to_vec(), vec!["a".into()]));
    }

    #[test]
    fn links_and_devices_are_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        put(&path, b"first").unwrap();
        symlink("a", &link).unwrap();
        put(&link, b"second").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let second = folder.path().join("second");
        fs::hard_link(&path, &second).unwrap();
        put(&second, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        put(Path::new("/dev/null"), b"x").unwrap();
        assert_eq!(put(&path.join("below"), b"x").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
