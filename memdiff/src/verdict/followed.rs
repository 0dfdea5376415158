//! The series of one process in one run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::record::{Course, Marks, Verdict};
use common::time::Stamp;

use super::newcomers::Newcomers;
use super::runs::{Place, Surroundings};
use crate::align;
use crate::side::stamp;
use crate::trend::{Judgement, Track};

/// Nothing is foretold beyond so many hours: ten years.
const HORIZON_HOURS: f64 = 87_660.0;

/// How long a process that was measured beside others may not have been seen and still count as living, in milliseconds.
const PATIENCE_MS: i64 = 60_000;

/// A process in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub(super) run: u32,
    pub(super) pid: u32,
    pub(super) start: u64,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Rss,
    Pss,
    TotalRss,
    TotalPss,
    Python,
    Native,
    Type,
    Module,
    Holder,
    Cache,
}

impl Kind {
    /// Its word in records.
    fn word(self) -> &'static str {
        match self {
            Self::Rss => "rss",
            Self::Pss => "pss",
            Self::TotalRss => "total_rss",
            Self::TotalPss => "total_pss",
            Self::Python => "python",
            Self::Native => "native",
            Self::Type => "type",
            Self::Module => "module",
            Self::Holder => "holder",
            Self::Cache => "cache",
        }
    }

    /// Whether the kernel counts it at any moment, that of a process's end as well.
    fn is_of_the_kernel(self) -> bool {
        matches!(self, Self::Rss | Self::Pss | Self::TotalRss | Self::TotalPss)
    }

    /// Whether its growth is growth of the machine's use of memory, which a limit ends.
    fn fills_memory(self) -> bool {
        !matches!(self, Self::Type | Self::Module | Self::Holder | Self::Cache)
    }
}

/// The last value of a process that may be its last of all: who ends gives memory back first, and a sample that comes across that would
/// say that its growth had ended.
#[derive(Debug, Clone, Copy)]
struct Held {
    seconds: f64,
    value: f64,
    is_behind_a_gap: bool,
}

impl Held {
    fn give(self, track: &mut Track) {
        if self.is_behind_a_gap {
            track.gap();
        }
        track.push(self.seconds, self.value);
    }
}

/// One series.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    track: Track,
    /// Not in the track yet.
    held: Option<Held>,
    /// Its largest value.
    pub(super) peak_bytes: u64,
    /// Its number among all series, in the order in which they began.
    pub(super) born: u64,
    last_seconds: f64,
    last_unix_ms: i64,
    /// Only where censuses have samples.
    newcomers: Option<Box<Newcomers>>,
}

impl Slot {
    pub(super) fn new(kind: Kind, born: u64) -> Self {
        Self {
            kind,
            track: Track::new(),
            held: None,
            peak_bytes: 0,
            born,
            last_seconds: 0.0,
            last_unix_ms: 0,
            newcomers: None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "statistics need no more than 53 bits of a size")]
    pub(super) fn push(&mut self, place: &Place, bytes: u64) {
        let value =
            Held { seconds: place.seconds, value: bytes as f64, is_behind_a_gap: place.is_behind_a_gap };
        self.release();
        if self.kind.is_of_the_kernel() {
            self.held = Some(value);
        } else {
            value.give(&mut self.track);
        }
        self.peak_bytes = self.peak_bytes.max(bytes);
        self.last_seconds = place.seconds;
        self.last_unix_ms = place.unix_ms;
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            held.give(&mut self.track);
        }
    }

    /// A sample of the objects of the moment that was pushed last.
    pub(super) fn take_sample(&mut self, marks: &Marks) {
        self.newcomers.get_or_insert_default().take(marks);
    }

    /// A moment that was not measured.
    fn gap(&mut self) {
        self.release();
        self.track.gap();
    }

    /// How many moments it has.
    pub(super) fn moments(&self) -> u64 {
        self.track.moments() + u64::from(self.held.is_some())
    }

    /// What it does so far; the last value of a process that has ended does not count.
    fn judge(&self, has_ended: bool) -> Judgement {
        match self.held {
            Some(held) if !has_ended => {
                let mut whole = self.track.clone();
                held.give(&mut whole);
                whole.judge()
            }
            _ => self.track.judge(),
        }
    }
}

/// A process and its series.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) host: Arc<str>,
    pub(super) start: u64,
    name: Arc<str>,
    /// The command line it was last named by, to see cheaply that it is still the same.
    cmdline: Option<Arc<str>>,
    /// The root of its tree; `None` if it is one.
    pub(super) root: Option<Who>,
    /// Whether it is known to be below a root that is not measured with it.
    pub(super) is_below: bool,
    pub(super) has_ended: bool,
    pub(super) has_had_children: bool,
    /// Which measurement of its tree it was last in.
    pub(super) turn: u64,
    plain: Vec<Slot>,
    lists: Lists,
}

/// Series with names.
#[derive(Debug, Default)]
struct Lists {
    types: HashMap<Arc<str>, Slot>,
    modules: HashMap<Arc<str>, Slot>,
    holders: HashMap<Arc<str>, Slot>,
    caches: HashMap<Arc<str>, Slot>,
}

impl Lists {
    /// Those of a kind; `None` if its series have no names.
    fn of(&mut self, kind: Kind) -> Option<&mut HashMap<Arc<str>, Slot>> {
        match kind {
            Kind::Type => Some(&mut self.types),
            Kind::Module => Some(&mut self.modules),
            Kind::Holder => Some(&mut self.holders),
            Kind::Cache => Some(&mut self.caches),
            Kind::Rss | Kind::Pss | Kind::TotalRss | Kind::TotalPss | Kind::Python | Kind::Native => None,
        }
    }

    fn all(&self) -> [&HashMap<Arc<str>, Slot>; 4] {
        [&self.types, &self.modules, &self.holders, &self.caches]
    }

    fn all_mut(&mut self) -> [&mut HashMap<Arc<str>, Slot>; 4] {
        [&mut self.types, &mut self.modules, &mut self.holders, &mut self.caches]
    }
}

impl Followed {
    pub(super) fn new(host: &Arc<str>, name: &Arc<str>, start: u64) -> Self {
        Self {
            host: Arc::clone(host),
            start,
            name: Arc::clone(name),
            cmdline: None,
            root: None,
            is_below: false,
            has_ended: false,
            has_had_children: false,
            turn: 0,
            plain: Vec::new(),
            lists: Lists::default(),
        }
    }

    /// Names it by its command line, or its name if there is none.
    pub(super) fn name_by(&mut self, cmdline: Option<&Arc<str>>, name: &Arc<str>) {
        match cmdline.filter(|line| !line.is_empty()) {
            Some(line) if self.cmdline.as_ref() != Some(line) => {
                self.cmdline = Some(Arc::clone(line));
                self.name = align::short(line).into();
            }
            None if self.cmdline.is_none() && self.name != *name => self.name = Arc::clone(name),
            _ => {}
        }
    }

    pub(super) fn slot(&mut self, kind: Kind, name: Option<&Arc<str>>) -> Option<&mut Slot> {
        match (self.lists.of(kind), name) {
            (Some(list), Some(name)) => list.get_mut(name),
            _ => self.plain.iter_mut().find(|slot| slot.kind == kind),
        }
    }

    pub(super) fn add(&mut self, name: Option<&Arc<str>>, slot: Slot) {
        match (self.lists.of(slot.kind), name) {
            (Some(list), Some(name)) => drop(list.insert(Arc::clone(name), slot)),
            _ => self.plain.push(slot),
        }
    }

    /// Its series with their names; `None` for those of the process itself.
    pub(super) fn named(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Slot)> {
        let lists = self.lists.all().into_iter().flatten().map(|(name, slot)| (Some(name), slot));
        self.plain.iter().map(|slot| (None, slot)).chain(lists)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.named().map(|(_, slot)| slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.lists.all().iter().all(|list| list.is_empty())
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(Option<&Arc<str>>, &Slot) -> bool) {
        self.plain.retain(|slot| stays(None, slot));
        for list in self.lists.all_mut() {
            list.retain(|name, slot| stays(Some(name), slot));
        }
    }

    /// A moment that was not measured.
    pub(super) fn gap(&mut self) {
        let lists = self.lists.all_mut().into_iter().flat_map(HashMap::values_mut);
        self.plain.iter_mut().chain(lists).for_each(Slot::gap);
    }

    /// What of `kind` was not listed at `place`, on a whole list, has no objects. What is `unmeasured` was listed.
    pub(super) fn vanish(&mut self, kind: Kind, place: &Place, unmeasured: &HashSet<&Arc<str>>) {
        let list = self.lists.of(kind).into_iter().flatten();
        let missing = list.filter(|(_, slot)| slot.last_seconds != place.seconds);
        missing.filter(|(name, _)| !unmeasured.contains(name)).for_each(|(_, slot)| slot.push(place, 0));
    }

    /// What one of its series does. `surroundings`: what is left around it, if it lives and that is known.
    pub(super) fn verdict(
        &self,
        who: &Who,
        (name, slot): (Option<&Arc<str>>, &Slot),
        has_ended: bool,
        surroundings: Option<Surroundings>,
    ) -> Verdict {
        const HOUR: f64 = 3600.0;
        let judged = slot.judge(has_ended);
        let growing = judged.course == Course::Growing;
        let newcomers = slot.newcomers.as_ref().and_then(|newcomers| newcomers.seen_and_kept());
        let rate = judged.per_second.filter(|_| growing && slot.kind.fills_memory()).map(|rate| rate * HOUR);
        let full = rate.and_then(|rate| surroundings.and_then(|around| full(slot, rate, around)));
        let moment =
            |seconds: f64| stamp(slot.last_unix_ms.saturating_sub(milliseconds(slot.last_seconds - seconds)));
        Verdict {
            kind: slot.kind.word().into(),
            name: Arc::clone(name.unwrap_or(&self.name)),
            role: if self.root.is_none() && !self.is_below { "root".into() } else { Arc::clone(&self.name) },
            pid: (who.pid != 0).then_some(who.pid),
            course: judged.course,
            confidence_ratio: judged.confidence,
            bytes_per_hour: judged.per_second.map(|rate| rate * HOUR),
            bytes_per_hour_low: judged.low.map(|rate| rate * HOUR),
            bytes_per_hour_high: judged.high.map(|rate| rate * HOUR),
            from: judged.from_seconds.map(moment),
            to: Some(moment(slot.last_seconds)),
            first_bytes: judged.first.map(bytes),
            last_bytes: judged.last.map(bytes),
            moments: judged.moments,
            full_at: full.map(|full| full.at),
            full_of: full.map(|full| full.of.into()),
            full_limit_bytes: full.map(|full| full.limit),
            newcomers: newcomers.map(|(seen, _)| seen),
            newcomers_kept: newcomers.map(|(_, kept)| kept),
        }
    }
}

/// When what is left is used up at that rate, and of what; the nearer one.
#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 53 bits of a size")]
fn full(slot: &Slot, bytes_per_hour: f64, around: Surroundings) -> Option<Full> {
    let patience = PATIENCE_MS.saturating_add(milliseconds(around.interval_seconds * 3.0));
    if around.unix_ms.saturating_sub(slot.last_unix_ms) > patience || bytes_per_hour <= 0.0 {
        return None;
    }
    let rooms = [(around.cgroup, "cgroup"), (around.machine, "machine")];
    let rooms = rooms.into_iter().filter_map(|(room, of)| Some((room?, of)));
    let (room, of) = rooms.min_by_key(|(room, _)| room.left)?;
    let hours = room.left as f64 / bytes_per_hour;
    let at = around.unix_ms.saturating_add(milliseconds(hours * 3600.0));
    (hours < HORIZON_HOURS).then(|| Full { at: stamp(at), of, limit: room.limit })
}

/// When which limit is reached.
#[derive(Debug, Clone, Copy)]
struct Full {
    at: Stamp,
    of: &'static str,
    limit: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
fn bytes(value: f64) -> u64 {
    value.round() as u64
}
