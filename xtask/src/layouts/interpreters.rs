//! The interpreters of this machine that layout tables can be made from.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace;

/// The folder where `tests/interpreters` keeps what it fetched; `target/interpreters` without it.
pub const FOLDER: &str = "MEMTOOLS_INTERPRETERS";

/// An interpreter that was asked who it is.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Who built it, and its version: `pyenv 3.13.0`.
    pub origin: String,
    /// What starts it.
    pub program: PathBuf,
    /// As `sys.hexversion`.
    pub hexversion: u32,
    /// Built without the global lock.
    pub free_threaded: bool,
    /// Built with `Py_DEBUG`.
    pub debug: bool,
    /// Whether musl's loader loads it, and not glibc's, or none.
    pub musl: bool,
    /// Whether an instance whose dict was asked for shows the collector that dict; `None` where it has no inline values.
    pub shows_dict: Option<bool>,
    /// The file that its runtime is in, then its extension modules.
    pub files: Vec<PathBuf>,
    /// Folders under which `usr/lib/debug` may be.
    pub roots: Vec<PathBuf>,
}

impl fmt::Display for Interpreter {
    /// `Debian 3.13.5 (debug)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        f.write_str(build(self.free_threaded, self.debug))
    }
}

/// The kind of a build, as it follows a version.
pub(super) const fn build(free_threaded: bool, debug: bool) -> &'static str {
    match (free_threaded, debug) {
        (false, false) => "",
        (true, false) => " (free-threaded)",
        (false, true) => " (debug)",
        (true, true) => " (free-threaded, debug)",
    }
}

impl Interpreter {
    /// Whether its symbols and debug information were taken out.
    #[must_use]
    pub fn stripped(&self) -> bool {
        self.origin.contains("stripped")
    }

    /// Whether it is linked with everything it needs: it has no extension modules.
    #[must_use]
    pub fn linked_statically(&self) -> bool {
        self.origin.starts_with("static")
    }

    /// The second number of its version.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.hexversion >> 16 & 0xff
    }

    /// The third number of its version.
    #[must_use]
    pub fn micro(&self) -> u32 {
        self.hexversion >> 8 & 0xff
    }
}

/// Version, ABI flags, the file that the runtime is mapped from (the shared library, or else the program), the folder of extension
/// modules, a difference that no debug information shows and distributions change: what an instance shows the collector, and
/// whether musl is loaded: its C library is its loader (`libc.so` or `ld-musl-x86_64.so.1`), and glibc's has a version in its name.
const WHO: &str = r"
import gc, os, sys
class Plain: pass
plain = Plain()
plain.one, shown = [], plain.__dict__
shows = any(one is shown for one in gc.get_referents(plain))
maps = [line.split(None, 5)[5].rstrip() for line in open('/proc/self/maps') if line.count('/')]
name = lambda path: os.path.basename(path)
found = [p for p in maps if name(p).startswith('libpython3')] or [p for p in maps if name(p).startswith('python3')]
folder = [p for p in sys.path if p.endswith('lib-dynload')]
print(sys.hexversion, sys.abiflags or '-', sep='\n')
print(found[0], (folder or [''])[0], sep='\n')
print('-' if sys.version_info < (3, 13) else int(shows))
print(int(any(name(path) == 'libc.so' or name(path).startswith('ld-musl') for path in maps)))
";

/// All interpreters with what they say of themselves: pyenv's, the system's, and those that `tests/interpreters` fetched.
#[must_use]
pub fn found() -> Vec<Interpreter> {
    found_with(|_| true)
}

/// The interpreter that `program` starts; `None` if it starts none.
#[must_use]
pub fn at(program: &Path) -> Option<Interpreter> {
    let known = programs().into_iter().find(|(_, path)| path == program);
    ask(known.as_ref().map_or("local", |(who, _)| who), program)
}

/// Those of [`found`] that `wanted` accepts.
pub fn found_with(wanted: impl Fn(&Interpreter) -> bool) -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> = Vec::new();
    for (who, path) in programs() {
        let Some(interpreter) = ask(&who, &path).filter(&wanted) else { continue };
        if !found.iter().any(|other| other.files.first() == interpreter.files.first()) {
            found.push(interpreter);
        }
    }
    found
}

/// Who made it, and what to start.
fn programs() -> Vec<(String, PathBuf)> {
    let entries = |folder: PathBuf| {
        let mut all: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        all.sort();
        all
    };
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".pyenv")));
    let mut programs: Vec<(String, PathBuf)> = Vec::new();
    for version in pyenv.into_iter().flat_map(|root| entries(root.join("versions"))) {
        programs.push(("pyenv".to_owned(), version.join("bin/python")));
    }
    for path in entries("/usr/bin".into()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.strip_prefix("python3.").unwrap_or_default();
        if !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'd' || byte == b't')
        {
            programs.push(("system".to_owned(), path));
        }
    }
    let list = folder().join("list");
    for line in std::fs::read_to_string(list).unwrap_or_default().lines() {
        if let [who, _, _, path] = line.split('\t').collect::<Vec<_>>().as_slice() {
            programs.push(((*who).to_owned(), PathBuf::from(path)));
        }
    }
    programs
}

/// Where `tests/interpreters` keeps what it fetched.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER).map_or_else(|| workspace::root().join("target/interpreters"), PathBuf::from)
}

fn ask(who: &str, program: &Path) -> Option<Interpreter> {
    let output = Command::new(program).args(["-I", "-S", "-c", WHO]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut lines = text.lines();
    let hexversion: u32 = lines.next()?.parse().ok()?;
    let flags = lines.next()?;
    let runtime = PathBuf::from(lines.next()?);
    let mut files = vec![runtime.clone()];
    let folder = lines.next()?;
    let shows_dict = lines.next()?.parse().ok().map(|shows: u32| shows == 1);
    let musl = lines.next()? == "1";
    let mut modules: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    modules.sort();
    // The debug build of Debian lies beside the plain one: modules of both are in one folder, distinguished by their names.
    let debug = flags.contains('d');
    files.extend(modules.into_iter().filter(|path| is_module(path, debug)));
    let roots = runtime.ancestors().filter(|folder| folder.join("usr/lib/debug").is_dir());
    Some(Interpreter {
        origin: format!("{who} {}", version(hexversion)),
        program: program.to_owned(),
        hexversion,
        free_threaded: flags.contains('t'),
        debug,
        musl,
        shows_dict,
        roots: roots.map(Path::to_owned).collect(),
        files,
    })
}

/// Whether a file of `lib-dynload` is a module of this build: `array.cpython-313-x86_64-linux-gnu.so`, `array.cpython-313d-…`.
fn is_module(path: &Path, debug: bool) -> bool {
    let name =
        path.file_name().map(OsString::from).and_then(|name| name.into_string().ok()).unwrap_or_default();
    let tag = name.split(['.', '-']).nth(2).unwrap_or_default();
    name.ends_with(".so") && tag.ends_with('d') == debug
}

/// `3.13.0`, `3.15.0rc1`.
fn version(hexversion: u32) -> String {
    let [major, minor, micro, level] = hexversion.to_be_bytes();
    let suffix = match level >> 4 {
        0xa => format!("a{}", level & 15),
        0xb => format!("b{}", level & 15),
        0xc => format!("rc{}", level & 15),
        _ => String::new(),
    };
    format!("{major}.{minor}.{micro}{suffix}")
}
