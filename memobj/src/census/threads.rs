//! The threads of a process, joined from the interpreters, the module `threading` and the kernel.

use common::record::PythonThread;

use crate::names::threads::{ThreadObject, read_thread_objects};
use memobj_cpython::object::Objects;
use memobj_cpython::runtime::frame::read_thread_location;
use memobj_cpython::runtime::{Interpreter, Runtime};
use memobj_process::addr::Addr;

/// The name of the main thread in `threading` (`_MainThread`, Lib/threading.py), which is known as soon as the module is imported.
/// Other threads that it did not start get a name when they ask for it.
const MAIN: &str = "MainThread";

/// Reads all threads: first those that run Python code or did, oldest first, then those that only the kernel knows. `tasks` are
/// the thread ids in the target's own pid namespace.
pub fn read_threads(
    objects: Objects<'_>,
    runtime: &Runtime,
    main_ident: Option<u64>,
    tasks: &[u64],
) -> Vec<PythonThread> {
    let mut threads = Vec::new();
    // The newest come first in both lists.
    for interpreter in runtime.interpreters.iter().rev() {
        threads.extend(read_interpreter_threads(objects, interpreter, main_ident));
    }
    let mut left: Vec<u64> = tasks.to_vec();
    left.retain(|task| !threads.iter().any(|thread| thread.native_id == Some(*task)));
    for thread in threads.iter_mut().filter(|thread| thread.native_id.is_none() && thread.alive == Some(true))
    {
        thread.native_id = thread.ident.and_then(|ident| native_id_of(objects, ident, &left));
        left.retain(|task| thread.native_id != Some(*task));
    }
    threads.extend(left.into_iter().map(|task| PythonThread {
        native_id: Some(task),
        alive: Some(true),
        ..PythonThread::default()
    }));
    threads
}

/// The kernel's id of the thread whose `pthread_t` is `ident`, for versions of CPython that do not store it. The C library does, in the
/// struct at this address. Its offset is private, so the one word counts that is a thread id.
fn native_id_of(objects: Objects<'_>, ident: u64, tasks: &[u64]) -> Option<u64> {
    let mut bytes = [0; 1024];
    objects.memory.read(Addr(ident), &mut bytes).ok()?;
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
    let mut found: Vec<u64> = words.filter(|word| tasks.contains(word)).collect();
    found.dedup();
    match found[..] {
        [task] => Some(task),
        _ => None,
    }
}

fn read_interpreter_threads(
    objects: Objects<'_>,
    interpreter: &Interpreter,
    main_ident: Option<u64>,
) -> Vec<PythonThread> {
    let mut named = read_thread_objects(objects, interpreter.modules).unwrap_or_default();
    let mut threads: Vec<PythonThread> = Vec::new();
    for state in interpreter.threads.iter().rev() {
        let thread = named.remove(&state.ident);
        let known = thread.is_some();
        let thread = thread.unwrap_or_default();
        let place = read_thread_location(objects, state.at);
        let is_main = thread.main || interpreter.id == 0 && main_ident == Some(state.ident);
        threads.push(PythonThread {
            name: thread.name.or_else(|| is_main.then(|| MAIN.into())),
            ident: (state.ident != 0).then_some(state.ident),
            native_id: state.native_id.or(thread.native_id),
            // Python does not wait for threads that it did not start.
            daemon: thread.daemon.or((!known && !is_main).then_some(true)),
            alive: Some(true),
            main: Some(is_main),
            function: place.as_ref().map(|place| place.function.as_str().into()),
            file: place.as_ref().map(|place| place.file.as_str().into()),
            line: place.and_then(|place| place.line),
        });
    }
    // Threads that `threading` lists and no interpreter runs have ended.
    let mut ended: Vec<(u64, ThreadObject)> = named.into_iter().collect();
    ended.sort_unstable_by_key(|(ident, _)| *ident);
    threads.extend(ended.into_iter().map(|(ident, thread)| PythonThread {
        name: thread.name,
        ident: Some(ident),
        native_id: thread.native_id,
        daemon: thread.daemon,
        alive: Some(false),
        main: Some(thread.main),
        ..PythonThread::default()
    }));
    threads
}
