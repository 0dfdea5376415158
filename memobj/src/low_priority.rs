//! The priority of an analysis.

use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::priority;

use crate::config::CensusOptions;

/// The stack of the thread of an analysis: as large as a main thread's by default.
const STACK_BYTES: usize = 8 << 20;

/// Runs the analysis at the priority of `options`. On a thread of its own: without a privilege a thread cannot raise its priority again, and the
/// next copy must not wait. Threads that it starts inherit the priority.
pub(crate) fn at_low_priority<T: Send>(
    options: &CensusOptions,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("analysis".into()).stack_size(STACK_BYTES);
        let work = || {
            priority::lower(options.nice.into());
            work()
        };
        let thread = thread.spawn_scoped(scope, work).map_err(|error| {
            let hint = "raise the limits (ulimit -u, -v)";
            Error {
                out_of_memory: true,
                ..Error::new(stage::HEAP, format!("cannot start a thread: {error}"), hint)
            }
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
