//! memmon at work, and its log, which is held to the contract wherever it is read.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};

use common::record::{EventKind, Record};
use rustix::process::Signal;
use serde_json::Value;

use super::{Background, PATIENCE, Run, Tool, json_lines, wait_for};

/// memmon, to watch the process `pid` with these arguments.
pub fn memmon(pid: u32, args: &[&str]) -> Tool {
    Tool::ours("memmon").arg("-p").arg(pid.to_string()).args(args)
}

/// The number in a field.
#[track_caller]
pub fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or_else(|| panic!("{field} is no whole number: {object}"))
}

/// A `process` record's root and children.
pub fn members(sample: &Value) -> impl Iterator<Item = &Value> {
    std::iter::once(sample).chain(sample["children"].as_array().unwrap())
}

/// The pids of a `process` record's children, in order of number.
pub fn children(sample: &Value) -> BTreeSet<u32> {
    members(sample).skip(1).map(|child| pid(child)).collect()
}

/// The `pid` field.
#[track_caller]
pub fn pid(object: &Value) -> u32 {
    u32::try_from(number(object, "pid")).unwrap()
}

/// The records of one run, which keep the laws of `docs/schema.md` and agree with each other.
#[derive(Debug)]
pub struct Log {
    /// Every record.
    pub records: Vec<Value>,
}

impl Log {
    /// Reads a log.
    ///
    /// # Panics
    /// If it breaks a law.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let log = Self { records: json_lines(text.as_bytes()) };
        for (line, record) in text.lines().zip(&log.records) {
            assert_begins_by_law(line, record);
            match Record::parse(line.as_bytes()) {
                Err(error) => panic!("{error}: {line}"),
                Ok(Record::Unknown(kind)) => panic!("unknown type {kind}: {line}"),
                Ok(Record::ProcessEvent(event)) => assert_ne!(event.event, EventKind::Unknown, "{line}"),
                Ok(_) => {}
            }
            assert!(
                record["run"] == log.records[0]["run"] && record["host"] == log.records[0]["host"],
                "{line}"
            );
        }
        log.assert_no_iteration_is_skipped();
        log.samples().into_iter().for_each(assert_adds_up);
        log.assert_events_and_samples_agree();
        log.assert_proportional_sums();
        log
    }

    /// The log of a run that ended with 0.
    #[track_caller]
    pub fn of(run: Run) -> Self {
        Self::read(&run.expect_code(0).out())
    }

    /// The `process` records.
    pub fn samples(&self) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == "process").collect()
    }

    /// The last `process` record.
    #[track_caller]
    pub fn last(&self) -> &Value {
        self.samples().pop().expect("a sample")
    }

    /// The events of a kind.
    pub fn events(&self, kind: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["event"] == kind).collect()
    }

    /// The only event of this kind about this process.
    #[track_caller]
    pub fn event(&self, kind: &str, about: u32) -> &Value {
        let found: Vec<&Value> =
            self.events(kind).into_iter().filter(|event| event["pid"] == about).collect();
        assert_eq!(found.len(), 1, "{kind} of {about}: {:#?}", self.events(kind));
        found[0]
    }

    /// The `error` records.
    pub fn errors(&self) -> Vec<&Value> {
        self.records.iter().filter(|record| record["type"] == "error").collect()
    }

    /// Whether the kernel told of processes by itself; it tells those in its first namespaces only, and not all of them everywhere.
    pub fn is_told_by_the_kernel(&self) -> bool {
        self.samples().first().is_some_and(|sample| !sample["short_lived_count"].is_null())
    }

    fn assert_no_iteration_is_skipped(&self) {
        let mut before = 1;
        for record in &self.records {
            let iteration = number(record, "iteration");
            assert!((before..=before + 1).contains(&iteration), "{before} is followed by {record}");
            before = iteration;
        }
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for sample in self.samples() {
            let count = counts.entry(pid(sample)).or_default();
            *count += 1;
            assert_eq!(number(sample, "iteration"), *count, "{sample}");
        }
    }

    /// Every process that is in a sample has been said to have started, once, and not to have ended.
    fn assert_events_and_samples_agree(&self) {
        let mut living: HashSet<(Identity<'_>, u32)> = HashSet::new();
        let mut records: Vec<&Value> = self.records.iter().collect();
        // Those that ran before memmon did are in the first line of the log, and their events follow it: not yet, if the log was read early.
        if records.iter().all(|record| number(record, "iteration") == 1) {
            return;
        }
        records.sort_by_key(|record| (number(record, "iteration"), record["at_start"] != true));
        for record in records {
            match record["event"].as_str() {
                Some("started") => {
                    assert!(living.insert((identity(record), root(record))), "twice: {record}");
                }
                // One that lived between two samples has no start.
                Some("exited") if record["start_time"].is_string() || record["start_ticks"].is_u64() => {
                    assert!(living.remove(&(identity(record), root(record))), "it never started: {record}");
                }
                _ => {}
            }
            if record["type"] == "process" {
                for member in members(record) {
                    let here = living.contains(&(identity(member), pid(record)));
                    assert!(here, "not said to have started, or said to have ended: {member}");
                }
                let here = living.iter().filter(|(_, root)| *root == pid(record)).count();
                assert_eq!(members(record).count(), here, "one is missing without a word: {record}");
            }
        }
    }

    /// The sum of proportional sizes is that of the last ones told, and as old as the oldest of them.
    fn assert_proportional_sums(&self) {
        let mut known: HashMap<Identity<'_>, (u64, f64)> = HashMap::new();
        let took = self.samples().into_iter().map(|sample| sample["sample_seconds"].as_f64().unwrap());
        let slack = took.fold(0.0, f64::max) + 0.002;
        for sample in self.samples() {
            let now = sample["elapsed_seconds"].as_f64().unwrap();
            for member in members(sample) {
                if let Some(pss) = member["pss_bytes"].as_u64() {
                    known.insert(identity(member), (pss, now));
                }
            }
            // One without memory is about to end.
            let holders = members(sample).filter(|member| member["rss_bytes"].is_u64());
            let last: Option<Vec<(u64, f64)>> =
                holders.map(|member| known.get(&identity(member)).copied()).collect();
            let Some(total) = sample["total_pss_bytes"].as_u64() else {
                assert!(sample["total_pss_age_seconds"].is_null(), "{sample}");
                continue;
            };
            let last = last.unwrap_or_else(|| panic!("a sum, though not all are known: {sample}"));
            assert_eq!(total, last.iter().map(|(pss, _)| pss).sum::<u64>(), "{sample}");
            let oldest = last.iter().map(|(_, at)| now - at).fold(0.0, f64::max);
            let age = sample["total_pss_age_seconds"].as_f64().unwrap();
            // Each was read a moment after its sample began; the age is in thousandths.
            assert!((oldest - slack..=oldest + 0.002).contains(&age), "{age} s, not {oldest} s: {sample}");
        }
    }
}

/// Number and start: by ticks where there are any, or else by time.
type Identity<'a> = (u32, Option<u64>, Option<&'a str>);

fn identity(object: &Value) -> Identity<'_> {
    let ticks = object["start_ticks"].as_u64();
    (pid(object), ticks, object["start_time"].as_str().filter(|_| ticks.is_none()))
}

fn root(event: &Value) -> u32 {
    u32::try_from(number(event, "root_pid")).unwrap()
}

fn assert_begins_by_law(line: &str, record: &Value) {
    let head = format!(
        "{{\"type\":{},\"schema\":2,\"timestamp\":{},\"host\":{},\"run\":{},\"iteration\":{},",
        record["type"], record["timestamp"], record["host"], record["run"], record["iteration"]
    );
    assert!(line.starts_with(&head), "begins otherwise than {head}: {line}");
    let run = record["run"].as_str().unwrap();
    assert!(run.len() == 16 && run.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
}

/// A sample's sums are those of its parts, and nothing that lives is without memory.
fn assert_adds_up(sample: &Value) {
    let parts = sample["children"].as_array().unwrap();
    let rss = |object: &Value| object["rss_bytes"].as_u64().unwrap_or(0);
    let below: u64 = parts.iter().map(rss).sum();
    assert_eq!(number(sample, "children_count"), parts.len() as u64);
    assert_eq!(number(sample, "children_rss_bytes"), below);
    assert_eq!(number(sample, "total_rss_bytes"), below + rss(sample));
    let pids: HashSet<u64> = members(sample).map(|member| number(member, "pid")).collect();
    assert_eq!(pids.len(), parts.len() + 1, "a process is there twice: {sample}");
    for member in members(sample) {
        assert_ne!(member["name"], "", "{member}");
        assert_ne!(member["rss_bytes"], 0, "what has no memory any more has ended: {member}");
        assert!(!matches!(member["state"].as_str(), Some("zombie" | "dead")), "{member}");
        assert!(member["start_time"].as_str() <= sample["timestamp"].as_str(), "{member}");
    }
    let starts: Vec<Option<u64>> = parts.iter().map(|part| part["start_ticks"].as_u64()).collect();
    assert!(starts.is_sorted(), "children are not in order of start: {starts:?}");
}

/// A running memmon.
#[derive(Debug)]
pub struct Watch {
    process: Background,
}

impl Watch {
    /// Watches `pid`.
    #[track_caller]
    pub fn start(pid: u32, args: &[&str]) -> Self {
        Self { process: memmon(pid, args).start() }
    }

    /// memmon's own pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until its log has something.
    ///
    /// # Panics
    /// If it has not within [`PATIENCE`], or memmon ends without it.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut attempt: impl FnMut(&Log) -> Option<T>) -> T {
        let seen = Cell::new(usize::MAX);
        wait_for(PATIENCE, what, || {
            let over = self.process.has_ended();
            let mut text = self.process.out();
            text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
            // A log that did not grow need not be read again.
            if seen.replace(text.len()) == text.len() && !over {
                return None;
            }
            let found = attempt(&Log::read(&text));
            assert!(found.is_some() || !over, "memmon ended before: {what}\n{text}\n{}", self.process.err());
            found
        })
    }

    /// Waits for the first sample.
    #[track_caller]
    pub fn wait_first(&self) {
        self.wait_for("a sample", |log| log.samples().first().map(|_| ()));
    }

    /// Waits for a sample that began after this call; the log up to then.
    #[track_caller]
    pub fn wait_next(&self) -> Log {
        // The one after what is there now may have begun already.
        let now = self.wait_for("the log", |log| Some(log.samples().len()));
        self.wait_for("two more samples", |log| {
            (log.samples().len() >= now + 2).then(|| Log { records: log.records.clone() })
        })
    }

    /// Ends it as Ctrl-C does; its whole log.
    #[track_caller]
    pub fn stop(self) -> Log {
        self.process.signal(Signal::INT);
        self.finish()
    }

    /// Waits for its end; its whole log.
    #[track_caller]
    pub fn finish(self) -> Log {
        Log::of(self.process.finish(PATIENCE))
    }
}
