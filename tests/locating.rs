//! memobj finds the Python in a process by each of its methods, and identifies processes without one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use memobj_cpython::runtime::LocateMethod;
use memobj_cpython::runtime::detect::DetectedPython;
use memobj_cpython::runtime::detect::detect;
use memobj_cpython::runtime::locate::SYMBOLS;
use memobj_cpython::stage;
use memobj_process::elf::ElfCache;
use memobj_process::error::Error;
use memobj_process::target::Target;

use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::python::pythons;
use crate::support::{Background, PATIENCE, Tool, wait_for};

/// An interpreter that has said `ready` and what it knows of itself, and waits for the end of its stdin.
struct Waiting {
    process: Background,
    hexversion: u32,
    abiflags: String,
}

const WAIT: &str = "\
import sys
print('ready', sys.hexversion, getattr(sys, 'abiflags', '') or '-', flush=True)
sys.stdin.read()
";

impl Waiting {
    fn of(tool: Tool) -> Self {
        let mut process = tool.start();
        let line = process.wait_line("ready ");
        let (hexversion, abiflags) = line.split_once(' ').unwrap();
        let abiflags = abiflags.trim_matches('-').to_owned();
        Self { process, hexversion: hexversion.parse().unwrap(), abiflags }
    }

    fn run(program: impl AsRef<OsStr>) -> Self {
        Self::of(Tool::new(program).args(["-I", "-S", "-c", WAIT]))
    }

    fn found(&self, way: Option<LocateMethod>) -> Result<DetectedPython, Error> {
        found(self.process.pid(), way)
    }
}

fn found(pid: u32, way: Option<LocateMethod>) -> Result<DetectedPython, Error> {
    detect(&Target::attach(pid).unwrap(), way, &ElfCache::new(SYMBOLS))
}

/// The path of a program, if this machine has it.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The newest interpreter for which `wanted` holds.
fn newest(wanted: impl Fn(&Interpreter) -> bool) -> Option<&'static Interpreter> {
    interpreters().iter().rev().find(|interpreter| wanted(interpreter))
}

/// One that loads a library, of pyenv's or the like; and the library.
fn with_library() -> Option<(&'static Interpreter, PathBuf)> {
    loadable().find_map(|interpreter| {
        let library = library_of(interpreter)?;
        Some((interpreter, library))
    })
}

fn library_of(interpreter: &Interpreter) -> Option<PathBuf> {
    let lib = Path::new(&interpreter.program).parent()?.parent()?.join("lib");
    let name = format!("libpython3.{}.so.1.0", interpreter.minor());
    Some(lib.join(name)).filter(|file| file.is_file())
}

/// Those whose library other programs can load: one for musl needs musl's loader.
fn loadable() -> impl Iterator<Item = &'static Interpreter> {
    interpreters().iter().rev().filter(|interpreter| !interpreter.musl)
}

#[test]
fn every_interpreter_is_identified() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let target = Waiting::run(&interpreter.program);
        let found = target.found(None).unwrap();
        assert_eq!(found.build.hexversion, target.hexversion, "{interpreter}");
        assert_eq!(found.build.hexversion, interpreter.hexversion, "{interpreter}");
        assert_eq!(found.build.debug, target.abiflags.contains('d'), "{interpreter}");
        assert_eq!(found.build.free_threaded, target.abiflags.contains('t'), "{interpreter}");
        assert_eq!(found.implementation, "cpython", "{interpreter}");
        assert_eq!(found.location.file.library, library_of(interpreter).is_some(), "{interpreter}");
        assert_eq!(found.others, 0, "{interpreter}");
        // A layout of its own micro version, where one is known.
        let known = memobj_cpython::layout::candidates(found.build).unwrap();
        let own = known.iter().any(|layout| layout.hexversion == target.hexversion);
        assert_eq!(
            found.layout.hexversion == target.hexversion,
            own,
            "{interpreter}: {}",
            found.layout.origin
        );
    }
}

#[test]
fn locate_methods_agree() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let target = Waiting::run(&interpreter.program);
        let first = target.found(None).unwrap();
        let file = library_of(interpreter).unwrap_or_else(|| interpreter.program.clone());
        let sections = Tool::new("readelf").args(["-SW"]).arg(&file).run().out();
        let easiest = match interpreter.minor() {
            _ if sections.contains(".dynsym") => LocateMethod::Dynsym,
            ..10 => LocateMethod::Scan,
            10.. => LocateMethod::Section,
        };
        assert_eq!(first.location.method, easiest, "{interpreter}");
        for way in LocateMethod::ALL {
            let can = match way {
                LocateMethod::Scan => true,
                LocateMethod::Dynsym => sections.contains(".dynsym"),
                LocateMethod::Symtab => sections.contains(".symtab"),
                LocateMethod::Section => interpreter.minor() >= 10,
                LocateMethod::Cookie => interpreter.minor() >= 13,
            };
            match (target.found(Some(way)), can) {
                (Ok(other), true) => {
                    assert_eq!(
                        (other.location.at, other.location.method),
                        (first.location.at, way),
                        "{interpreter}"
                    );
                    assert_eq!(other.build, first.build, "{interpreter}");
                }
                (Err(error), false) => {
                    assert_eq!((error.stage, error.is_transient), (stage::LOCATE, false), "{interpreter}");
                    assert!(error.hint.contains("--locate"), "{interpreter}: {error}");
                }
                (result, _) => panic!("{interpreter} {way:?}: {:?}", result.map(|found| found.location)),
            }
        }
    }
}

#[test]
fn renamed_stripped_program_is_found() {
    // In one file, so that no name of a library gives it away.
    for minor in [9, 11, 13, 15] {
        let wanted = |interpreter: &Interpreter| {
            interpreter.minor() == minor && !interpreter.debug && library_of(interpreter).is_none()
        };
        let Some(interpreter) = newest(wanted) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("worker");
        Tool::new("strip").args(["-s", "-o"]).arg(&program).arg(&interpreter.program).run().expect_code(0);
        let at_home = home(interpreter);
        let target = Waiting::of(Tool::new(&program).env("PYTHONHOME", at_home).args(["-S", "-c", WAIT]));
        for way in [None, Some(LocateMethod::Scan)] {
            let found = target.found(way).unwrap();
            assert_eq!(found.build.hexversion, interpreter.hexversion, "{interpreter} {way:?}");
            assert!(!found.location.file.library);
        }
    }
    if newest(|interpreter| library_of(interpreter).is_none()).is_none() {
        crate::skip!("no Python that is a single file");
    }
}

/// Its `sys.prefix`, for a copy of it elsewhere.
fn home(interpreter: &Interpreter) -> String {
    let code = "import sys; print(sys.prefix)";
    Tool::new(&interpreter.program)
        .args(["-I", "-S", "-c", code])
        .run()
        .expect_code(0)
        .out()
        .trim()
        .to_owned()
}

#[test]
fn deleted_files_are_read() {
    let Some((interpreter, library)) = with_library() else {
        crate::skip!("no Python in a library of its own")
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("python");
    let copied = folder.path().join(library.file_name().unwrap());
    fs::copy(&interpreter.program, &program).unwrap();
    fs::copy(&library, &copied).unwrap();
    let tool = Tool::new(&program)
        .env("LD_LIBRARY_PATH", folder.path())
        .env("PYTHONHOME", home(interpreter))
        .args(["-S", "-c", WAIT]);
    let target = Waiting::of(tool);
    fs::remove_file(&program).unwrap();
    fs::remove_file(&copied).unwrap();
    // Another file bears its name now, as after an upgrade.
    fs::copy("/bin/true", &copied).unwrap();
    let found = target.found(None).unwrap();
    assert_eq!(found.location.file.path, copied);
    assert_eq!(found.build.hexversion, interpreter.hexversion);
}

#[test]
fn program_started_by_loader_is_found() {
    let Some(interpreter) = interpreters().first() else { crate::skip!("no Python from 3.8 on") };
    let headers = Tool::new("readelf").args(["-lW"]).arg(&interpreter.program).run().out();
    let Some((_, rest)) = headers.split_once("program interpreter: ") else {
        crate::skip!("{interpreter} is linked statically")
    };
    let loader = rest.split(']').next().unwrap();
    let target = Waiting::of(Tool::new(loader).arg(&interpreter.program).args(["-I", "-S", "-c", WAIT]));
    let program = fs::read_link(format!("/proc/{}/exe", target.process.pid())).unwrap();
    assert!(program.to_string_lossy().contains("ld-"), "{program:?}");
    assert_eq!(target.found(None).unwrap().build.hexversion, interpreter.hexversion);
}

/// As a container does it: a root of its own that is not visible outside, with a program and a library that are nowhere else, and numbers of its
/// own. `$1` is an empty folder, `$2` what the interpreter is installed below, `$3` its program; what is left is run by it.
const CONTAINER: &str = r#"
set -e
root=$1 prefix=$2 program=$3
shift 3
mount -t tmpfs none "$root"
mkdir -p "$root/app/bin" "$root/app/lib" "$root/old" "$root/proc"
for folder in /usr /bin /sbin /lib /lib64; do
    if [ -L $folder ]; then cp -P $folder "$root$folder"
    elif [ -d $folder ]; then mkdir -p "$root$folder"; mount --rbind $folder "$root$folder"
    fi
done
cp "$program" "$root/app/bin/snake"
cp -r "$prefix"/lib/libpython* "$root/app/lib"
for folder in "$prefix"/lib/python3*; do
    mkdir "$root/app/lib/${folder##*/}"
    mount --bind "$folder" "$root/app/lib/${folder##*/}"
done
mount -t proc proc "$root/proc"
cd "$root"
pivot_root . old
umount -l /old
export LD_LIBRARY_PATH=/app/lib
exec /app/bin/snake "$@"
"#;

#[test]
fn python_in_own_namespaces_is_counted() {
    let apart = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
    if !Command::new("unshare").args(apart).arg("true").status().is_ok_and(|status| status.success()) {
        crate::skip!("no namespaces of our own here");
    }
    // One that is installed whole, with its modules.
    let installed = loadable().find_map(|interpreter| {
        let lib = library_of(interpreter)?.parent()?.to_owned();
        lib.join(format!("python3.{}/os.py", interpreter.minor())).is_file().then_some((interpreter, lib))
    });
    let Some((interpreter, lib)) = installed else { crate::skip!("no Python in a library of its own") };
    let prefix = lib.parent().unwrap();
    let root = tempfile::tempdir().unwrap();
    let code = "
import os, sys
class Boxed: pass
kept = [Boxed() for _ in range(1234)]
print('ready', os.getpid(), sys.executable, flush=True)
sys.stdin.read()";
    let tool = Tool::new("unshare").args(apart).args(["sh", "-c", CONTAINER, "sh"]);
    let tool = tool.arg(root.path()).arg(prefix).arg(&interpreter.program);
    let mut process = tool.args(["-I", "-S", "-c", code]).start();
    assert_eq!(process.wait_line("ready ").trim(), "1 /app/bin/snake");
    assert!(!Path::new("/app/bin/snake").exists() && fs::read_dir(root.path()).unwrap().next().is_none());
    let children = format!("/proc/{0}/task/{0}/children", process.pid());
    let pid: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    for way in [LocateMethod::Dynsym, LocateMethod::Symtab, LocateMethod::Section] {
        assert_eq!(found(pid, Some(way)).unwrap().build.hexversion, interpreter.hexversion, "{way:?}");
    }
    let run = Tool::ours("memobj").args(["-p", &pid.to_string()]).run().expect_code(0);
    let census = &run.records()[0];
    assert_eq!(census["python"]["executable"], "/app/bin/snake", "{run}");
    let of = |name: &str| census["types"].as_array().unwrap().iter().find(|row| row["type"] == name);
    assert_eq!(of("__main__.Boxed").unwrap()["count"], 1234, "{run}");
    assert_eq!(census["threads"][0]["native_id"], 1, "{run}");
}

#[test]
fn running_one_of_two_pythons_is_read() {
    let Some((_, library)) = with_library() else { crate::skip!("no Python in a library of its own") };
    let other = interpreters().iter().find(|other| library_of(other).is_none_or(|own| own != library));
    let Some(other) = other else { crate::skip!("no second Python") };
    let code = format!("import ctypes; kept = ctypes.CDLL({library:?}, ctypes.RTLD_LOCAL)\n{WAIT}");
    let target = Waiting::of(Tool::new(&other.program).args(["-I", "-S", "-c", &code]));
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.process.pid())).unwrap();
    assert!(maps.contains(&*library.to_string_lossy()), "it was not loaded");
    assert_eq!(target.found(None).unwrap().build.hexversion, other.hexversion);
}

#[test]
fn unstarted_library_is_reported() {
    let Some((_, library)) = with_library() else { crate::skip!("no Python in a library of its own") };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("host.c");
    let text = "#include <dlfcn.h>\n#include <stdio.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { printf(dlopen(v[1], RTLD_NOW) ? \"ready\\n\" : \"%s\\n\", dlerror()); \
        fflush(stdout); char c; while (read(0, &c, 1) > 0); return 0; }\n";
    fs::write(&source, text).unwrap();
    let program = folder.path().join("host");
    let gcc = Command::new("gcc").arg("-o").arg(&program).arg(&source).arg("-ldl").output();
    if !gcc.is_ok_and(|output| output.status.success()) {
        crate::skip!("no C compiler");
    }
    let mut process = Tool::new(&program).arg(&library).start();
    process.wait_line("ready");
    let error = found(process.pid(), None).unwrap_err();
    assert!(
        error.is_transient && error.stage == stage::LOCATE && error.message.contains("not started"),
        "{error:?}"
    );
}

#[test]
fn embedding_debugger_is_read() {
    let Some(gdb) = on_path("gdb") else { crate::skip!("no gdb") };
    let mut process = Tool::new(gdb)
        .args([
            "-nx",
            "-batch",
            "-ex",
            "python import sys; print('ready', sys.hexversion, flush=True); sys.stdin.read()",
        ])
        .start();
    let hexversion: u32 = process.wait_line("ready ").trim().parse().unwrap();
    let found = found(process.pid(), None).unwrap();
    assert_eq!(found.build.hexversion, hexversion);
}

#[test]
fn unsupported_version_lists_known_ones() {
    let mut old = Vec::new();
    for folder in pythons().iter().filter_map(|python| python.path.parent()?.parent()?.parent()) {
        old.extend(
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python")),
        );
    }
    old.sort();
    old.dedup();
    let mut tried = 0;
    for program in old {
        for version in ["2.7", "3.6", "3.7"] {
            if !program
                .parent()
                .unwrap()
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(version)
            {
                continue;
            }
            tried += 1;
            let code = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()";
            let mut process = Tool::new(&program).args(["-S", "-c", code]).start();
            process.wait_line("ready");
            let error = found(process.pid(), None).unwrap_err();
            assert!(!error.is_transient, "{error:?}");
            assert!(error.message.contains(version), "{error:?}");
            assert!(error.hint.contains("3.8") && error.hint.contains("3.13"), "{error:?}");
        }
    }
    if tried == 0 {
        crate::skip!("no Python older than 3.8");
    }
}

#[test]
fn other_runtimes_are_identified() {
    let sleeping = Tool::new("sleep").arg("1000").start();
    let name = format!("/proc/{}/comm", sleeping.pid());
    wait_for(PATIENCE, "sleep", || fs::read_to_string(&name).ok().filter(|name| name == "sleep\n"));
    let error = found(sleeping.pid(), None).unwrap_err();
    assert_eq!((error.stage, error.is_transient, error.exited), (stage::LOCATE, false, false));
    assert!(
        error.message.starts_with("`sleep` runs no CPython") && error.message.contains("/sleep"),
        "{error}"
    );
    for (program, args, what) in [
        ("node", &["-e", "console.log('ready'); setInterval(() => 0, 1000)"][..], "Node.js"),
        ("perl", &["-e", "$| = 1; print \"ready\\n\"; sleep 1000"], "Perl"),
        ("bash", &["-c", "echo ready; read x"], "a shell"),
    ] {
        let Some(program) = on_path(program) else { continue };
        let mut process = Tool::new(program).args(args).start();
        process.wait_line("ready");
        let error = found(process.pid(), None).unwrap_err();
        assert!(error.message.contains(what), "{error}");
    }
}
