//! The interface of everything that writes records.

use std::io::{self, Write};

use common::jsonl::Writer;
use common::record::Record;

/// Takes the records of a run in order and writes them.
///
/// The order within an iteration: the events before the sample (`started`, `exited`, `replaced`), one `process` record for each
/// root, then its consequences (`grew`, `limit_crossed`, `oom_kill`); `error` and `output` anywhere.
pub trait Sink {
    /// Writes one record.
    ///
    /// # Errors
    /// The output fails.
    fn record(&mut self, record: &Record) -> io::Result<()>;

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

/// Every record as a JSON line.
impl<W: Write> Sink for Writer<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        // Of an unknown record only its type was read: it cannot be written again.
        if matches!(record, Record::Unknown(_)) { Ok(()) } else { self.write(record) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Writes, error, process};
    use super::*;

    #[test]
    fn jsonl_writes_once_and_reads_back() {
        let records = [process(1, |_| {}), Record::Unknown("census".to_owned()), error(1, "sample", "gone")];
        let mut writes = Writes::default();
        let mut sink = Writer::new(&mut writes);
        for record in &records {
            sink.record(record).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(writes.0.len(), 2);
        let back: Vec<Record> = writes.0.iter().map(|line| Record::parse(line).unwrap()).collect();
        assert_eq!(back, [records[0].clone(), records[2].clone()]);
    }
}
