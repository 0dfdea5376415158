//! Records for people, tables and files.
//!
//! | sink | for | one record becomes |
//! |---|---|---|
//! | [`Jsonl`] | programs | one line |
//! | [`Text`] | people | a block, or lines between blocks |
//! | [`Csv`] | tables | a row for each process |
//! | [`HistoryFiles`] | later | the first two, in two files |
//!
//! Every sink writes what a record becomes with a single `write`: whoever reads along, or comes after the tool was
//! killed, never finds half a sample.

mod atomic_writer;
mod csv;
mod history_files;
mod text;

#[cfg(test)]
mod testing;

use std::io::{self, Write};

use common::jsonl;
use common::record::Record;

pub use atomic_writer::AppendFile;
pub use common::table::Style;
pub use csv::Csv;
pub use history_files::{HistoryFiles, state_dir};
pub use text::Text;

/// Something that takes the records of a run, in their order, and writes them for someone.
///
/// The order within an iteration: what happened before the sample (`started`, `exited`, `replaced`), one `process` record
/// for each root, then what followed from it (`grew`, `limit_crossed`, `oom_kill`); `error` and `output` anywhere.
pub trait Sink {
    /// Takes one record in.
    ///
    /// # Errors
    /// What the output says.
    fn record(&mut self, record: &Record) -> io::Result<()>;

    /// Cuts lines at another width from now on, where lines are cut.
    fn set_width(&mut self, _: Option<usize>) {}

    /// Writes what was held back until more is known. The run is over.
    ///
    /// # Errors
    /// What the output says.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every record as a JSON line.
#[derive(Debug)]
pub struct Jsonl<W: Write> {
    writer: jsonl::Writer<W>,
}

impl<W: Write> Jsonl<W> {
    /// JSON lines to `output`, which should not buffer.
    pub fn new(output: W) -> Self {
        Self { writer: jsonl::Writer::new(output) }
    }
}

impl<W: Write> Sink for Jsonl<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        // Of an unknown record nothing but its type was kept: there is nothing to write again.
        if matches!(record, Record::Unknown(_)) {
            return Ok(());
        }
        self.writer.write(record)
    }
}

#[cfg(test)]
mod tests {
    use common::jsonl::{Item, Reader};

    use super::testing::{Writes, error, process};
    use super::*;

    #[test]
    fn jsonl_writes_once_and_reads_back() {
        let records = [process(1, |_| {}), Record::Unknown("census".to_owned()), error(1, "sample", "gone")];
        let mut writes = Writes::default();
        let mut sink = Jsonl::new(&mut writes);
        for record in &records {
            sink.record(record).unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(writes.0.len(), 2);
        let back: Vec<Record> = Reader::new("log", writes.0.concat().as_slice())
            .map(|item| if let Item::Record(record) = item.unwrap() { record } else { panic!("no record") })
            .collect();
        assert_eq!(back, [records[0].clone(), records[2].clone()]);
    }
}
