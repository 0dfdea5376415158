//! The series of one process in one run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::record::{Fingerprints, TrendKind, Verdict};
use common::time::Stamp;

use super::run_clock::{MemoryLimits, MomentContext};
use super::survival::SurvivalTracker;
use crate::align;
use crate::measurement::local_stamp;
use crate::trend::{SampledSeries, TrendEstimate};

/// Nothing is foretold beyond so many hours: ten years.
const HORIZON_HOURS: f64 = 87_660.0;

/// How long a process that was measured beside others may not have been seen and still count as living, in milliseconds.
const PATIENCE_MS: i64 = 60_000;

/// A process in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) run: u32,
    pub(super) pid: u32,
    pub(super) start: u64,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SeriesKind {
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

impl SeriesKind {
    /// Its word in records.
    fn as_str(self) -> &'static str {
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
    fn is_kernel_counter(self) -> bool {
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
struct PendingValue {
    seconds: f64,
    value: f64,
    is_behind_a_gap: bool,
}

impl PendingValue {
    fn push_to(self, track: &mut SampledSeries) {
        if self.is_behind_a_gap {
            track.push_gap();
        }
        track.push(self.seconds, self.value);
    }
}

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) kind: SeriesKind,
    track: SampledSeries,
    /// Not in the track yet.
    pending: Option<PendingValue>,
    /// Its largest value.
    pub(super) peak_bytes: u64,
    /// Its number among all series, in the order in which they began.
    pub(super) serial: u64,
    last_seconds: f64,
    last_unix_ms: i64,
    /// Only where censuses have samples.
    newcomers: Option<Box<SurvivalTracker>>,
}

impl Series {
    pub(super) fn new(kind: SeriesKind, serial: u64) -> Self {
        Self {
            kind,
            track: SampledSeries::new(),
            pending: None,
            peak_bytes: 0,
            serial,
            last_seconds: 0.0,
            last_unix_ms: 0,
            newcomers: None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "statistics need no more than 53 bits of a size")]
    pub(super) fn push(&mut self, context: &MomentContext, bytes: u64) {
        let value = PendingValue {
            seconds: context.seconds,
            value: bytes as f64,
            is_behind_a_gap: context.is_behind_a_gap,
        };
        self.flush_pending();
        if self.kind.is_kernel_counter() {
            self.pending = Some(value);
        } else {
            value.push_to(&mut self.track);
        }
        self.peak_bytes = self.peak_bytes.max(bytes);
        self.last_seconds = context.seconds;
        self.last_unix_ms = context.unix_ms;
    }

    fn flush_pending(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.push_to(&mut self.track);
        }
    }

    /// A sample of the objects of the moment that was pushed last.
    pub(super) fn add_survivors(&mut self, marks: &Fingerprints) {
        self.newcomers.get_or_insert_default().add(marks);
    }

    /// A moment that was not measured.
    fn gap(&mut self) {
        self.flush_pending();
        self.track.push_gap();
    }

    /// How many moments it has.
    pub(super) fn moments(&self) -> u64 {
        self.track.moments() + u64::from(self.pending.is_some())
    }

    /// What it does so far; the last value of a process that has ended does not count.
    fn classify(&self, has_ended: bool) -> TrendEstimate {
        match self.pending {
            Some(pending) if !has_ended => {
                let mut whole = self.track.clone();
                pending.push_to(&mut whole);
                whole.estimate_trend()
            }
            _ => self.track.estimate_trend(),
        }
    }
}

/// A process and its series.
#[derive(Debug)]
pub(super) struct ProcessSeries {
    pub(super) host: Arc<str>,
    pub(super) start: u64,
    name: Arc<str>,
    /// The command line it was last named by, to see cheaply that it is still the same.
    cmdline: Option<Arc<str>>,
    /// The root of its tree; `None` if it is one.
    pub(super) root: Option<ProcessKey>,
    /// Whether it is known to be below a root that is not measured with it.
    pub(super) is_below: bool,
    pub(super) has_ended: bool,
    pub(super) has_had_children: bool,
    /// Which measurement of its tree it was last in.
    pub(super) measurement_number: u64,
    plain: Vec<Series>,
    lists: Lists,
}

/// Series with names.
#[derive(Debug, Default)]
struct Lists {
    types: HashMap<Arc<str>, Series>,
    modules: HashMap<Arc<str>, Series>,
    holders: HashMap<Arc<str>, Series>,
    caches: HashMap<Arc<str>, Series>,
}

impl Lists {
    /// Those of a kind; `None` if its series have no names.
    fn of(&mut self, kind: SeriesKind) -> Option<&mut HashMap<Arc<str>, Series>> {
        match kind {
            SeriesKind::Type => Some(&mut self.types),
            SeriesKind::Module => Some(&mut self.modules),
            SeriesKind::Holder => Some(&mut self.holders),
            SeriesKind::Cache => Some(&mut self.caches),
            SeriesKind::Rss
            | SeriesKind::Pss
            | SeriesKind::TotalRss
            | SeriesKind::TotalPss
            | SeriesKind::Python
            | SeriesKind::Native => None,
        }
    }

    fn all(&self) -> [&HashMap<Arc<str>, Series>; 4] {
        [&self.types, &self.modules, &self.holders, &self.caches]
    }

    fn all_mut(&mut self) -> [&mut HashMap<Arc<str>, Series>; 4] {
        [&mut self.types, &mut self.modules, &mut self.holders, &mut self.caches]
    }
}

impl ProcessSeries {
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
            measurement_number: 0,
            plain: Vec::new(),
            lists: Lists::default(),
        }
    }

    /// Names it by its command line, or its name if there is none.
    pub(super) fn update_name(&mut self, cmdline: Option<&Arc<str>>, name: &Arc<str>) {
        match cmdline.filter(|line| !line.is_empty()) {
            Some(line) if self.cmdline.as_ref() != Some(line) => {
                self.cmdline = Some(Arc::clone(line));
                self.name = align::shorten_command(line).into();
            }
            None if self.cmdline.is_none() && self.name != *name => self.name = Arc::clone(name),
            _ => {}
        }
    }

    pub(super) fn series(&mut self, kind: SeriesKind, name: Option<&Arc<str>>) -> Option<&mut Series> {
        match (self.lists.of(kind), name) {
            (Some(list), Some(name)) => list.get_mut(name),
            _ => self.plain.iter_mut().find(|series| series.kind == kind),
        }
    }

    pub(super) fn add(&mut self, name: Option<&Arc<str>>, series: Series) {
        match (self.lists.of(series.kind), name) {
            (Some(list), Some(name)) => drop(list.insert(Arc::clone(name), series)),
            _ => self.plain.push(series),
        }
    }

    /// Its series with their names; `None` for those of the process itself.
    pub(super) fn named(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Series)> {
        let lists = self.lists.all().into_iter().flatten().map(|(name, series)| (Some(name), series));
        self.plain.iter().map(|series| (None, series)).chain(lists)
    }

    pub(super) fn all_series(&self) -> impl Iterator<Item = &Series> {
        self.named().map(|(_, series)| series)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.lists.all().iter().all(|list| list.is_empty())
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(Option<&Arc<str>>, &Series) -> bool) {
        self.plain.retain(|series| stays(None, series));
        for list in self.lists.all_mut() {
            list.retain(|name, series| stays(Some(name), series));
        }
    }

    /// A moment that was not measured.
    pub(super) fn gap(&mut self) {
        let lists = self.lists.all_mut().into_iter().flat_map(HashMap::values_mut);
        self.plain.iter_mut().chain(lists).for_each(Series::gap);
    }

    /// What of `kind` was not listed at `place`, on a whole list, has no objects. What is `unmeasured` was listed.
    pub(super) fn record_absent(
        &mut self,
        kind: SeriesKind,
        context: &MomentContext,
        unmeasured: &HashSet<&Arc<str>>,
    ) {
        let list = self.lists.of(kind).into_iter().flatten();
        let missing = list.filter(|(_, series)| series.last_seconds != context.seconds);
        missing
            .filter(|(name, _)| !unmeasured.contains(name))
            .for_each(|(_, series)| series.push(context, 0));
    }

    /// What one of its series does. `surroundings`: what is left around it, if it lives and that is known.
    pub(super) fn verdict(
        &self,
        key: &ProcessKey,
        (name, series): (Option<&Arc<str>>, &Series),
        has_ended: bool,
        limits: Option<MemoryLimits>,
    ) -> Verdict {
        const HOUR: f64 = 3600.0;
        let trend = series.classify(has_ended);
        let slope = trend.line.map(|line| line.slope);
        let growing = trend.kind == TrendKind::Growing;
        let newcomers = series.newcomers.as_ref().and_then(|newcomers| newcomers.seen_and_kept());
        let rate =
            slope.filter(|_| growing && series.kind.fills_memory()).map(|slope| slope.per_second * HOUR);
        let forecast = rate.and_then(|rate| limits.and_then(|around| forecast(series, rate, around)));
        let moment = |seconds: f64| {
            local_stamp(series.last_unix_ms.saturating_sub(milliseconds(series.last_seconds - seconds)))
        };
        Verdict {
            kind: series.kind.as_str().into(),
            name: Arc::clone(name.unwrap_or(&self.name)),
            role: if self.root.is_none() && !self.is_below { "root".into() } else { Arc::clone(&self.name) },
            pid: (key.pid != 0).then_some(key.pid),
            trend: trend.kind,
            confidence_ratio: trend.confidence,
            bytes_per_hour: slope.map(|slope| slope.per_second * HOUR),
            bytes_per_hour_low: slope.map(|slope| slope.low * HOUR),
            bytes_per_hour_high: slope.map(|slope| slope.high * HOUR),
            from: trend.line.map(|line| moment(line.from_seconds)),
            to: Some(moment(series.last_seconds)),
            first_bytes: trend.line.map(|line| bytes(line.first)),
            last_bytes: trend.last.map(bytes),
            moments: trend.moments,
            limit_reached_at: forecast.map(|forecast| forecast.at),
            limit_kind: forecast.map(|forecast| forecast.of.into()),
            limit_bytes: forecast.map(|forecast| forecast.limit),
            new_objects: newcomers.map(|(seen, _)| seen),
            new_objects_survived: newcomers.map(|(_, kept)| kept),
        }
    }
}

/// When what is left is used up at that rate, and of what; the nearer one.
#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more than 53 bits of a size")]
fn forecast(series: &Series, bytes_per_hour: f64, around: MemoryLimits) -> Option<Forecast> {
    let patience = PATIENCE_MS.saturating_add(milliseconds(around.interval_seconds * 3.0));
    if around.unix_ms.saturating_sub(series.last_unix_ms) > patience || bytes_per_hour <= 0.0 {
        return None;
    }
    let headrooms = [(around.cgroup, "cgroup"), (around.machine, "machine")];
    let headrooms = headrooms.into_iter().filter_map(|(headroom, of)| Some((headroom?, of)));
    let (headroom, of) = headrooms.min_by_key(|(headroom, _)| headroom.left)?;
    let hours = headroom.left as f64 / bytes_per_hour;
    let at = around.unix_ms.saturating_add(milliseconds(hours * 3600.0));
    (hours < HORIZON_HOURS).then(|| Forecast { at: local_stamp(at), of, limit: headroom.limit })
}

/// When which limit is reached.
#[derive(Debug, Clone, Copy)]
struct Forecast {
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
