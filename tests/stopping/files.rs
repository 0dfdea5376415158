//! The files of a process: deleted, replaced, in another root; and its numbers in another namespace.

use std::fs;
use std::os::unix::fs::MetadataExt;

use memobj_process::elf::{Elf, build_id_in_memory};
use memobj_process::info::{Mapping, ProcessSource};
use memobj_process::target::Target;

use super::{freeze, started};
use crate::support::python::python;
use crate::support::{Tool, which};

fn find_program<'t>(target: &'t Target, name: &str) -> Option<&'t Mapping> {
    let mut files = target.info().files();
    files.find(|mapping| mapping.file_name().to_string_lossy().starts_with(name))
}

#[test]
fn deleted_or_replaced_program_opens() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("sleeper");
    fs::copy(fs::canonicalize(which("sleep")).unwrap(), &copy).unwrap();
    let original = fs::metadata(&copy).unwrap().ino();
    let process = Tool::new(&copy).arg("600").start();
    crate::support::wait_until(crate::support::PATIENCE, "the program to be loaded", || {
        // The kernel renames the process before it maps the program.
        Target::attach(process.pid()).is_ok_and(|target| find_program(&target, "sleeper").is_some())
    });
    for deleted in [false, true] {
        if deleted {
            fs::remove_file(&copy).unwrap();
            fs::write(&copy, "another file").unwrap();
        }
        let target = Target::attach(process.pid()).unwrap();
        let mapping = find_program(&target, "sleeper").unwrap();
        assert_eq!(mapping.deleted, deleted);
        let file = target.open(mapping).unwrap();
        assert_eq!(file.metadata().unwrap().ino(), original);
        let elf = Elf::read(file, &[]).unwrap();
        let in_memory = build_id_in_memory(target.memory(), mapping.range.start);
        assert!(elf.build_id.is_some() && elf.build_id == in_memory, "{:?} {in_memory:?}", elf.build_id);
    }
}

#[test]
fn symbols_and_sections_are_located() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let program = "import ctypes\nprint('ready', ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime')), flush=True)\ninput()";
    let (process, at) = started(python, program, &[]);
    let target = Target::attach(process.pid()).unwrap();
    let found: Vec<u64> = target
        .info()
        .files()
        .filter_map(|mapping| {
            let elf = Elf::read(target.open(mapping).ok()?, &["_PyRuntime"]).ok()?;
            let symbol = elf.symbol("_PyRuntime")?;
            assert!(symbol.size > 100);
            Some(symbol.address.wrapping_add(elf.bias(mapping.range.start)))
        })
        .collect();
    assert!(found.contains(&at.parse().unwrap()), "{at} is not in {found:?}");
}

#[test]
fn namespaced_process_is_translated() {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let works = std::process::Command::new("unshare").args(["--pid", "--mount", "--fork", "true"]).output();
    if !works.is_ok_and(|works| works.status.success()) {
        crate::skip!("no namespaces may be made here");
    }
    let program =
        "import os, threading\nprint('ready', os.getpid(), threading.get_native_id(), flush=True)\ninput()";
    let mut process = Tool::new("unshare")
        .args(["--pid", "--mount", "--fork"])
        .arg(&python.path)
        .args(["-B", "-c", program])
        .start();
    assert_eq!(process.wait_line("ready ").trim(), "1 1");
    let child = crate::support::process::descendants(process.pid())[0];
    let frozen = freeze(child);
    assert_eq!((frozen.info.id.pid, frozen.info.inner_pid), (child, Some(1)));
    assert_eq!((frozen.info.threads[0].tid, frozen.info.threads[0].inner_tid), (child, Some(1)));
    let first = frozen.info.files().next().unwrap();
    assert!(Elf::read(frozen.open(first).unwrap(), &[]).is_ok());
}
