//! The queries of examples/sql have the same answers in DuckDB and ClickHouse.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::jsonl::Writer;
use common::record::{Cgroup, Header, Leak, LeakVerdict, LeaksRecord, ProcessRecord, Record, SCHEMA};
use common::time::Stamp;
use serde_json::{Value, json};

use crate::support::python::with;
use crate::support::samples::{self, Fill};
use crate::support::{Tool, json_lines, workspace};

/// Prints the rows of each query as lines of JSON: the query, and the row by its columns.
const DUCKDB: &str = r"
import duckdb, json, pathlib, sys
sql = pathlib.Path(sys.argv[1])
duckdb.execute((sql / 'duckdb.sql').read_text())
duckdb.execute('''CREATE VIEW releases AS SELECT * FROM read_csv('releases.csv', types = {'time': 'TIMESTAMPTZ', 'version': 'VARCHAR'})''')
for query in sys.argv[2:]:
    table = duckdb.sql(query if ' ' in query else (sql / query).read_text())
    for row in table.fetchall():
        print(json.dumps(dict(query=query, row=dict(zip(table.columns, row))), default=str))
";
const CLICKHOUSE: &str = r"
import json, pathlib, sys
from chdb import session
sql = pathlib.Path(sys.argv[1])
db = session.Session()
for part in (sql / 'clickhouse.sql').read_text().split(';'):
    if part.strip():
        db.query(part)
db.query(r'''CREATE VIEW releases AS SELECT * FROM file('releases.csv', 'CSVWithNames', 'host String, time DateTime64(3, \'UTC\'), version String')''')
for query in sys.argv[2:]:
    for row in str(db.query(query if ' ' in query else (sql / query).read_text(), 'JSONEachRow')).splitlines():
        print(json.dumps(dict(query=query, row=json.loads(row))))
";

/// A noon and seconds after it.
fn header(host: &str, seconds: u64) -> Header {
    let noon: Stamp = "2026-11-29T12:00:00.000+00:00".parse().unwrap();
    let timestamp = Stamp::from_unix_seconds(noon.unix_seconds() + seconds as f64).unwrap();
    Header { schema: SCHEMA, timestamp, host: host.into(), run: "r".into(), iteration: 1 }
}

fn leaks(host: &str, seconds: u64, holder: Option<&str>) -> Record {
    let leak = |holder: &str| Leak {
        holder: holder.into(),
        bytes_per_minute: 1024.0,
        side_effect_of: None,
        ..samples::leak(Fill::Full)
    };
    // Side effects of a leak are no leaks.
    let with_side_effect =
        |holder: &str| vec![leak(holder), Leak { side_effect_of: Some(holder.into()), ..leak("effect") }];
    let verdict = if holder.is_some() { LeakVerdict::Leak } else { LeakVerdict::None };
    let leaks = holder.map(with_side_effect).unwrap_or_default();
    let record = LeaksRecord { verdict, leaks, ..samples::leaks(Fill::Full) };
    Record::Leaks(Box::new(record.with_header(header(host, seconds))))
}

/// A sample of a process in a control group, with one child.
fn sample(host: &str, seconds: u64, used: u64, limit: Option<u64>) -> Record {
    let cgroup = Cgroup { anon_bytes: Some(used), limit_bytes: limit, ..samples::cgroup(Fill::Full) };
    let record =
        ProcessRecord { cgroup: Some(cgroup), total_rss_bytes: used, ..samples::process(Fill::Full) };
    Record::Process(Box::new(record.with_header(header(host, seconds))))
}

/// Writes the logs of three hosts. Two leak since 11:30; one of them leaks at another place, too, but no more.
fn write_logs(folder: &Path) {
    const HOUR: u64 = 3600;
    let mut hosts: BTreeMap<&str, Vec<Record>> = BTreeMap::new();
    for (host, growth, limit) in
        [("a", 1 << 20, Some(1 << 30)), ("b", 0, Some(1 << 30)), ("c", 2 << 20, None)]
    {
        let log = hosts.entry(host).or_default();
        for step in 0..=20 {
            log.push(sample(host, step * 600, (100 << 20) + step * growth, limit));
        }
    }
    hosts
        .get_mut("a")
        .unwrap()
        .extend([leaks("a", 0, Some("bot.old")), leaks("a", HOUR, Some("bot.sessions"))]);
    hosts.get_mut("b").unwrap().extend([leaks("b", HOUR, None)]);
    hosts
        .get_mut("c")
        .unwrap()
        .extend([leaks("c", HOUR, Some("bot.sessions")), samples::records(Fill::Full).remove(4)]);
    for (host, records) in hosts {
        let mut writer = Writer::new(fs::File::create(folder.join(format!("{host}.jsonl"))).unwrap());
        records.iter().for_each(|record| writer.write(record).unwrap());
    }
    let releases = "host,time,version\na,2026-11-01T00:00:00Z,1.0\nb,2026-11-01T00:00:00Z,1.0\nc,2026-11-01T00:00:00Z,1.0\n\
        a,2026-11-29T12:30:00Z,1.1\nc,2026-11-29T12:40:00Z,1.1\n";
    fs::write(folder.join("releases.csv"), releases).unwrap();
}

/// The answers by query: the rows with these columns. A number is one, whatever its type.
fn answers(python: &Path, client: &str, folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let queries =
        ["leaking_hosts.sql", "common_holders.sql", "first_version.sql", "full_when.sql", PROCESSES];
    let sql = workspace::root().join("examples/sql");
    let run = Tool::new(python).args(["-c", client]).arg(sql).args(queries).dir(folder).run().expect_code(0);
    let mut answers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in json_lines(&run.stdout) {
        let (query, row) = (line["query"].as_str().unwrap(), &line["row"]);
        let columns: &[&str] = match query {
            "leaking_hosts.sql" => &["host", "holder", "type", "bytes_per_day"],
            "common_holders.sql" => &["holder", "hosts", "median_bytes_per_day"],
            "first_version.sql" => &["holder", "version", "checked_hosts", "leaking_hosts"],
            "full_when.sql" => &["host", "full_bytes", "bytes_per_day", "hours_left"],
            _ => &["host", "processes", "rss_bytes"],
        };
        let cell = |name: &&str| match &row[*name] {
            Value::Number(number) => json!(number.as_f64().unwrap()),
            other => other.clone(),
        };
        answers.entry(query.to_owned()).or_default().push(columns.iter().map(cell).collect());
    }
    answers
}

const PROCESSES: &str = "SELECT host, count(*) AS processes, sum(rss_bytes) AS rss_bytes FROM processes WHERE host = 'a' GROUP BY host";

#[track_caller]
fn check(answers: &BTreeMap<String, Vec<Value>>) {
    let day = 1024.0 * 1440.0;
    let state = "__main__.SessionState";
    assert_eq!(
        answers["leaking_hosts.sql"],
        [json!(["a", "bot.sessions", state, day]), json!(["c", "bot.sessions", state, day])]
    );
    assert_eq!(
        answers["common_holders.sql"],
        [json!(["bot.sessions", 2.0, day]), json!(["bot.old", 1.0, day])]
    );
    assert_eq!(
        answers["first_version.sql"],
        [json!(["bot.old", "1.0", 2.0, 1.0]), json!(["bot.sessions", "1.1", 2.0, 2.0])]
    );
    let grown = |steps: f64| steps * 144.0 * f64::from(1 << 20);
    // 904 MiB are left at 6 MiB an hour. Host c has no limit, so it has the memory of its machine.
    let full: Vec<&Value> = answers["full_when.sql"].iter().filter(|row| row[0] == "a").collect();
    assert_eq!(full, [&json!(["a", f64::from(1 << 30), grown(1.0), 150.7])]);
    let hosts: Vec<&Value> = answers["full_when.sql"].iter().map(|row| &row[0]).collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    // Of 21 samples of a root and a child.
    assert_eq!(answers[PROCESSES], [json!(["a", 42.0, 42.0 * f64::from(50 << 20)])]);
}

#[test]
fn duckdb_answers_for_a_fleet() {
    let python = crate::or_skip!(with(&["duckdb==2.0.1"], "import duckdb"), "no DuckDB: ");
    let folder = tempfile::tempdir().unwrap();
    write_logs(folder.path());
    check(&answers(&python, DUCKDB, folder.path()));
}

#[test]
fn clickhouse_answers_for_a_fleet() {
    let python = crate::or_skip!(with(&["chdb==4.4.0"], "import chdb"), "no chDB: ");
    let folder = tempfile::tempdir().unwrap();
    write_logs(folder.path());
    check(&answers(&python, CLICKHOUSE, folder.path()));
}
