//! One kind of values of a log, taken in moment by moment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::log::{Moment, What as Measured};
use regex::Regex;

use super::buffer::{SeriesBuffer, SeriesKey};
use super::extract::{self, SeriesId, TotalNames};
use super::track::{Placement, Track};
use crate::cli::{Metric, Quantity};
use crate::downsample::Entry;
use crate::figure::Point;

/// How much is kept of all members together, in buckets of about 100 bytes.
const LINES_LIMIT: usize = 256 << 10;

/// What a member takes beside its buckets, in buckets.
const MEMBER_COST: usize = 8;

/// A line with so many buckets is not made coarser.
const MIN_BUCKETS: usize = 16;

/// How many values of whole rows are kept for each track, 16 bytes each.
const ROWS_LIMIT: usize = 1 << 20;

/// What a view is of.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Which values.
    pub what: Quantity,
    /// Which size of a process.
    pub metric: Metric,
    /// Which names.
    pub grep: Option<Regex>,
    /// How many buckets a line has at most.
    pub buckets: usize,
    /// How many members are certain to keep their whole resolution.
    pub spared: usize,
}

/// Values of one moment of a run: of all roots that are watched in it.
#[derive(Debug)]
struct Pending {
    track: usize,
    iteration: u64,
    unix_ms: i64,
    interval_seconds: Option<f64>,
    roots: Vec<(u32, u64)>,
    entries: Vec<Entry>,
    /// Members that were there and not measured: memmon reads some values in turn.
    unmeasured: Vec<u32>,
    total: Option<f64>,
    complete: bool,
}

/// All values of one kind, as far as a picture can show them.
#[derive(Debug)]
pub struct View {
    /// What it is of.
    pub choice: Choice,
    /// All members; those whose place in `free` are no more.
    pub members: Vec<SeriesBuffer>,
    /// All runs.
    pub tracks: Vec<Track>,
    /// Members that were given up: too many, and too small.
    pub dropped: u64,
    index: HashMap<SeriesKey, u32>,
    free: Vec<u32>,
    buckets: usize,
    current: HashMap<(usize, Arc<str>), usize>,
    pending: Vec<Pending>,
    /// Members of the last moment in their order: the next one most often has the same.
    last: Vec<u32>,
    sums: TotalNames,
    /// The root of each run: others are told apart by their role.
    roots: HashMap<(usize, Arc<str>), u32>,
    no_role: Arc<str>,
    pruned: i64,
}

impl View {
    /// Without a moment.
    #[must_use]
    pub fn new(choice: Choice) -> Self {
        Self {
            choice,
            members: Vec::new(),
            tracks: Vec::new(),
            dropped: 0,
            index: HashMap::new(),
            free: Vec::new(),
            buckets: 0,
            current: HashMap::new(),
            pending: Vec::new(),
            last: Vec::new(),
            sums: TotalNames::default(),
            roots: HashMap::new(),
            no_role: "".into(),
            pruned: i64::MIN,
        }
    }

    /// Takes in a moment; those that the view does not show are passed over.
    pub fn add(&mut self, moment: &Moment) {
        if matches!(moment.what, Measured::Failed(_)) {
            if let Some(&track) = self.current.get(&(moment.input, Arc::clone(&moment.run))) {
                self.flush(track);
                if let Some(track) = self.tracks.get_mut(track) {
                    track.mark_failed();
                }
            }
            return;
        }
        // Now, as no values of this moment are at hand that could be of a member that goes.
        if self.cost() > LINES_LIMIT {
            self.thin();
        }
        let role = self.role(moment);
        let mut entries = Vec::with_capacity(self.last.len() + 1);
        let mut unmeasured = Vec::new();
        let choice = (self.choice.what, self.choice.metric);
        // Lent out for the closure, which needs all of the view.
        let sums = std::mem::take(&mut self.sums);
        let seen = extract::extract(&moment.what, choice.0, choice.1, &sums, &mut |value| {
            let id = self.member(entries.len(), &value.of, moment.input, &role);
            let wanted = self.members.get(id as usize).is_some_and(|member| member.wanted);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a picture has no more than 53 bits of resolution"
            )]
            match value.value.filter(|_| wanted) {
                Some(value) => entries.push(Entry { id, value: value as f64 }),
                None => unmeasured.push(id),
            }
        });
        self.sums = sums;
        let Some(seen) = seen else { return };
        self.last.clear();
        self.last.extend(entries.iter().map(|entry| entry.id));
        let total = seen.total;
        let track = self.track(moment);
        // What another run has is whole.
        while let Some(other) = self.pending.iter().map(|pending| pending.track).find(|other| *other != track)
        {
            self.flush(other);
        }
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.track == track)
            && pending.iteration == moment.iteration
            && !pending.roots.contains(&seen.root)
        {
            pending.roots.push(seen.root);
            pending.entries.append(&mut entries);
            pending.unmeasured.append(&mut unmeasured);
            pending.total = pending.total.zip(total).map(|(a, b)| a + b);
            pending.complete &= seen.complete;
            return;
        }
        self.flush(track);
        // Another one, if the clock was set back.
        let track = self.track(moment);
        self.pending.push(Pending {
            track,
            iteration: moment.iteration,
            unix_ms: moment.unix_ms,
            interval_seconds: moment.interval_seconds,
            roots: vec![seen.root],
            entries,
            unmeasured,
            total,
            complete: seen.complete,
        });
    }

    /// Takes in what still waits for more of the same moment.
    pub fn finish(&mut self) {
        while let Some(pending) = self.pending.first() {
            let track = pending.track;
            self.flush(track);
        }
    }

    /// Forgets what was before a moment.
    pub fn drop_before(&mut self, unix_ms: i64, newest: i64) {
        if unix_ms.saturating_sub(self.pruned) <= newest.saturating_sub(unix_ms) / 16 {
            return;
        }
        self.pruned = unix_ms;
        let mut gone = HashSet::new();
        for (id, member) in (0..).zip(&mut self.members).filter(|(_, member)| !member.parts.is_empty()) {
            for part in &mut member.parts {
                part.line.drop_before(unix_ms);
            }
            if member.buckets() == 0 {
                member.parts.clear();
                self.index.remove(&member.key);
                self.free.push(id);
                gone.insert(id);
            }
        }
        for track in &mut self.tracks {
            track.rows.drop_before(unix_ms);
            track.total.drop_before(unix_ms);
        }
        self.forget(&gone);
        self.buckets = self.members.iter().map(SeriesBuffer::buckets).sum();
    }

    /// Whether a member is one: not given up.
    #[must_use]
    pub fn is_kept(&self, member: &SeriesBuffer) -> bool {
        member.wanted && !member.parts.is_empty()
    }

    /// What tells the process of a census from others of the same run: nothing for the root.
    fn role(&mut self, moment: &Moment) -> Arc<str> {
        let Measured::Census(census) = &moment.what else { return Arc::clone(&self.no_role) };
        let is_below = census.root_pid.is_some_and(|root| root != census.pid);
        let key = (moment.input, Arc::clone(&moment.run));
        if !is_below && *self.roots.entry(key).or_insert(census.pid) == census.pid {
            return Arc::clone(&self.no_role);
        }
        let name = census.cmdline.as_ref().unwrap_or(&census.name);
        format!("{name} ({})", census.pid).into()
    }

    fn track(&mut self, moment: &Moment) -> usize {
        let key = (moment.input, Arc::clone(&moment.run));
        let next = self.tracks.len();
        let track = *self.current.entry(key).or_insert(next);
        if track == next {
            self.tracks.push(self.new_track(moment.input, &moment.run));
        }
        track
    }

    fn new_track(&self, input: usize, run: &Arc<str>) -> Track {
        Track::new(input, run, self.choice.buckets, ROWS_LIMIT)
    }

    /// The member that a value is of; a new one if it is.
    fn member(&mut self, place: usize, of: &SeriesId<'_>, input: usize, role: &Arc<str>) -> u32 {
        let guess = self.last.get(place).copied();
        let known = guess.filter(|&id| {
            let member = self.members.get(id as usize);
            member.is_some_and(|m| of.is(&m.key) && m.key.input() == input && m.key.role() == &**role)
        });
        let id = match known {
            Some(id) => id,
            None => {
                let key = of.key(input, role);
                match self.index.get(&key) {
                    Some(&id) => id,
                    None => self.new_member(key, of),
                }
            }
        };
        if let (SeriesId::Process { name, cmdline, .. }, Some(member)) =
            (of, self.members.get_mut(id as usize))
        {
            if !Arc::ptr_eq(name, &member.name) {
                member.name = Arc::clone(name);
            }
            if let Some(cmdline) =
                cmdline.filter(|line| !member.cmdline.as_ref().is_some_and(|m| Arc::ptr_eq(m, line)))
            {
                member.cmdline = Some(Arc::clone(cmdline));
            }
        }
        id
    }

    fn new_member(&mut self, key: SeriesKey, of: &SeriesId<'_>) -> u32 {
        let (name, cmdline) = match of {
            SeriesId::Process { name, cmdline, .. } => (Arc::clone(name), cmdline.cloned()),
            SeriesId::Named(name) => (Arc::clone(name), None),
        };
        let wanted = self.choice.grep.as_ref().is_none_or(|grep| {
            grep.is_match(&name) || cmdline.as_ref().is_some_and(|line| grep.is_match(line))
        });
        let member =
            SeriesBuffer { key: key.clone(), name, cmdline, wanted, parts: Vec::new(), greatest: f64::MIN };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.members.get_mut(id as usize) {
                    *place = member;
                }
                id
            }
            None => {
                self.members.push(member);
                u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.index.insert(key, id);
        id
    }

    fn flush(&mut self, track_id: usize) {
        let Some(place) = self.pending.iter().position(|pending| pending.track == track_id) else { return };
        let mut pending = self.pending.swap_remove(place);
        let Some(track) = self.tracks.get_mut(track_id) else { return };
        let before = (track.samples > 0 && track.complete).then_some(track.last_ms);
        let mut placed = (track_id, track.place_sample(pending.unix_ms, pending.interval_seconds));
        if placed.1 == Placement::NewTrack {
            let (input, run) = (track.input, Arc::clone(&track.run));
            let mut track = self.new_track(input, &run);
            let key = (track.input, Arc::clone(&track.run));
            placed = (self.tracks.len(), track.place_sample(pending.unix_ms, pending.interval_seconds));
            self.current.insert(key, placed.0);
            self.tracks.push(track);
        }
        let (track_id, Placement::InTrack { unix_ms, gap }) = placed else { return };
        let Some(track) = self.tracks.get_mut(track_id) else { return };
        let sample = track.samples;
        // What a complete list did not name was not there: what is new begins at nothing.
        let before = before.filter(|_| !gap && sample > 1);
        track.complete = pending.complete;
        for entry in &pending.entries {
            let Some(member) = self.members.get_mut(entry.id as usize) else { continue };
            let is_new = member.part(track_id).is_none();
            if let Some(unix_ms) = before.filter(|_| is_new) {
                let nothing = Point { unix_ms, value: 0.0 };
                self.buckets +=
                    member.add(track_id, sample.saturating_sub(1), nothing, true, self.choice.buckets);
            }
            let point = Point { unix_ms, value: entry.value };
            self.buckets += member.add(track_id, sample, point, gap, self.choice.buckets);
        }
        for &id in pending.unmeasured.iter().filter(|_| !gap) {
            if let Some(member) = self.members.get_mut(id as usize) {
                member.stay(track_id, sample);
            }
        }
        if pending.complete {
            self.add_zeros(track_id, sample, unix_ms, gap, &mut pending);
        }
        let known = self.add_unmeasured(track_id, &mut pending);
        // All processes of a tree are listed: what is drawn is what adds up.
        let adds_up =
            matches!(self.choice.what, Quantity::Processes | Quantity::Threads) || self.choice.grep.is_some();
        if let Some(track) = self.tracks.get_mut(track_id) {
            let sum = || pending.entries.iter().map(|entry| entry.value).sum();
            let total = if adds_up { known.then(sum) } else { pending.total };
            track.record(unix_ms, gap, total, known.then_some(&pending.entries));
        }
    }

    /// Adds the last value of those that were there and not measured. Returns whether each has one: what is stacked needs all.
    fn add_unmeasured(&self, track: usize, pending: &mut Pending) -> bool {
        let mut all_known = true;
        for &id in &pending.unmeasured {
            let Some(member) = self.members.get(id as usize).filter(|member| member.wanted) else { continue };
            match member.part(track) {
                Some(part) => pending.entries.push(Entry { id, value: part.latest }),
                None => all_known = false,
            }
        }
        all_known
    }

    /// Members of this track that a complete list no longer names are there no more: zero, not unknown.
    fn add_zeros(&mut self, track: usize, sample: u64, unix_ms: i64, gap: bool, pending: &mut Pending) {
        let nothing = Point { unix_ms, value: 0.0 };
        for (id, member) in (0..).zip(&mut self.members) {
            if member.wanted && member.part(track).is_some_and(|part| part.seen != sample) {
                self.buckets += member.add(track, sample, nothing, gap, self.choice.buckets);
                pending.entries.push(Entry { id, value: 0.0 });
            }
        }
    }

    /// What is kept of all members, in buckets.
    fn cost(&self) -> usize {
        self.buckets + self.index.len() * MEMBER_COST
    }

    /// Makes room: all but the largest members lose resolution, and if that is not enough, the smallest go. What they had stays in
    /// the totals.
    fn thin(&mut self) {
        let mut order: Vec<u32> =
            (0..).zip(&self.members).filter(|(_, m)| !m.parts.is_empty()).map(|(id, _)| id).collect();
        let greatest = |id: &u32| self.members.get(*id as usize).map_or(f64::MIN, |member| member.greatest);
        order.sort_by(|a, b| greatest(b).total_cmp(&greatest(a)).then(a.cmp(b)));
        let spared = order.len().min(self.choice.spared);
        let (spared, others) = order.split_at(spared);
        let mut before = usize::MAX;
        while self.cost() > LINES_LIMIT / 4 * 3 && self.cost() < before {
            before = self.cost();
            self.coarsen(others);
        }
        let mut gone = HashSet::new();
        for &id in others.iter().rev() {
            if self.cost() <= LINES_LIMIT / 4 * 3 {
                break;
            }
            let Some(member) = self.members.get_mut(id as usize) else { continue };
            self.buckets -= member.buckets();
            member.parts.clear();
            self.index.remove(&member.key);
            self.free.push(id);
            self.dropped += 1;
            gone.insert(id);
        }
        self.forget(&gone);
        if self.cost() > LINES_LIMIT / 4 * 3 {
            let spared = spared.to_vec();
            self.coarsen(&spared);
        }
    }

    /// Takes members that are no more out of whatever still names them.
    fn forget(&mut self, gone: &HashSet<u32>) {
        if gone.is_empty() {
            return;
        }
        self.last.clear();
        for track in &mut self.tracks {
            track.rows.forget(|id| gone.contains(&id));
        }
        for pending in &mut self.pending {
            pending.entries.retain(|entry| !gone.contains(&entry.id));
            pending.unmeasured.retain(|id| !gone.contains(id));
        }
    }

    fn coarsen(&mut self, members: &[u32]) {
        for &id in members {
            let Some(member) = self.members.get_mut(id as usize) else { continue };
            for line in
                member.parts.iter_mut().map(|part| &mut part.line).filter(|line| line.len() > MIN_BUCKETS)
            {
                let before = line.len();
                line.coarsen();
                self.buckets -= before - line.len();
            }
        }
    }
}
