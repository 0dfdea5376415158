//! Snapshots that are anything: opened, and counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memobj::capture::capture_memory;
use memobj::config::{CensusOptions, Scope, StopPolicy};
use memobj_process::snapshot::{self, Checksum};

fuzz_target!(|bytes: &[u8]| {
    // The seal would keep out nearly all that a fuzzer can think of.
    let Ok(frozen) = snapshot::read(bytes, bytes.len() as u64, Checksum::Ignore) else { return };
    let options = CensusOptions { scope: Scope::Heap, stop: StopPolicy::Never, ..CensusOptions::default() };
    let _ = capture_memory(&frozen, &frozen.memory, &options);
});
