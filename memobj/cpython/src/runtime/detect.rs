//! Detects the Python of a process, and the layout that holds for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::layout::{self, Build, Layout};
use crate::stage;
use memobj_process::elf::ElfCache;
use memobj_process::error::Error;
use memobj_process::info::ProcessSource;
use memobj_process::memory::{Memory, PageCache};

use super::LocateMethod;
use super::locate::{PythonFile, RuntimeLocation, SearchResult, locate, program_has};
use super::verify::{Fault, Verified, verify};
use super::version::{Version, format_hexversion};
use super::{Runtime, other_runtimes, scan};

/// Attempts on a running process, whose memory changes during the read.
const MOST_ATTEMPTS: u32 = 8;

/// Memory for the pages that the search reads, in bytes.
const SEARCH_CACHE_BYTES: u64 = 4 << 20;

/// The pause between two attempts, in milliseconds; it doubles each time.
const FIRST_PAUSE: u64 = 1;

/// The Python of a process.
#[derive(Debug, Clone)]
pub struct DetectedPython {
    /// The address of its runtime, and the method that found it.
    pub location: RuntimeLocation,
    /// Version and kind of build.
    pub build: Build,
    /// `sys.implementation.name`.
    pub implementation: String,
    /// The offsets of its structs.
    pub layout: Layout,
    /// The number of other Pythons in the same process.
    pub others: u64,
}

impl DetectedPython {
    /// As `platform.python_version()`.
    pub fn version(&self) -> String {
        format_hexversion(self.build.hexversion)
    }

    /// Verifies the layout in `memory`, and reads the interpreters and threads there.
    ///
    /// # Errors
    /// If the layout does not hold there.
    pub fn read(&self, memory: &dyn Memory) -> Result<Runtime, Error> {
        match verify(memory, &self.layout, self.location.at) {
            Ok(verified) => Ok(verified.runtime),
            Err(fault) => Err(self.fault_error(&fault)),
        }
    }

    /// Reads the interpreters and threads of a process that runs. The layout is not verified: facts about many objects do not hold while
    /// these change.
    ///
    /// # Errors
    /// As [`Runtime::read`].
    pub fn read_running(&self, memory: &dyn Memory) -> Result<Runtime, Error> {
        Runtime::read(memory, &self.layout, self.location.at)
    }

    fn fault_error(&self, fault: &Fault) -> Error {
        match fault {
            Fault::NotStarted => not_started(),
            Fault::Ended => ended(),
            Fault::Wrong(what) => Error::new(
                stage::LAYOUT,
                format!("the layout of CPython {} does not hold: {what}", self.layout.origin),
                "memobj refuses to print wrong numbers; try again: it may have been read in mid-change",
            ),
        }
    }
}

/// Finds the Python of a process, by `method` or by the first method that succeeds. `files` keeps the ELF files for the next process; it
/// needs the symbols [`SYMBOLS`](super::locate::SYMBOLS).
///
/// # Errors
/// There is none (the message says which runtime the process has, if known); it is not supported, has not started
/// ([`Error::transient`]) or has ended; or no layout holds for it (the message says which fact does not).
pub fn detect(
    source: &dyn ProcessSource,
    method: Option<LocateMethod>,
    files: &ElfCache,
) -> Result<DetectedPython, Error> {
    let mut pause = Duration::from_millis(FIRST_PAUSE);
    let mut attempts = 1;
    loop {
        match detect_once(source, method, files) {
            Err(error) if attempts < MOST_ATTEMPTS && error.stage == stage::LAYOUT && !source.is_frozen() => {
                std::thread::sleep(pause);
                pause = pause.saturating_mul(2);
                attempts = attempts.saturating_add(1);
            }
            other => return other,
        }
    }
}

fn detect_once(
    source: &dyn ProcessSource,
    method: Option<LocateMethod>,
    files: &ElfCache,
) -> Result<DetectedPython, Error> {
    let methods: Vec<LocateMethod> = method.map_or_else(|| LocateMethod::ALL.to_vec(), |method| vec![method]);
    // Headers and layouts are read by many small reads.
    let paged = PageCache::new(source.memory(), SEARCH_CACHE_BYTES);
    let search = locate(source, &methods, &paged, files);
    let try_location = |found: &RuntimeLocation| {
        if source.is_frozen() {
            return try_layouts(source.memory(), found);
        }
        match try_layouts(&paged, found) {
            // If the process writes much meanwhile, cached pages contradict each other.
            Err(error) if error.stage == stage::LAYOUT => try_layouts(source.memory(), found),
            other => other,
        }
    };
    let mut good: Vec<DetectedPython> = Vec::new();
    let mut bad: Vec<Error> = Vec::new();
    for found in &search.locations {
        match try_location(found) {
            Ok(python) => good.push(python),
            Err(error) => bad.push(error),
        }
    }
    if good.is_empty()
        && bad.iter().all(|error| error.stage == stage::LOCATE && !error.is_transient)
        && methods.contains(&LocateMethod::Scan)
    {
        for found in scan_for_runtimes(source, &search) {
            match try_location(&found) {
                Ok(python) => good.push(python),
                // In a file that is not known to contain a Python, most matches are chance.
                Err(_) if search.files.is_empty() => {}
                Err(error) => bad.push(error),
            }
        }
    }
    let mut good = good.into_iter();
    if let Some(mut python) = good.next() {
        python.others = good.len() as u64;
        return Ok(python);
    }
    // A Python that has not started comes first: the others may be chance.
    let first = bad.iter().position(|error| error.is_transient).unwrap_or(0);
    Err(if first < bad.len() {
        bad.swap_remove(first)
    } else {
        not_found(source, &search, method, |section| program_has(source, &paged, files, section))
    })
}

/// Finds the first layout that holds for a location.
fn try_layouts(memory: &dyn Memory, found: &RuntimeLocation) -> Result<DetectedPython, Error> {
    let (builds, unknown) = builds(memory, found);
    let mut first = unknown;
    for build in builds {
        let layouts = match layout::candidates(build) {
            Ok(layouts) => layouts,
            Err(error) => {
                first.get_or_insert(error);
                continue;
            }
        };
        for layout in layouts {
            match try_layout(memory, found, build, layout) {
                Ok(python) => return Ok(python),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
    }
    Err(first.unwrap_or_else(not_started))
}

fn try_layout(
    memory: &dyn Memory,
    found: &RuntimeLocation,
    build: Build,
    layout: &Layout,
) -> Result<DetectedPython, Error> {
    let mut python = DetectedPython {
        location: found.clone(),
        build,
        implementation: String::new(),
        layout: layout::refine(layout, memory, found.at)?.layout,
        others: 0,
    };
    let Verified { hexversion, abiflags, implementation, .. } =
        verify(memory, &python.layout, found.at).map_err(|fault| python.fault_error(&fault))?;
    let (debug, free_threaded) = (abiflags.contains('d'), abiflags.contains('t'));
    if (debug, free_threaded) != (build.debug, build.free_threaded) {
        let what = format!("`sys.abiflags` is '{abiflags}'");
        return Err(python.fault_error(&Fault::Wrong(what)));
    }
    python.build.hexversion = hexversion;
    python.implementation = implementation;
    // Now that the micro version is known there may be a layout that fits better.
    let better = layout::candidates(python.build)?.into_iter();
    let better = better.take_while(|better| *better != layout);
    let refined = better.filter_map(|better| layout::refine(better, memory, found.at).ok());
    if let Some(better) =
        refined.map(|better| better.layout).find(|better| verify(memory, better, found.at).is_ok())
    {
        python.layout = better;
    }
    Ok(python)
}

/// The builds that it may be, the likeliest first; an error if its own version is impossible.
fn builds(memory: &dyn Memory, found: &RuntimeLocation) -> (Vec<Build>, Option<Error>) {
    let file = &*found.file;
    let known = |hexversion: u32, free_threaded: bool| -> Vec<Build> {
        let debug = file.ref_debug || file.name_version.is_some_and(|named| named.debug);
        [debug, !debug].iter().map(|&debug| Build { hexversion, free_threaded, debug }).collect()
    };
    if let Some((hexversion, free_threaded)) = scan::read_debug_version(memory, found.at) {
        return (known(hexversion, free_threaded), None);
    }
    // Without debug offsets it is of a version in which no build was free-threaded.
    let of_symbol = file.py_version.and_then(|at| memory.read_u64(at).ok());
    let of_symbol =
        of_symbol.and_then(|version| u32::try_from(version).ok()).filter(|&v| Version::from_hex(v).is_some());
    if let Some(hexversion) = of_symbol {
        return (known(hexversion, false), None);
    }
    let banner = scan::find_banner(memory, &file.variables).filter(|banner| {
        file.name_version
            .is_none_or(|named| (named.version.major, named.version.minor) == (banner.major, banner.minor))
    });
    if let Some(version) = banner.or(file.name_version.map(|named| named.version)) {
        return (known(version.hexversion(), false), None);
    }
    (layout::builds().into_iter().filter(|build| !build.free_threaded).collect(), None)
}

/// Scans for runtimes without a symbol, of each version that the file names permit.
fn scan_for_runtimes(source: &dyn ProcessSource, search: &SearchResult) -> Vec<RuntimeLocation> {
    let mut found: Vec<RuntimeLocation> = Vec::new();
    let files: Vec<Arc<PythonFile>> =
        if search.files.is_empty() { super::locate::candidate_files(source) } else { search.files.clone() };
    for file in files {
        for build in layout::builds() {
            let fits = file
                .name_version
                .is_none_or(|named| named.version.hexversion() >> 16 == build.hexversion >> 16);
            let Some(layout) = fits.then(|| layout::candidates(build).ok()?.first().copied()).flatten()
            else {
                continue;
            };
            for at in scan::find_runtimes(source.memory(), layout, &file.variables) {
                if !found.iter().any(|known| known.at == at) {
                    found.push(RuntimeLocation { at, method: LocateMethod::Scan, file: Arc::clone(&file) });
                }
            }
        }
    }
    found
}

/// The error when no runtime was found.
fn not_found(
    source: &dyn ProcessSource,
    search: &SearchResult,
    method: Option<LocateMethod>,
    program_has: impl FnMut(&str) -> bool,
) -> Error {
    let facts = source.info();
    let who = if facts.name.is_empty() { "the process".to_owned() } else { format!("`{}`", facts.name) };
    let named = search.files.iter().find_map(|file| file.name_version.map(|named| (named, file)));
    if let Some((named, file)) = named {
        let version = named.version;
        let supported = layout::candidates(Build {
            hexversion: version.hexversion(),
            free_threaded: false,
            debug: false,
        });
        let path = display_path(&file.path);
        return match supported {
            Err(error) => Error::new(
                stage::LOCATE,
                format!("{who} runs Python {version} ({path}), which is not supported"),
                error.hint,
            ),
            Ok(_) if method.is_some() => Error::new(
                stage::LOCATE,
                format!(
                    "{who} runs Python {version} ({path}), but the way that was asked for does not find its state"
                ),
                "leave `--locate` out: there are other ways",
            ),
            Ok(_) => Error::transient(
                stage::LOCATE,
                format!("{who} has mapped Python {version} ({path}), but no state of it was found"),
                "it may just be starting; try again",
            ),
        };
    }
    if search.before_3_7 {
        return Error::new(
            stage::LOCATE,
            format!("{who} runs a Python older than 3.7, which is not supported"),
            known_versions(),
        );
    }
    let files = facts.files().map(|mapping| mapping.file_name().to_string_lossy().into_owned());
    let files: Vec<String> = files.collect();
    let runtime = other_runtimes::identify(files.iter().map(String::as_str), program_has);
    let what = match runtime {
        Some(what) => format!("{who} runs no CPython: it is {what}"),
        None => {
            format!("{who} runs no CPython: nothing of one was found in {}", display_path(&facts.program))
        }
    };
    let hint = if search.unopened > 0 {
        format!(
            "{} of its files could not be looked into: run memobj as root, where the process runs",
            search.unopened
        )
    } else {
        "give the pid of a Python process; one that it started is found by `--tree`".to_owned()
    };
    Error::new(stage::LOCATE, what, hint)
}

fn known_versions() -> String {
    let build = Build { hexversion: 0, free_threaded: false, debug: false };
    layout::candidates(build).err().map_or_else(String::new, |error| error.hint)
}

fn display_path(path: &Path) -> String {
    if path.as_os_str().is_empty() { "its memory".to_owned() } else { memobj_process::info::shown(path) }
}

fn not_started() -> Error {
    Error::transient(stage::LOCATE, "the Python in the process has not started yet", "try again in a moment")
}

fn ended() -> Error {
    Error::new(
        stage::LOCATE,
        "the Python in the process is shutting down",
        "look at a process that goes on running",
    )
}
