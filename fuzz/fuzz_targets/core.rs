//! Core files that are anything: opened, and counted.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use memobj::census::observer::take_held;
use memobj::request::{Request, Scope, Source, Stopping};
use memobj_process::target::core_file;

fuzz_target!(|bytes: &[u8]| {
    let file: PathBuf = std::env::temp_dir().join(format!("memtools-fuzz-core-{}", std::process::id()));
    if std::fs::write(&file, bytes).is_err() {
        return;
    }
    let still = core_file::open(&file);
    let _ = std::fs::remove_file(&file);
    let Ok(still) = still else { return };
    let request = Request { scope: Scope::Heap, stopping: Stopping::Never, ..Request::of(Source::Core(file)) };
    let _ = take_held(&still, &still.memory, &request);
});
