//! The project's own files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path from the workspace's folder, with `/`.
    pub path: String,
    /// Its text; files that are no UTF-8 are left out of lists.
    pub text: String,
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of one file.
///
/// # Panics
/// If it cannot be read.
#[track_caller]
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file that is committed or would be, by path. Without git (a source archive), every file that is not built.
pub fn files() -> Vec<File> {
    let mut paths = listed_by_git(root()).unwrap_or_else(|| walked(root()));
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        // Git lists files that were just deleted too.
        .filter_map(|path| Some(File { text: std::fs::read_to_string(root().join(&path)).ok()?, path }))
        .collect()
}

/// What git knows of, and what it would take in.
pub fn listed_by_git(folder: &Path) -> Option<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(folder)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(listed.stdout).ok()?;
    Some(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Every file below `folder` but those of git, of builds and of Python.
pub fn walked(folder: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in std::fs::read_dir(&current).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                // A folder of cargo's has this mark (<https://bford.info/cachedir>); memobj has a module `target`.
                let built = path.join("CACHEDIR.TAG").exists();
                let ours = !built && !matches!(name.to_str(), Some(".git" | "__pycache__"));
                open.extend(ours.then_some(path));
            } else if name != ".git" {
                paths.extend(path.strip_prefix(folder).unwrap().to_str().map(str::to_owned));
            }
        }
    }
    paths
}
