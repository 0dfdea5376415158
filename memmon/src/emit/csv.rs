//! Samples as a table.

use std::io::{self, Write};

use common::record::{ProcessRecord, ProcessSample, Record};
use common::record_sink::Sink;
use common::stdio::escape_cell;
use serde_json::Value;

use crate::shell_quote::quote_command;

/// The columns: fields of the record, `role`, and fields of one process.
const COLUMNS: &str = "timestamp,run,iteration,root_pid,role,pid,ppid,start_time,name,state,rss_bytes,vms_bytes,\
    pss_bytes,uss_bytes,swap_bytes,rss_peak_bytes,rss_anon_bytes,rss_file_bytes,rss_shmem_bytes,memory_ratio,\
    cgroup_ratio,cpu_ratio,threads,fds,total_rss_bytes,total_pss_bytes,cmdline";

/// Writes a row for each process of each `process` record, the root first. Other records are left out.
///
/// An unknown value is an empty cell. A row is one line: control characters in names are escaped, and `cmdline` is quoted as for
/// a shell. Names and command lines cannot be formulas: [`escape_cell`].
#[derive(Debug)]
pub struct Csv<W: Write> {
    output: W,
    has_titles: bool,
}

impl<W: Write> Csv<W> {
    /// A table to `output`, which should not buffer. The titles come with the first row.
    pub fn new(output: W) -> Self {
        Self { output, has_titles: false }
    }

    /// The rows of a table to `output`, which writes [`csv_titles`] itself where they are missing.
    pub fn without_titles(output: W) -> Self {
        Self { output, has_titles: true }
    }
}

/// The line of titles.
pub fn csv_titles() -> Vec<u8> {
    format!("{COLUMNS}\n").into_bytes()
}

/// The cells of a process. Only the root's row contains the totals.
fn row(record: &ProcessRecord, process: &ProcessSample, is_root: bool) -> io::Result<Vec<String>> {
    let mut fields = serde_json::to_value(process)?;
    if let Some(fields) = fields.as_object_mut().filter(|_| is_root) {
        fields.insert("total_rss_bytes".into(), record.total_rss_bytes.into());
        fields.insert("total_pss_bytes".into(), record.total_pss_bytes.into());
    }
    let cell = |column| match column {
        "timestamp" => record.timestamp.to_string(),
        "run" => record.run.to_string(),
        "iteration" => record.iteration.to_string(),
        "root_pid" => record.pid.to_string(),
        "role" => if is_root { "root" } else { "child" }.to_owned(),
        "name" => escape_cell(&process.name).into_owned(),
        "cmdline" => process
            .cmdline
            .as_deref()
            .map(quote_command)
            .map_or_else(String::new, |line| escape_cell(&line).into_owned()),
        column => match fields.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        },
    };
    Ok(COLUMNS.split(',').map(cell).collect())
}

impl<W: Write> Sink for Csv<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        let Record::Process(record) = record else { return Ok(()) };
        let titles = if self.has_titles { Vec::new() } else { csv_titles() };
        let mut rows = ::csv::Writer::from_writer(titles);
        rows.write_record(row(record, &record.root(), true)?)?;
        for child in &record.children {
            rows.write_record(row(record, child, false)?)?;
        }
        let rows = rows.into_inner().map_err(::csv::IntoInnerError::into_error)?;
        self.output.write_all(&rows)?;
        self.has_titles = true;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use common::record::EventKind;

    use super::super::testing::{MIB, Writes, arguments, error, event, process, sample, tree};
    use super::*;

    fn write(records: &[Record]) -> Vec<Vec<u8>> {
        let mut writes = Writes::default();
        let mut sink = Csv::new(&mut writes);
        for record in records {
            sink.record(record).unwrap();
        }
        sink.finish().unwrap();
        writes.0
    }

    /// Rows by column, as any reader of CSV sees them.
    fn read(table: &[u8]) -> Vec<HashMap<String, String>> {
        ::csv::Reader::from_reader(table).deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn titles_once_and_unknown_is_empty() {
        let writes = write(&[process(1, |_| {}), process(2, |r| r.total_pss_bytes = Some(7))]);
        let table = String::from_utf8(writes.concat()).unwrap();
        assert_eq!(
            table,
            "timestamp,run,iteration,root_pid,role,pid,ppid,start_time,name,state,rss_bytes,vms_bytes,pss_bytes,\
             uss_bytes,swap_bytes,rss_peak_bytes,rss_anon_bytes,rss_file_bytes,rss_shmem_bytes,memory_ratio,\
             cgroup_ratio,cpu_ratio,threads,fds,total_rss_bytes,total_pss_bytes,cmdline\n\
             2026-11-23T14:25:02.123+01:00,0123456789abcdef,1,1234,root,1234,1,2026-11-23T12:22:00.000+01:00,\
             python3,sleeping,104857600,209715200,,,,,,,,,,,,,104857600,,python3\n\
             2026-11-23T14:25:04.123+01:00,0123456789abcdef,2,1234,root,1234,1,2026-11-23T12:22:00.000+01:00,\
             python3,sleeping,104857600,209715200,,,,,,,,,,,,,104857600,7,python3\n"
        );
    }

    #[test]
    fn only_root_row_has_totals() {
        let mut root = sample(1234, "python3", Some(100 * MIB));
        (root.memory_ratio, root.threads, root.fds) = (Some(0.125), Some(4), Some(9));
        let children = vec![sample(7, "a", Some(MIB)), sample(8, "b", None)];
        let writes = write(&[Record::Process(Box::new(tree(1, root, children)))]);
        assert_eq!(writes.len(), 1);
        let rows = read(&writes[0]);
        let column = |name: &str| -> Vec<&str> { rows.iter().map(|row| row[name].as_str()).collect() };
        assert_eq!(column("role"), ["root", "child", "child"]);
        assert_eq!(column("root_pid"), ["1234"; 3]);
        assert_eq!(column("pid"), ["1234", "7", "8"]);
        assert_eq!(column("rss_bytes"), ["104857600", "1048576", ""]);
        assert_eq!(column("total_rss_bytes"), ["105906176", "", ""]);
        assert_eq!(column("memory_ratio"), ["0.125", "", ""]);
        assert_eq!(column("threads"), ["4", "", ""]);
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        let mut root = sample(1, "a,\"b\"\n\x1b[2J", Some(1));
        root.cmdline = arguments(&["sh", "-c", "echo \"1,2\"\necho 3", ""]);
        let mut hidden = sample(2, "名前", None);
        hidden.cmdline = None;
        let writes = write(&[Record::Process(Box::new(tree(1, root, vec![hidden])))]);
        assert_eq!(writes[0].iter().filter(|&&byte| byte == b'\n').count(), 3, "a row is a line");
        assert!(!writes[0].contains(&0x1b));
        let rows = read(&writes[0]);
        assert_eq!(rows[0]["name"], "a,\"b\"\\n\\u{1b}[2J");
        assert_eq!(rows[0]["cmdline"], r#"sh -c $'echo "1,2"\necho 3' ''"#);
        assert_eq!((rows[1]["name"].as_str(), rows[1]["cmdline"].as_str()), ("名前", ""));
    }

    #[test]
    fn names_are_no_formulas() {
        let mut root = sample(1, "=1+1", Some(1));
        root.cmdline = arguments(&["-bash"]);
        let mut child = sample(2, "@x", None);
        child.cmdline = arguments(&["=cmd|' /C calc'!A0", "x"]);
        let rows = read(&write(&[Record::Process(Box::new(tree(1, root, vec![child])))])[0]);
        let cells: Vec<&str> = rows.iter().flat_map(|row| [&*row["name"], &*row["cmdline"]]).collect();
        assert_eq!(cells[..3], ["'=1+1", "'-bash", "'@x"]);
        assert!(cells[3].starts_with('\''), "{cells:?}");
    }

    #[test]
    fn other_records_are_left_out() {
        assert!(write(&[event(1, EventKind::Started, 5, "sh", |_| {}), error(1, "sample", "no")]).is_empty());
    }
}
