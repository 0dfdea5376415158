//! Memory that lies: a real process's, of which words are replaced where a census reads them.
#![no_main]

#[path = "../../tests/support/damage.rs"]
mod damage;

use std::fs::File;
use std::sync::OnceLock;

use damage::{Damaged, Watched};
use libfuzzer_sys::fuzz_target;
use memobj::capture::capture_memory;
use memobj::config::{CensusOptions, Scope, StopPolicy};
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::info::{Mapping, ProcessInfo, ProcessSource};
use memobj_process::memory::{FrozenMemory, Memory};
use memobj_process::snapshot;
use memobj_process::target::FrozenProcess;

/// A copied process with another memory.
struct With<'s, M> {
    frozen: &'s FrozenProcess,
    memory: M,
}

impl<M: Memory> ProcessSource for With<'_, M> {
    fn info(&self) -> &ProcessInfo {
        self.frozen.info()
    }

    fn memory(&self) -> &dyn Memory {
        &self.memory
    }

    fn is_frozen(&self) -> bool {
        true
    }

    fn open(&self, mapping: &Mapping) -> Result<File, Error> {
        self.frozen.open(mapping)
    }
}

fn options() -> CensusOptions {
    CensusOptions { scope: Scope::Heap, stop: StopPolicy::Never, ..CensusOptions::default() }
}

/// The copy that is lied about, and where a census reads it.
fn seed() -> &'static (FrozenProcess, Vec<Addr>) {
    static SEED: OnceLock<(FrozenProcess, Vec<Addr>)> = OnceLock::new();
    SEED.get_or_init(|| {
        let path =
            std::env::var_os("MEMTOOLS_FUZZ_SNAPSHOT").expect("MEMTOOLS_FUZZ_SNAPSHOT names a snapshot");
        let frozen = snapshot::open(path.as_ref()).expect("a snapshot that can be opened");
        let noting: With<'_, Watched<'_, FrozenMemory>> =
            With { frozen: &frozen, memory: Watched::new(&frozen.memory) };
        capture_memory(&noting, &noting.memory, &options()).expect("a census of the whole copy");
        let places = noting.memory.into_places();
        (frozen, places)
    })
}

fuzz_target!(|lies: Vec<(u32, u64)>| {
    let (frozen, places) = seed();
    let mut memory = Damaged::new(&frozen.memory);
    for (which, value) in lies {
        let Some(at) = places.get(which as usize % places.len()) else { continue };
        memory.replace(*at, |_| value);
    }
    let liar = With { frozen, memory };
    let _ = capture_memory(&liar, &liar.memory, &options());
});
