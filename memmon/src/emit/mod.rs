//! Writers of records.
//!
//! | [`Sink`](common::record_sink::Sink) | for | one record becomes |
//! |---|---|---|
//! | [`common::jsonl::Writer`] | programs | one line |
//! | [`Text`] | people | a block, or lines between blocks |
//! | [`Csv`] | spreadsheets | a row for each process |
//! | [`common::metrics::MetricsWriter`] | monitoring systems | the newest values |
//! | [`HistoryFiles`] | later | the first two, in two files |
//!
//! Every sink writes a record with a single `write`: a concurrent reader, or one after a crash, never finds half a sample.

mod atomic_writer;
mod csv;
mod history_files;
mod text;

#[cfg(test)]
mod testing;

pub use atomic_writer::AppendFile;
pub use csv::{Csv, csv_titles};
pub use history_files::{HistoryFiles, state_dir};
pub use text::{Text, describe_metric};
