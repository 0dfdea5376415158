//! Renders reports as CSV: a row for each value of a comparison, or for each verdict.

use common::cli::Failure;
use common::record::{DiffRecord, Presence, Verdict};
use common::stdio::escape_cell;
use serde_json::Value;

use super::report::Report;
use crate::delta::{self, Sides, known_change, process_sizes};

/// Writes reports as rows under one line of titles.
///
/// The cell of an unknown value is empty. Control characters in names are escaped, so that a row is one line, and no name is a formula.
#[derive(Debug, Default)]
pub struct CsvWriter {
    has_titles: bool,
}

/// The columns of a comparison.
const CHANGE_TITLES: &str = "before,after,iteration_before,iteration_after,kind,name,role,presence,pid_before,pid_after,\
before_bytes,after_bytes,change_bytes,count_before,count_after,change_count\n";

/// The columns of verdicts. A row of bytes has no counts, and a row of descriptors or threads no bytes.
const VERDICT_TITLES: &str = "kind,name,role,pid,trend,confidence_ratio,bytes_per_hour,bytes_per_hour_low,bytes_per_hour_high,\
from,to,first_bytes,last_bytes,moments,limit_reached_at,limit_kind,limit_bytes,new_objects,new_objects_survived,\
count_per_hour,count_per_hour_low,count_per_hour_high,first_count,last_count\n";

impl CsvWriter {
    /// The rows of the next report.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn rows(&mut self, report: &Report<'_>) -> Result<Vec<u8>, Failure> {
        let titles = match report {
            _ if std::mem::replace(&mut self.has_titles, true) => "",
            Report::Changes { .. } => CHANGE_TITLES,
            Report::Verdicts { .. } => VERDICT_TITLES,
        };
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(titles.into());
        let written = match report {
            Report::Verdicts { record, .. } => {
                record.verdicts.iter().try_for_each(|verdict| write_verdict(verdict, &mut writer))
            }
            Report::Changes { comparison, .. } => write_changes(&comparison.record, &mut writer),
        };
        written.map_err(|error| Failure::new(format!("CSV: {error}"), ""))?;
        writer.into_inner().map_err(|error| Failure::new(format!("CSV: {error}"), ""))
    }
}

fn write_changes(record: &DiffRecord, writer: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
    const NONE: Sides = [None; 2];
    type Names<'a> = (&'a str, &'a str, Presence);
    let moments = (
        [record.before.timestamp, record.after.timestamp],
        [record.before.iteration, record.after.iteration],
    );
    let mut write = |kind: &str, names: Names<'_>, pids: Sides<u32>, bytes: Sides, counts: Sides| {
        let (name, role, presence) = names;
        let change = |sizes| known_change(presence, sizes).map(|change| change.0);
        let count_change = if counts == NONE { None } else { change(counts) };
        let names = (kind, escape_cell(name), escape_cell(role), presence);
        writer.serialize((moments, names, pids, bytes, change(bytes), counts, count_change))
    };
    for p in &record.processes {
        let (names, pids) = ((&*p.name, &*p.role, p.presence), [p.pid_before, p.pid_after]);
        for (kind, bytes) in process_sizes(p) {
            if kind == "rss" || bytes != NONE {
                write(kind, names, pids, bytes, NONE)?;
            }
        }
        let threads = [p.threads_before, p.threads_after];
        if threads != NONE {
            write("threads", names, pids, NONE, threads)?;
        }
    }
    for t in &record.totals {
        let (bytes, counts) = ([t.before_bytes, t.after_bytes], [t.count_before, t.count_after]);
        write(&t.kind.to_string(), ("", &t.role, Presence::Both), [None; 2], bytes, counts)?;
    }
    for (kind, changes) in delta::lists(record) {
        for c in changes {
            let bytes = [c.size_before_bytes, c.size_after_bytes];
            let counts = [c.count_before, c.count_after];
            write(&kind.to_string(), (&c.name, &c.role, c.presence), [None; 2], bytes, counts)?;
        }
    }
    for t in &record.threads {
        write("thread", (&t.name, &t.role, t.presence), [None; 2], NONE, NONE)?;
    }
    Ok(())
}

/// Writes the fields of a verdict, however many it has. An absent one is an empty cell.
fn write_verdict(verdict: &Verdict, writer: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
    let fields = serde_json::to_value(verdict).map_err(std::io::Error::from)?;
    let cell = |title| match fields.get(title) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => escape_cell(text).into_owned(),
        Some(value) => value.to_string(),
    };
    writer.write_record(VERDICT_TITLES.trim_end().split(',').map(cell))
}
