//! Programs of Debian's packages, unpacked and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::workspace;

/// The root folder of packages that have `programs`, kept with the build as `name`. `download` is a script for the shell that
/// downloads the packages into its folder; it can use `apt SUITE COMMAND` of `packaging/apt.bash`.
///
/// # Errors
/// That they cannot be downloaded: a reason for [`skip!`](crate::skip).
pub fn unpacked(name: &str, download: &str, programs: &[&str]) -> Result<PathBuf, String> {
    // Tests that need the same packages run at the same time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let has_all = |folder: &Path| programs.iter().all(|program| folder.join(program).is_file());
    if has_all(&kept) {
        return Ok(kept);
    }
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let script = format!(
        "set -e; shopt -s nullglob; folder=$PWD/lists; . \"$1\"; mkdir debs root; cd debs; {download}\nfor file in *.deb; do dpkg -x \"$file\" ../root; done"
    );
    let run = Command::new("timeout")
        .args(["300", "bash", "-c", &script, "bash"])
        .arg(workspace::root().join("packaging/apt.bash"))
        .current_dir(made.path())
        .output();
    let has_run = run.is_ok_and(|run| run.status.success());
    let root = made.path().join("root");
    if !has_run || !has_all(&root) {
        return Err(format!("no {name} on this machine, and apt-get cannot download Debian's"));
    }
    // Refused if another test program has made it meanwhile.
    let _ = fs::rename(root, &kept);
    Ok(kept)
}
