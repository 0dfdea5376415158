//! Every series of the logs, fed with all moments, and what each of them does.

mod followed;
mod newcomers;
mod runs;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use common::log::{Census, Moment, Process, Tree, What};
use common::record::{Course, EventKind, Verdict};

use self::followed::{Followed, Kind, Slot, Who};
use self::runs::{Place, Runs};
use crate::delta::{self, Bounds};
use crate::side::{self, At, Listing};

pub use self::words::{Sentence, counts, rate, sentence};

/// The most series that are followed: about 12 KiB each when they are long.
pub const MOST_SERIES: usize = 10_000;

/// The most dropped series that are told apart, so that one that comes again and again counts once.
const MOST_COUNTED: usize = 1_000_000;

/// So few series are judged on one thread.
const FEW_SERIES: usize = 64;

/// A process that ended with fewer moments than this gives way first where there is no room.
const FEW_MOMENTS: u64 = 20;

/// All series of all inputs.
///
/// A series is of one process in one run: a number used again and another run begin another one. Memory is bounded by the number
/// of series that are followed, whatever the length of the logs.
#[derive(Debug)]
pub struct Series {
    limit: usize,
    followed: HashMap<Who, Followed>,
    runs: Runs,
    /// How many there are, and how many there ever were.
    count: usize,
    born: u64,
    /// Nothing smaller is taken in any more: as small ones were dropped.
    floor: u64,
    omitted: HashSet<u64>,
    /// How many processes were left when it was last looked which are spent.
    swept: usize,
    ends: Option<(At, At)>,
    measured: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self::with_limit(MOST_SERIES)
    }
}

impl Series {
    /// At most `limit` series; of more the smallest are dropped.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            followed: HashMap::new(),
            runs: Runs::default(),
            count: 0,
            born: 0,
            floor: 0,
            omitted: HashSet::new(),
            swept: 0,
            ends: None,
            measured: 0,
        }
    }

    /// Takes in the next moment; whether it was a measurement.
    pub fn take(&mut self, moment: &Moment) -> bool {
        match &moment.what {
            What::Tree(tree) => {
                let place = self.begin(moment);
                self.tree(&place, tree);
            }
            What::Census(census) => {
                let place = self.begin(moment);
                self.census(&place, census);
            }
            What::Event(event) => {
                if event.event == EventKind::Exited {
                    let run = self.runs.index(&moment.run);
                    let ticks = event.start_ticks;
                    let it = |who: &&mut Followed| ticks.is_none_or(|ticks| ticks == who.start);
                    let known =
                        self.runs.latest_of(run, event.pid).and_then(|who| self.followed.get_mut(&who));
                    known.filter(it).into_iter().for_each(|followed| followed.has_ended = true);
                }
                return false;
            }
            What::Failed(_) => {
                let run = self.runs.index(&moment.run);
                let of_run = self.followed.iter_mut().filter(|(who, _)| who.run == run);
                of_run.for_each(|(_, followed)| followed.gap());
                return false;
            }
            What::Diff(_) => return false,
        }
        self.measured += 1;
        true
    }

    /// How many measurements were taken in.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// The first and the last measurement.
    #[must_use]
    pub fn ends(&self) -> Option<(&At, &At)> {
        self.ends.as_ref().map(|(first, last)| (first, last))
    }

    /// How many series were dropped, as there were too many.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        u64::try_from(self.omitted.len()).unwrap_or(u64::MAX)
    }

    /// What each series does, by bytes per hour: what grows most first, what is too short to say last.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut series = Vec::with_capacity(self.count);
        for (who, followed) in &self.followed {
            let has_ended = followed.has_ended || self.has_left(followed);
            let surroundings = self.runs.surroundings(&followed.host).filter(|_| !has_ended);
            series.extend(followed.named().map(|named| (who, followed, named, has_ended, surroundings)));
        }
        // Each is judged by itself, which takes a millisecond or two: with thousands of them every processor helps.
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let share = series.len().div_ceil(threads).max(FEW_SERIES);
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(series.len());
        std::thread::scope(|scope| {
            let judge = |part: &[(&Who, &Followed, _, _, _)]| -> Vec<Verdict> {
                part.iter()
                    .map(|(who, followed, named, ended, around)| {
                        followed.verdict(who, *named, *ended, *around)
                    })
                    .collect()
            };
            let mut parts = series.chunks(share);
            let first = parts.next();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || judge(part))).collect();
            verdicts.extend(first.map(judge).unwrap_or_default());
            verdicts.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        });
        // What grows comes first, then by rate. With equal rates names decide, so that the order is always the same.
        let rank = |verdict: &Verdict| match verdict.course {
            Course::Growing => 0,
            Course::TooShort => 2,
            Course::Steady | Course::Shrinking | Course::SawTooth => 1,
        };
        verdicts.sort_by(|a, b| {
            let rate = |verdict: &Verdict| verdict.bytes_per_hour.unwrap_or(f64::NEG_INFINITY);
            let by_rate = rank(a).cmp(&rank(b)).then(rate(b).total_cmp(&rate(a)));
            by_rate.then_with(|| (&a.kind, &a.name, &a.role, a.pid).cmp(&(&b.kind, &b.name, &b.role, b.pid)))
        });
        verdicts
    }

    /// Whether a process was missing when its tree was last measured.
    fn has_left(&self, followed: &Followed) -> bool {
        let root = followed.root.as_ref().and_then(|root| self.followed.get(root));
        root.is_some_and(|root| root.turn > followed.turn)
    }

    fn begin(&mut self, moment: &Moment) -> Place {
        // Once small series are not taken in, brief processes leave nothing that would be pruned.
        if self.followed.len() > 2 * self.swept.max(self.limit) {
            self.sweep();
        }
        let at = At {
            input: moment.input,
            line: moment.line,
            run: Arc::clone(&moment.run),
            host: Arc::clone(&moment.host),
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
        };
        match &mut self.ends {
            Some((_, last)) => *last = at,
            ends @ None => *ends = Some((at.clone(), at)),
        }
        self.runs.place(moment)
    }

    fn tree(&mut self, place: &Place, tree: &Tree) {
        let Some(root) = tree.processes.first() else { return };
        self.runs.note_surroundings(place, tree);
        let top = Who { run: place.run, pid: root.pid, start: root.start };
        let turn = self.followed.get(&top).map_or(1, |followed| followed.turn.saturating_add(1));
        let is_fresh = tree.processes.iter().any(|process| process.pss_bytes.is_some());
        for (index, process) in tree.processes.iter().enumerate() {
            let who = Who { run: place.run, pid: process.pid, start: process.start };
            self.process(place, who, process, (index > 0).then_some(top), turn);
        }
        // The tree of one is the process itself.
        if tree.processes.len() > 1 || self.followed.get(&top).is_some_and(|top| top.has_had_children) {
            if let Some(top) = self.followed.get_mut(&top) {
                top.has_had_children = true;
            }
            self.push(place, top, Kind::TotalRss, None, tree.total_rss_bytes);
            // A sum of which no part was read anew is no new moment.
            if let Some(total) = tree.total_pss_bytes.filter(|_| is_fresh) {
                self.push(place, top, Kind::TotalPss, None, total);
            }
        }
    }

    fn process(&mut self, place: &Place, who: Who, process: &Process, root: Option<Who>, turn: u64) {
        let followed = self.follow(place, who, &process.name);
        followed.name_by(process.cmdline.as_ref(), &process.name);
        followed.root = root;
        followed.turn = turn;
        if let Some(bytes) = process.rss_bytes {
            self.push(place, who, Kind::Rss, None, bytes);
        }
        if let Some(bytes) = process.pss_bytes {
            self.push(place, who, Kind::Pss, None, bytes);
        }
    }

    fn census(&mut self, place: &Place, census: &Census) {
        let who = Who { run: place.run, pid: census.pid, start: census.start };
        let followed = self.follow(place, who, &census.name);
        followed.name_by(census.cmdline.as_ref(), &census.name);
        followed.root = None;
        followed.is_below = census.root_pid.is_some_and(|root| root != census.pid);
        followed.turn = followed.turn.saturating_add(1);
        if let Some(bytes) = census.rss_bytes {
            self.push(place, who, Kind::Rss, None, bytes);
        }
        if let Some(bytes) = census.total_size_bytes {
            self.push(place, who, Kind::Python, None, bytes);
        }
        if let Some(bytes) = delta::native_bytes(census) {
            self.push(place, who, Kind::Native, None, bytes);
        }
        self.list(place, who, Kind::Type, &side::types(census));
        self.list(place, who, Kind::Module, &side::modules(census));
        self.list(place, who, Kind::Holder, &side::holders(census));
        self.list(place, who, Kind::Cache, &side::caches(census));
        for sample in &census.survivors {
            let kind = match &*sample.kind {
                "type" => Kind::Type,
                "holder" => Kind::Holder,
                _ => continue,
            };
            let followed = self.followed.get_mut(&who);
            if let Some(slot) = followed.and_then(|followed| followed.slot(kind, Some(&sample.name))) {
                slot.take_sample(&sample.marks);
            }
        }
    }

    /// What a whole list does not have is not there; a cut one says nothing of it. What it has without a size is there.
    fn list(&mut self, place: &Place, who: Who, kind: Kind, (rows, is_cut): &Listing<'_>) {
        for row in rows {
            if let Some(bytes) = row.size_bytes {
                self.push(place, who, kind, Some(row.name), bytes);
            }
        }
        if let Some(followed) = self.followed.get_mut(&who).filter(|_| !is_cut) {
            let unmeasured = rows.iter().filter(|row| row.size_bytes.is_none());
            followed.vanish(kind, place, &unmeasured.map(|row| row.name).collect());
        }
    }

    fn follow(&mut self, place: &Place, who: Who, name: &Arc<str>) -> &mut Followed {
        self.runs.note_process(who);
        self.followed.entry(who).or_insert_with(|| Followed::new(&place.host, name, who.start))
    }

    /// One value of one series, which begins with it if there is room.
    fn push(&mut self, place: &Place, who: Who, kind: Kind, name: Option<&Arc<str>>, bytes: u64) {
        let Some(followed) = self.followed.get_mut(&who) else { return };
        if let Some(slot) = followed.slot(kind, name) {
            slot.push(place, bytes);
            return;
        }
        if self.floor > 0 && bytes <= self.floor {
            self.omit(who, kind, name);
            return;
        }
        self.born += 1;
        let mut slot = Slot::new(kind, self.born);
        slot.push(place, bytes);
        followed.add(name, slot);
        self.count += 1;
        if self.count > self.limit + self.limit / 8 {
            self.prune();
        }
    }

    fn omit(&mut self, who: Who, kind: Kind, name: Option<&Arc<str>>) {
        if self.omitted.len() < MOST_COUNTED {
            let mut hasher = DefaultHasher::new();
            (who, kind, name).hash(&mut hasher);
            self.omitted.insert(hasher.finish());
        }
    }

    /// Drops what is too much: first what ended soon after it began, then the smallest, of equal ones the latest.
    fn prune(&mut self) {
        let mut ranks: Vec<(u64, u64, u64)> = Vec::with_capacity(self.count);
        let gone: HashSet<Who> = self
            .followed
            .iter()
            .filter(|(_, f)| f.has_ended || self.has_left(f))
            .map(|(who, _)| *who)
            .collect();
        // What ended counts as smaller than any other.
        let rank = |who: &Who, slot: &Slot| {
            let is_brief = slot.moments() < FEW_MOMENTS && gone.contains(who);
            (u64::from(!is_brief), slot.peak_bytes, u64::MAX - slot.born)
        };
        for (who, followed) in &self.followed {
            ranks.extend(followed.slots().map(|slot| rank(who, slot)));
        }
        ranks.sort_unstable();
        let Some(&cut) = ranks.get(ranks.len().saturating_sub(self.limit)) else { return };
        let mut dropped: Vec<(Who, Kind, Option<Arc<str>>)> = Vec::new();
        for (who, followed) in &mut self.followed {
            followed.retain(|name, slot| {
                let stays = rank(who, slot) >= cut;
                if !stays {
                    dropped.push((*who, slot.kind, name.cloned()));
                }
                stays
            });
        }
        if cut.0 > 0 {
            self.floor = self.floor.max(cut.1);
        }
        self.count -= dropped.len();
        dropped.into_iter().for_each(|(who, kind, name)| self.omit(who, kind, name.as_ref()));
        self.sweep();
    }

    /// Forgets the processes that are gone and have no series left.
    fn sweep(&mut self) {
        let is_gone = |followed: &Followed| followed.has_ended || self.has_left(followed);
        let spent = |followed: &Followed| followed.is_empty() && is_gone(followed);
        let spent: Vec<Who> = self.followed.iter().filter(|(_, f)| spent(f)).map(|(who, _)| *who).collect();
        let roots: HashSet<Who> = self.followed.values().filter_map(|followed| followed.root).collect();
        for who in spent.iter().filter(|who| !roots.contains(who)) {
            self.followed.remove(who);
        }
        let followed = &self.followed;
        self.runs.forget(|who| followed.contains_key(who));
        self.swept = self.followed.len();
    }
}

/// Whether a verdict is growth beyond the bounds: from behind the warm-up to the end.
#[must_use]
pub fn grows(verdict: &Verdict, bounds: &Bounds) -> bool {
    verdict.course == Course::Growing
        && bounds.are_passed(verdict.first_bytes.unwrap_or(0), verdict.last_bytes.unwrap_or(u64::MAX))
}
