//! Reads the censuses of a log and keeps those of the first and of the last moment that have a tree of holders.

use std::sync::Arc;

use common::cli::Failure;
use common::log::{Moment, MomentData};
use common::units::counted;
use regex::Regex;

use super::blocks::{blocks, difference, processes};
use super::{Block, BlockKind, Form, HeapFigure};
use crate::clock;
use crate::figure::Unit;
use crate::format::{change, value};
use crate::series::{log_name, process_name};

/// A census with a tree.
#[derive(Debug, Clone)]
struct Kept {
    /// The number of the moment in its log.
    moment: usize,
    unix_ms: i64,
    blocks: Block,
}

/// The first and the last census of a process.
#[derive(Debug)]
struct Process {
    pid: u32,
    start: u64,
    name: String,
    first: Kept,
    last: Kept,
}

/// A log with a tree of holders.
#[derive(Debug)]
struct Log {
    input: usize,
    /// The run and the iteration of the current moment, and its number.
    current: (Arc<str>, u64),
    moment: usize,
    processes: Vec<Process>,
    /// Processes that neither the first moment nor the current one has.
    dropped: usize,
}

/// Collects the censuses with a tree of holders.
#[derive(Debug)]
pub struct HeapCollector {
    grep: Option<Regex>,
    logs: Vec<Log>,
    /// Whether a process has more than one census, or a census has no tree.
    is_series: bool,
}

impl HeapCollector {
    /// Collects the censuses of processes whose names match.
    pub fn new(grep: Option<Regex>) -> Self {
        Self { grep, logs: Vec::new(), is_series: false }
    }

    /// Adds a moment.
    pub fn add(&mut self, moment: &Moment) {
        let MomentData::Census(census) = &moment.data else { return };
        let Some(blocks) = blocks(census) else {
            self.is_series = true;
            return;
        };
        let name = process_name(census.pid, &census.name, census.cmdline.as_ref());
        if self.grep.as_ref().is_some_and(|grep| !grep.is_match(&name)) {
            return;
        }
        let current = (Arc::clone(&moment.run), moment.iteration);
        let at = self.logs.iter().position(|log| log.input == moment.input).unwrap_or_else(|| {
            let (input, current) = (moment.input, current.clone());
            self.logs.push(Log { input, current, moment: 0, processes: Vec::new(), dropped: 0 });
            self.logs.len().saturating_sub(1)
        });
        let Some(log) = self.logs.get_mut(at) else { return };
        let is_same = |known: &Process| (known.pid, known.start) == (census.pid, census.start);
        let is_again = log.processes.iter().any(|known| is_same(known) && known.last.moment == log.moment);
        if log.current != current || is_again {
            log.current = current;
            log.moment = log.moment.saturating_add(1);
            log.drop_exited();
        }
        let kept = Kept { moment: log.moment, unix_ms: moment.unix_ms, blocks };
        match log.processes.iter_mut().find(|known| is_same(known)) {
            Some(known) => {
                known.last = kept;
                self.is_series = true;
            }
            None => log.processes.push(Process {
                pid: census.pid,
                start: census.start,
                name,
                first: kept.clone(),
                last: kept,
            }),
        }
    }

    /// Whether there is just one moment, and all its censuses have a tree.
    pub fn is_one_moment(&self) -> bool {
        matches!(&*self.logs, [log] if log.moment == 0) && !self.is_series
    }

    /// Makes the picture: of one moment, or of the difference of two. `inputs` are the names of the logs.
    ///
    /// # Errors
    /// If no census has a tree.
    pub fn finish(self, form: Form, title: Option<&str>, inputs: &[String]) -> Result<HeapFigure, Failure> {
        let no_tree =
            || Failure::new("this log has no tree of holders", "logs of `memobj --retained` have it");
        let no_match = |grep: &Regex| {
            Failure::new(
                format!("this log has no tree of holders of a process that matches '{}'", grep.as_str()),
                "with --what heap and treemap, --grep chooses processes by name",
            )
        };
        let Some(first_log) = self.logs.first() else {
            return Err(self.grep.as_ref().map_or_else(no_tree, no_match));
        };
        let last_log = self.logs.last().filter(|last| last.input != first_log.input);
        // Of one log its first and last moment, of several logs the last of the first and of the last one.
        let (before, now, is_of_one_log) = match last_log {
            Some(last) => (Some(first_log.last()), last.last(), false),
            None if first_log.end() > 0 => (Some(first_log.first()), first_log.last(), true),
            None => (None, first_log.last(), true),
        };
        let are_several = now.len().max(before.as_ref().map_or(0, Vec::len)) > 1;
        let tree = |side: &Side<'_>| match (&**side, are_several) {
            (&[(_, kept)], false) => Some(kept.blocks.clone()),
            _ => processes(label(side, is_of_one_log).zip(side.iter().map(|(_, kept)| kept.blocks.clone()))),
        };
        let now_blocks = tree(&now);
        let root = match &before {
            Some(before) => difference(tree(before).as_ref(), now_blocks.as_ref()),
            None => now_blocks,
        };
        let root = root.ok_or_else(no_tree)?;
        let mut subtitle = vec![moments(before.as_ref(), &now), sizes(&root)];
        if let Some(last) = last_log {
            let [from, to] =
                [first_log, last].map(|log| log_name(inputs.get(log.input).map_or("", |name| name)));
            subtitle.push(format!("{from} → {to}"));
        }
        if before.is_some() {
            subtitle.push(
                match form {
                    Form::Icicle => "red grew, blue shrank; as wide as the larger of both",
                    Form::Treemap => "red grew, blue shrank; as large as the larger of both",
                }
                .to_owned(),
            );
        }
        if are_several && root.has_rest() {
            subtitle.push("pages that processes share count in each".to_owned());
        }
        let not_drawn = first_log.dropped.saturating_add(first_log.others());
        if not_drawn > 0 && last_log.is_none() {
            let count = counted(not_drawn as u64, "other process", "other processes");
            subtitle.push(format!("{count} of the log not drawn"));
        }
        let title = title.map_or_else(
            || {
                let what = if before.is_some() { "Change of the heap" } else { "Heap by holder" };
                format!("{what}: {}", subject(&now))
            },
            str::to_owned,
        );
        Ok(HeapFigure { form, title, subtitle, is_difference: before.is_some(), root })
    }
}

/// The censuses of one moment.
type Side<'a> = Vec<(&'a Process, &'a Kept)>;

impl Log {
    /// Forgets the processes that are in neither of the two moments to draw.
    fn drop_exited(&mut self) {
        let before = self.processes.len();
        let oldest = self.moment.saturating_sub(1);
        self.processes.retain(|process| process.first.moment == 0 || process.last.moment >= oldest);
        self.dropped = self.dropped.saturating_add(before.saturating_sub(self.processes.len()));
    }

    /// The last moment with a process of the first one: a log may go on with other programs.
    fn end(&self) -> usize {
        let of_first = self.processes.iter().filter(|process| process.first.moment == 0);
        of_first.map(|process| process.last.moment).max().unwrap_or(0)
    }

    fn first(&self) -> Side<'_> {
        let all = self.processes.iter().filter(|process| process.first.moment == 0);
        all.map(|process| (process, &process.first)).collect()
    }

    fn last(&self) -> Side<'_> {
        let end = self.end();
        let all = self.processes.iter().filter(|process| process.last.moment == end);
        all.map(|process| (process, &process.last)).collect()
    }

    /// The number of its processes that are in neither.
    fn others(&self) -> usize {
        let end = self.end();
        let is_drawn = |process: &&Process| process.first.moment == 0 || process.last.moment == end;
        self.processes.len().saturating_sub(self.processes.iter().filter(is_drawn).count())
    }
}

/// A name for each process: with its pid within a log. In another log pids differ, so equal names have numbers.
fn label(side: &Side<'_>, has_pids: bool) -> impl Iterator<Item = String> {
    side.iter().enumerate().map(move |(at, (process, _))| {
        let same = side.iter().take(at).filter(|(other, _)| other.name == process.name).count();
        match same {
            _ if has_pids => with_pid(process),
            0 => process.name.clone(),
            same => format!("{} #{}", process.name, same.saturating_add(1)),
        }
    })
}

fn with_pid(process: &Process) -> String {
    match process {
        Process { name, pid: 0, .. } => name.clone(),
        Process { name, pid, .. } => format!("{name} (pid {pid})"),
    }
}

fn subject(side: &Side<'_>) -> String {
    let others = side.len().saturating_sub(1) as u64;
    match side.first().map(|(process, _)| with_pid(process)).unwrap_or_default() {
        first if others == 0 => first,
        first => format!("{first} and {}", counted(others, "other process", "other processes")),
    }
}

fn moments(before: Option<&Side<'_>>, now: &Side<'_>) -> String {
    let zone = clock::zone();
    let text = |side: &Side<'_>| {
        let at = side.iter().map(|(_, kept)| kept.unix_ms).max().unwrap_or_default();
        format!("{} {}", clock::date(at, zone), clock::time_of_day(at, zone, true))
    };
    before.map_or_else(|| text(now), |before| format!("{} – {}", text(before), text(now)))
}

fn sizes(root: &Block) -> String {
    let now = |amount: u64| value(Unit::Bytes, amount as f64);
    let objects = counted(root.now.objects, "object", "objects");
    match (root.before, root.change()) {
        (Some(before), Some(by)) => {
            format!("{} → {} ({})", now(before.bytes), now(root.now.bytes), change(Unit::Bytes, by as f64))
        }
        _ => format!("{}, {objects}", now(root.now.bytes)),
    }
}

impl Block {
    fn has_rest(&self) -> bool {
        self.kind == BlockKind::Rest || self.parts.iter().any(Self::has_rest)
    }
}
