//! Reads the censuses of a log and keeps the first and the last one with a tree of holders.

use common::cli::Failure;
use common::log::{Census, Moment, MomentData};
use common::units::counted;

use super::blocks::{blocks, difference};
use super::{Block, HeapFigure};
use crate::clock;
use crate::figure::Unit;
use crate::format::{change, value};

/// A census with a tree.
#[derive(Debug)]
struct Kept {
    unix_ms: i64,
    census: Census,
}

/// The first and the last census of a log.
#[derive(Debug)]
struct Log {
    input: usize,
    first: Kept,
    last: Option<Kept>,
}

/// Collects the censuses with a tree of holders; of each log those of its first process.
#[derive(Debug, Default)]
pub struct HeapCollector {
    logs: Vec<Log>,
    censuses: u64,
    others: u64,
}

impl HeapCollector {
    /// Adds a moment.
    pub fn add(&mut self, moment: &Moment) {
        let MomentData::Census(census) = &moment.data else { return };
        self.censuses = self.censuses.saturating_add(1);
        if census.heap_tree.is_empty() {
            return;
        }
        let kept = || Kept { unix_ms: moment.unix_ms, census: census.clone() };
        match self.logs.iter_mut().find(|log| log.input == moment.input) {
            None => self.logs.push(Log { input: moment.input, first: kept(), last: None }),
            Some(log) if log.first.census.pid == census.pid => log.last = Some(kept()),
            Some(_) => self.others = self.others.saturating_add(1),
        }
    }

    /// Whether there is just one census, and it has a tree.
    pub fn is_one_moment(&self) -> bool {
        self.censuses == 1 && self.logs.len() == 1
    }

    /// Makes the picture: of one census, or of the difference of two. `name` returns the name of a process, by its census.
    ///
    /// # Errors
    /// If no census has a tree.
    pub fn finish(
        self,
        title: Option<&str>,
        name: impl Fn(&Census) -> String,
        log_name: impl Fn(usize) -> String,
    ) -> Result<HeapFigure, Failure> {
        let mut logs = self.logs.into_iter();
        let Some(Log { input, first, last }) = logs.next() else {
            return Err(Failure::new(
                "this log has no tree of holders",
                "logs of `memobj --retained` have it",
            ));
        };
        // Of one log its first and last census, of several logs the last of the first and of the last one.
        let (before, now, sides) = match (logs.last(), last) {
            (Some(other), last) => {
                let sides = Some([input, other.input].map(log_name));
                (Some(last.unwrap_or(first)), other.last.unwrap_or(other.first), sides)
            }
            (None, Some(last)) => (Some(first), last, None),
            (None, None) => (None, first, None),
        };
        let now_blocks = blocks(&now.census);
        let before_blocks = before.as_ref().and_then(|before| blocks(&before.census));
        let is_difference = before.is_some();
        let root =
            if is_difference { difference(before_blocks.as_ref(), now_blocks.as_ref()) } else { now_blocks };
        let Some(root) = root else {
            return Err(Failure::new(
                "this log has no tree of holders",
                "logs of `memobj --retained` have it",
            ));
        };
        let what = if is_difference { "Change of the heap" } else { "Heap by holder" };
        let title = title.map_or_else(|| format!("{what}: {}", name(&now.census)), str::to_owned);
        let mut subtitle = vec![moments(before.as_ref(), &now), sizes(&root)];
        if let Some([from, to]) = sides {
            subtitle.push(format!("{from} → {to}"));
        }
        if is_difference {
            subtitle.push("red grew, blue shrank; as wide as the larger of both".to_owned());
        }
        if self.others > 0 {
            subtitle
                .push(format!("{} of other processes not drawn", counted(self.others, "census", "censuses")));
        }
        Ok(HeapFigure { title, subtitle, is_difference, root })
    }
}

fn moments(before: Option<&Kept>, now: &Kept) -> String {
    let zone = clock::zone();
    let text = |at: i64| format!("{} {}", clock::date(at, zone), clock::time_of_day(at, zone, true));
    before.map_or_else(
        || text(now.unix_ms),
        |before| format!("{} – {}", text(before.unix_ms), text(now.unix_ms)),
    )
}

fn sizes(root: &Block) -> String {
    let now = |amount: u64| value(Unit::Bytes, amount as f64);
    let objects = counted(root.now.objects, "object", "objects");
    match (root.before, root.change()) {
        (Some(before), Some(by)) => {
            format!("{} → {} ({})", now(before.bytes), now(root.now.bytes), change(Unit::Bytes, by as f64))
        }
        _ => format!("{} in {objects}", now(root.now.bytes)),
    }
}
