//! CPythons to be looked into: pyenv's, the system's, and those that `tests/interpreters` got.

use std::path::Path;
use std::sync::OnceLock;

use memobj_cpython::layout::Build;
pub use xtask::layouts::interpreters::Interpreter;

use super::Tool;
use super::skip::note;

/// All interpreters from 3.8 on, each once, the oldest first.
pub fn interpreters() -> &'static [Interpreter] {
    static ALL: OnceLock<Vec<Interpreter>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut found = xtask::layouts::interpreters::found();
        found.retain(|interpreter| interpreter.minor() >= 8);
        found.sort_by_key(|interpreter| (interpreter.hexversion, interpreter.to_string()));
        found
    })
}

/// Whether `tests/interpreters` has been run: a reason for [`skip!`](crate::skip) if not, since then most are not here.
pub fn fetched() -> Result<(), String> {
    let list = xtask::layouts::interpreters::folder().join("list");
    if list.is_file() {
        Ok(())
    } else {
        Err("no interpreters were fetched: run tests/interpreters".to_owned())
    }
}

/// What chooses its layout.
pub fn build(interpreter: &Interpreter) -> Build {
    Build {
        hexversion: interpreter.hexversion,
        free_threaded: interpreter.free_threaded,
        debug: interpreter.debug,
    }
}

/// Whether an interpreter can load a module; noted as left out if not. One that is static and stripped loads none from a shared library.
#[track_caller]
pub fn loads(interpreter: &Interpreter, module: &str) -> bool {
    let loads = can_load(interpreter, module);
    if !loads {
        let caller = std::panic::Location::caller();
        note(caller.file(), caller.line(), &format!("{interpreter}: it cannot load {module}"));
    }
    loads
}

/// The same, with nothing noted.
pub fn can_load(interpreter: &Interpreter, module: &str) -> bool {
    Tool::new(&interpreter.program).args(["-I", "-S", "-c", &format!("import {module}")]).run().code()
        == Some(0)
}

/// A program for it, in a file.
pub fn script(interpreter: &Interpreter, file: &Path) -> Tool {
    Tool::new(&interpreter.program).args(["-I", "-S", "-B"]).arg(file)
}
