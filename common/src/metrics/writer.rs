//! Writes the metrics of a run to a file or a stream.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::latest::Metrics;
use crate::output_file::{self, Readers};
use crate::record::Record;
use crate::record_sink::Sink;

/// Writes all metrics at the end of each round in which they changed.
pub struct MetricsWriter {
    metrics: Metrics,
    output: Output,
}

enum Output {
    File(PathBuf),
    Stream(Box<dyn Write>),
}

impl fmt::Debug for MetricsWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsWriter").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

impl MetricsWriter {
    /// A writer that replaces the file at `path` in each round, with [`output_file::write_whole`].
    ///
    /// # Errors
    /// The file cannot be replaced, or its name has a date, as a log's may have.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        if path.to_string_lossy().contains('%') {
            let reason = "metrics are the newest values, so their file has no date: write it without %";
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, reason));
        }
        output_file::check_whole(path)?;
        Ok(Self { metrics: Metrics::default(), output: Output::File(path.to_owned()) })
    }

    /// A writer that appends the text of each round to `stream`.
    #[must_use]
    pub fn to_stream(stream: Box<dyn Write>) -> Self {
        Self { metrics: Metrics::default(), output: Output::Stream(stream) }
    }
}

impl Sink for MetricsWriter {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.metrics.take(record);
        Ok(())
    }

    fn end_round(&mut self) -> io::Result<()> {
        if !self.metrics.end_round() {
            return Ok(());
        }
        let text = self.metrics.text();
        match &mut self.output {
            Output::File(path) => {
                output_file::write_whole(path, Readers::Everyone, |mut file| file.write_all(text.as_bytes()))
            }
            Output::Stream(stream) => stream.write_all(text.as_bytes()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_round()
    }
}
