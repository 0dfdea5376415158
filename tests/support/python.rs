//! Interpreters, and Python programs to be looked at.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip::note;
use super::{Background, Tool, workspace};

/// The version of psutil that measurements are held against.
const PSUTIL: &str = "7.2.2";

/// An interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The interpreter itself: no wrapper script, no link.
    pub path: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The interpreter that `python3` names, or else the newest there is; `None` on a machine without.
pub fn python() -> Option<&'static Python> {
    static DEFAULT: OnceLock<Option<Python>> = OnceLock::new();
    DEFAULT.get_or_init(|| ask(Path::new("python3")).or_else(|| pythons().last().cloned())).as_ref()
}

/// An interpreter that memobj knows.
pub fn known() -> Option<&'static Python> {
    python().filter(|python| python.version >= (3, 8))
}

/// All interpreters: pyenv's and the system's, each once, by version.
pub fn pythons() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut seen = HashSet::new();
        let mut found: Vec<Python> = candidates()
            .iter()
            .filter_map(|path| ask(path))
            .filter(|python| seen.insert(python.path.clone()))
            .collect();
        found.sort_by(|a, b| (a.version, &a.path).cmp(&(b.version, &b.path)));
        found
    })
}

/// What may be an interpreter: `$PYENV_ROOT/versions/*/bin/python` and `/usr/bin/python3*`.
fn candidates() -> Vec<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".pyenv")));
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let versions = pyenv.into_iter().flat_map(|root| entries(root.join("versions")));
    let systems = entries("/usr/bin".into()).filter(|entry| {
        // `python3-config` and the like are no interpreters.
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix("python3"));
        rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    });
    versions.map(|entry| entry.path().join("bin/python")).chain(systems.map(|entry| entry.path())).collect()
}

/// Asks an interpreter who it is. `python3` on the search path may be a wrapper (pyenv's is), whose pid and memory are not
/// the interpreter's for long; `sys.executable` is the thing itself.
fn ask(program: &Path) -> Option<Python> {
    let code = "import os, sys; print(os.path.realpath(sys.executable), *sys.version_info[:2], sep='\\n')";
    let output = Command::new(program).args(["-I", "-c", code]).output().ok()?;
    // `-I` is of Python 3.4: Python 2 fails here and is left out.
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut lines = text.lines();
    let path = PathBuf::from(lines.next()?);
    Some(Python { path, version: (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?) })
}

/// An interpreter that can import psutil, in a virtual environment made by the first test that asks and kept with the
/// build.
///
/// # Errors
/// Why there is none: a reason for [`skip!`](crate::skip).
pub fn psutil() -> Result<&'static Path, &'static str> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let python = python().ok_or("no Python on this machine")?;
        let (major, minor) = python.version;
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("psutil-{PSUTIL}-py{major}.{minor}"));
        environment(python, &kept, &[&format!("psutil=={PSUTIL}")], "import psutil")
    });
    made.as_deref().map_err(String::as_str)
}

/// An interpreter with `packages`, each with its version, for which `check` runs; in a virtual environment that is kept with the build.
///
/// # Errors
/// Why there is none: a reason for [`skip!`](crate::skip).
pub fn with(packages: &[&str], check: &str) -> Result<PathBuf, String> {
    let python = python().ok_or("no Python on this machine")?;
    let (major, minor) = python.version;
    let name = format!("{}-py{major}.{minor}", packages.join("-").replace("==", "-"));
    environment(python, &Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), packages, check)
}

/// Runs a test with each of some versions of a package for which `check` runs, and says whether there was any.
pub fn with_each(versions: &[&str], check: &str, test: impl Fn(&str, &Path)) -> bool {
    let mut tried = false;
    for version in versions {
        match with(&[version], check) {
            Ok(interpreter) => test(version, &interpreter),
            Err(reason) => {
                note(module_path!(), line!(), &format!("no {version}: {reason}"));
                continue;
            }
        }
        tried = true;
    }
    tried
}

/// A virtual environment in `kept` with `packages`, for which `check` runs.
///
/// Made beside its place and renamed into it when complete: another test program at the same work wins or loses, but
/// nobody sees half of it.
fn environment(python: &Python, kept: &Path, packages: &[&str], check: &str) -> Result<PathBuf, String> {
    let interpreter = kept.join("bin/python");
    let works = || silent(Command::new(&interpreter).args(["-c", check])).is_ok();
    if works() {
        return Ok(interpreter);
    }
    let parent = kept.parent().unwrap_or(kept);
    let made = tempfile::Builder::new().prefix("venv-").tempdir_in(parent).map_err(|e| e.to_string())?;
    silent(Command::new(&python.path).args(["-m", "venv"]).arg(made.path()))?;
    silent(
        Command::new(made.path().join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(packages),
    )?;
    // Refused if another has made it meanwhile, or if what lies there is broken (its interpreter is gone).
    if fs::rename(made.path(), kept).is_err() && !works() {
        let _ = fs::remove_dir_all(kept);
        let _ = fs::rename(made.path(), kept);
    }
    if works() { Ok(interpreter) } else { Err(format!("{} does not work", interpreter.display())) }
}

/// Runs a command to its end; its last line on stderr is the error.
fn silent(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Err(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("failed without a word").to_owned())
}

/// A program of `tests/targets/` as a tool to be run or started.
pub fn script(python: &Python, name: &str, args: &[&str]) -> Tool {
    let file = workspace::root().join("tests/targets").join(name);
    // Without `-B` Python would leave its byte code beside the sources.
    Tool::new(&python.path).arg("-B").arg(file).args(args)
}

/// A running program of `tests/targets/` that has said `ready`.
#[derive(Debug)]
pub struct Target {
    /// The process. Closing its stdin ends it.
    pub process: Background,
    /// What stood behind `ready` on its line, its own pid first.
    pub ready: Vec<u32>,
}

impl Target {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it ends before, or takes longer than [`PATIENCE`](super::PATIENCE).
    #[track_caller]
    pub fn start(python: &Python, name: &str, args: &[&str]) -> Self {
        let mut process = script(python, name, args).start();
        let line = process.wait_line("ready ");
        let ready = line.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
        Self { process, ready }
    }

    /// Its pid, by its own account.
    pub fn pid(&self) -> u32 {
        self.ready[0]
    }
}
