//! Core files that are anything: opened, and counted.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use memobj::capture::capture_memory;
use memobj::config::{CensusOptions, Scope, StopPolicy};
use memobj_process::target::core_file;

fuzz_target!(|bytes: &[u8]| {
    let file: PathBuf = std::env::temp_dir().join(format!("memtools-fuzz-core-{}", std::process::id()));
    if std::fs::write(&file, bytes).is_err() {
        return;
    }
    let frozen = core_file::open(&file);
    let _ = std::fs::remove_file(&file);
    let Ok(frozen) = frozen else { return };
    let options = CensusOptions { scope: Scope::Heap, stop: StopPolicy::Never, ..CensusOptions::default() };
    let _ = capture_memory(&frozen, &frozen.memory, &options);
});
