//! Snapshots that are anything: opened, and counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memobj::census::observer::take_held;
use memobj::request::{Request, Scope, Source, Stopping};
use memobj_process::snapshot::{self, Checksum};

fuzz_target!(|bytes: &[u8]| {
    // The seal would keep out nearly all that a fuzzer can think of.
    let Ok(still) = snapshot::read(bytes, bytes.len() as u64, Checksum::Ignore) else { return };
    let request = Request { scope: Scope::Heap, stopping: Stopping::Never, ..Request::of(Source::Snapshot("damaged".into())) };
    let _ = take_held(&still, &still.memory, &request);
});
