//! Records as metrics: the newest values, in OpenMetrics text.
//!
//! The text is valid in OpenMetrics 1.0 and in Prometheus's text format 0.0.4, which node-exporter's textfile collector reads. So it
//! has no timestamps, and counters have no `TYPE` line: the two formats name them differently.
//!
//! ```
//! use common::metrics::Metrics;
//! use common::record::{Header, ProcessRecord, ProcessSample, Record, Run};
//!
//! let root = ProcessSample { rss_bytes: Some(4096), ..ProcessSample::unread(7, "bot") };
//! let mut metrics = Metrics::default();
//! metrics.take(&Record::Process(Box::new(ProcessRecord::new(Header::now(&Run::start(), 1), root))));
//! assert!(metrics.text().contains("memmon_process_rss_bytes{command=\"bot\",pid=\"7\",root=\"7\"} 4096\n"));
//! ```

mod families;
mod latest;
mod python;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod writer;

pub use families::{FAMILIES, Family};
pub use latest::Metrics;
pub use values::MAX_ROWS;
pub use writer::MetricsWriter;
