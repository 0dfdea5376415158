//! Results of each interpreter, for the table of supported Pythons.

use xtask::layouts::tables::Key;
use xtask::support::{self, Tested};

use super::interpreters::Interpreter;

/// The row of an interpreter without results.
pub fn row(interpreter: &Interpreter, objects: u64) -> Tested {
    let (version, micro) = (interpreter.minor(), interpreter.micro());
    let version = format!("3.{version}.{micro}");
    let name = interpreter.origin.replace(&version, "").split_whitespace().collect::<Vec<_>>().join(" ");
    let library = interpreter
        .files
        .first()
        .and_then(|file| file.file_name())
        .is_some_and(|name| name.to_string_lossy().starts_with("libpython"));
    let mut build = vec![if library { "shared" } else { "static" }];
    build.extend(interpreter.free_threaded.then_some("free-threaded"));
    build.extend(interpreter.debug.then_some("debug"));
    Tested {
        name,
        version,
        build: build.join(", "),
        layout: Key::for_interpreter(interpreter).module(),
        objects,
        tracked: None,
        reachable: None,
        core: None,
        snapshot: None,
        leaks: None,
    }
}

/// Records the results of a test for `cargo xtask support`.
pub fn note(test: &str, tested: &Tested) {
    support::note(&support::folder(), test, tested).unwrap();
}
