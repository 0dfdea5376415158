//! The interface of everything that writes records.

use std::io;

use crate::record::Record;

/// Takes the records of a run in order and writes them.
///
/// The order within an iteration of memmon: the events before the sample (`started`, `exited`, `replaced`), one `process` record
/// for each root, then its consequences (`grew`, `limit_crossed`, `oom_kill`); `error` and `output` anywhere.
pub trait Sink {
    /// Writes one record.
    ///
    /// # Errors
    /// The output fails.
    fn record(&mut self, record: &Record) -> io::Result<()>;

    /// All records of a round were passed: a sink that writes a state, not a log, writes it now.
    ///
    /// # Errors
    /// The output fails.
    fn end_round(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Cuts lines at this width from now on.
    fn set_width(&mut self, _: Option<usize>) {}

    /// Writes what was held back. The run is over.
    ///
    /// # Errors
    /// The output fails.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
