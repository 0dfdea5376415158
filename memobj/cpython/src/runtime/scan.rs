//! Scans a file's variables for a runtime that no symbol names.

use std::ops::Range;

use crate::layout::{COOKIE, Layout};
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, for_each_word, range_at};

use super::version::Version;

/// Finds the addresses in `ranges` at which debug offsets begin.
pub fn find_cookies(memory: &dyn Memory, ranges: &[Range<Addr>]) -> Vec<Addr> {
    let mut found = Vec::new();
    for_each_word(memory, ranges, |at, word| {
        if word.to_le_bytes() == COOKIE && read_debug_version(memory, at).is_some() {
            found.push(at);
        }
    });
    found
}

/// `PY_VERSION_HEX` of the debug offsets at `at`, and whether they are of a free-threaded build; `None` without such offsets.
pub fn read_debug_version(memory: &dyn Memory, at: Addr) -> Option<(u32, bool)> {
    let mut head = [0; 24];
    memory.read(at, &mut head).ok()?;
    let ([cookie, version, free_threaded], _) = head.as_chunks::<8>() else { return None };
    let version = u32::try_from(u64::from_le_bytes(*version)).ok()?;
    let free_threaded = u64::from_le_bytes(*free_threaded);
    (*cookie == COOKIE && free_threaded <= 1).then_some(())?;
    Version::from_hex(version).map(|_| (version, free_threaded == 1))
}

/// Finds the version in the banner of `sys.version`, which is in a variable (Python/getversion.c).
pub fn find_banner(memory: &dyn Memory, ranges: &[Range<Addr>]) -> Option<Version> {
    let mut found = None;
    for_each_word(memory, ranges, |at, word| {
        // `3.8.18 (`: cheap enough to look at every word for.
        let begins = matches!(word.to_le_bytes(), [b'2' | b'3', b'.', b'0'..=b'9', ..]);
        let mut text = [0; 64];
        if begins && found.is_none() && memory.read(at, &mut text).is_ok() {
            found = Version::from_banner(&text);
        }
    });
    found
}

/// Finds the addresses in `ranges` that may be a runtime of this layout: its first interpreter has a thread that points back to it.
pub fn find_runtimes(memory: &dyn Memory, layout: &Layout, ranges: &[Range<Addr>]) -> Vec<Addr> {
    let mut found = Vec::new();
    let regions = memory.regions();
    for_each_word(memory, ranges, |at, word| {
        if word % 8 != 0 || range_at(regions, Addr(word)).is_none() {
            return;
        }
        let interpreter = Addr(word);
        let pointer = |at: Addr, offset: u32| memory.read_addr(at.plus(offset.into())).ok();
        let proves = || {
            let thread = pointer(interpreter, layout.interpreter_state.threads_head)?;
            (pointer(thread, layout.thread_state.interp)? == interpreter).then_some(())?;
            let runtime = at.minus(layout.runtime_state.interpreters_head.into());
            // The main interpreter follows the head of the list: other pointers to an interpreter have none there.
            let main = pointer(runtime, layout.runtime_state.interpreters_main)?;
            let thread = pointer(main, layout.interpreter_state.threads_head)?;
            (pointer(thread, layout.thread_state.interp)? == main).then_some(runtime)
        };
        found.extend(proves());
    });
    found
}
