//! Looking for leaks: what was seen of each process, how far it is, and the verdict.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};

use common::cli::{EXIT_TROUBLE, Failure};
use common::record::{Among, Header, LeakVerdict, LeaksRecord, Run};
use common::units::thousands;

use super::TOOL;
use crate::census::Census;
use crate::emit::leaks::record;
use crate::leaks::MIN_CENSUSES;
use crate::survivors::MAX_CENSUSES;

/// Something leaks.
const EXIT_LEAK: u8 = 1;
/// Of so many processes of a program one can stand out.
const MIN_ALIKE: usize = 3;
/// By so many times the median.
const OUTLIER_FACTOR: f64 = 3.0;
/// Up to the left edge, and everything behind it cleared.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Refuses a number of censuses from which nothing can be concluded.
///
/// # Errors
/// If it is such a number.
pub(super) fn check(censuses: u64) -> Result<(), Failure> {
    if censuses < MIN_CENSUSES as u64 {
        let what = format!("that is {censuses} in all, and a leak needs {MIN_CENSUSES} censuses at least");
        return Err(Failure::new(what, "give a longer --for, or a shorter -i"));
    }
    if censuses > MAX_CENSUSES as u64 {
        let what = format!("that is {} censuses, and {MAX_CENSUSES} can be compared", thousands(censuses));
        return Err(Failure::new(what, "give a shorter --for, or a longer -i"));
    }
    Ok(())
}

/// The search for leaks in all processes of a run.
#[derive(Debug)]
pub(super) struct LeakSearch {
    /// How many censuses of each are planned.
    planned: u64,
    /// Whether somebody is told how far it is.
    shows: bool,
    seen: BTreeMap<u32, Seen>,
    /// The exit code, when there is a verdict.
    concluded: Option<u8>,
}

/// What was seen of a process.
#[derive(Debug)]
struct Seen {
    root: Option<u32>,
    censuses: u64,
    /// The longest that it stood still, in seconds.
    pause: Option<f64>,
    /// The last census.
    last: Census,
}

impl LeakSearch {
    /// Nothing was seen yet. How far it is is told on a terminal if `tells`.
    pub(super) fn new(planned: u64, tells: bool) -> Self {
        let shows = tells && io::stderr().is_terminal();
        Self { planned, shows, seen: BTreeMap::new(), concluded: None }
    }

    /// Takes a census in.
    pub(super) fn take(&mut self, root: Option<u32>, census: &Census) {
        let pause = census.taking.pause.map(|pause| pause.as_secs_f64());
        let pid = census.process.pid;
        let before =
            self.seen.remove(&pid).filter(|seen| seen.last.process.start_ticks == census.process.start_ticks);
        let seen = Seen {
            root,
            censuses: before.as_ref().map_or(0, |seen| seen.censuses).saturating_add(1),
            pause: pause.into_iter().chain(before.and_then(|seen| seen.pause)).reduce(f64::max),
            last: census.clone(),
        };
        if self.shows && self.concluded.is_none() {
            let text = format!("{TOOL}: census {} of {} …", seen.censuses, self.planned);
            let _ = write!(io::stderr(), "{CLEAR_LINE}{text}");
        }
        self.seen.insert(pid, seen);
    }

    /// The verdicts, those on what leaks most first; nothing if they were given before.
    pub(super) fn conclude(&mut self, run: &Run, iteration: u64, cmdline: bool) -> Vec<LeaksRecord> {
        if self.concluded.is_some() {
            return Vec::new();
        }
        if self.shows {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
        let mut records: Vec<LeaksRecord> = self
            .seen
            .values()
            .map(|seen| {
                let header = Header::now(run, iteration);
                let mut record =
                    record(header, &seen.last, seen.last.leaks.as_deref(), seen.pause, seen.root, cmdline);
                record.censuses = seen.censuses;
                record
            })
            .collect();
        compare(&mut records);
        records.sort_by(|a, b| growth(b).total_cmp(&growth(a)).then(a.pid.cmp(&b.pid)));
        let any = |verdict| records.iter().any(|record| record.verdict == verdict);
        self.concluded = Some(if any(LeakVerdict::Leak) {
            EXIT_LEAK
        } else if any(LeakVerdict::None) {
            0
        } else {
            EXIT_TROUBLE
        });
        records
    }

    /// What the verdict means for the exit code; 0 before there is one.
    pub(super) fn exit_code(&self) -> u8 {
        self.concluded.unwrap_or(0)
    }
}

/// What all that leaks in a process grows by, in bytes a minute.
fn growth(record: &LeaksRecord) -> f64 {
    let objects: f64 = record.leaks.iter().map(|leak| leak.bytes_per_minute).sum();
    let memory = record.memory.as_ref().filter(|memory| memory.leaks).map(|memory| memory.bytes_per_minute);
    objects.max(memory.unwrap_or(0.0))
}

/// Compares processes that run the same program: their arguments are the same, or where these are not known their names.
fn compare(records: &mut [LeaksRecord]) {
    let key = |record: &LeaksRecord| match &record.cmdline {
        Some(cmdline) => cmdline.join("\0"),
        None => record.name.as_deref().unwrap_or_default().to_owned(),
    };
    let mut alike: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in &*records {
        alike.entry(key(record)).or_default().push(growth(record));
    }
    for rates in alike.values_mut() {
        rates.sort_by(f64::total_cmp);
    }
    for record in records {
        let Some(rates) = alike.get(&key(record)).filter(|rates| rates.len() >= MIN_ALIKE) else {
            continue;
        };
        let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
        let own = growth(record);
        record.among = Some(Among {
            processes: rates.len() as u64,
            median_bytes_per_minute: median,
            bytes_per_minute: own,
            stands_out: own > 0.0 && own > median * OUTLIER_FACTOR,
        });
    }
}
