//! Programs that are anything: their symbols and sections.
#![no_main]

use std::fs::File;

use libfuzzer_sys::fuzz_target;
use memobj_process::elf::Elf;

fuzz_target!(|bytes: &[u8]| {
    let file = std::env::temp_dir().join(format!("memtools-fuzz-program-{}", std::process::id()));
    if std::fs::write(&file, bytes).is_err() {
        return;
    }
    let elf = File::open(&file)
        .ok()
        .and_then(|file| Elf::read(file, &["_PyRuntime", "Py_Version", "", "main"]).ok());
    let _ = std::fs::remove_file(&file);
    let Some(elf) = elf else { return };
    let _ = elf.symbol("main");
    let _ = elf.section(".PyRuntime");
});
