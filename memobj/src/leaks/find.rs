//! Which rows of the history are leaks, and all that can be told of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::Error;
use crate::graph::NodeId;
use crate::heap::access::Access;
use crate::heap::kinds::Kind;
use crate::heap::types::Type;
use crate::holders::retained::Retained;
use crate::holders::{Holders, Total};
use crate::links::{Standing, TypeIndex};
use crate::memory::Memory;
use crate::names::Names;
use crate::survivors::Sighting;

use super::finding::{Cause, Container, Finding, Grown, How};
use super::heads::{self, Group, Groups, Telling, telling};
use super::history::{Census, History, Row, Word};
use super::trend::{Trend, Trends, chance_of_balance};

/// How likely a rise may be by chance, where there are censuses enough to tell: of four in a row all rise by chance once in 24 times.
const MOST_CHANCE: f64 = 0.05;
/// The chance that as many come as go, at most.
const MOST_BALANCE: f64 = 0.3;
/// How many objects there must be more at the end.
const LEAST_OBJECTS: f64 = 3.0;
/// How many bytes there must be more, if there are not more objects.
const LEAST_BYTES: f64 = 4096.0;
/// How much of such a growth must be a straight line.
const LEAST_STRAIGHT: f64 = 0.8;
/// What part of what came must stay.
const LEAST_STAYING: f64 = 0.3;
/// So many of the objects of a finding are looked at for their ways.
const SAMPLE: usize = 100;
/// For so many findings all is told.
const MOST_FINDINGS: usize = 20;
/// So many types are listed of a finding.
const MOST_TYPES: usize = 8;
/// How far above what is added a cache or queue with a limit is looked for.
const NEAR: usize = 3;

/// All that is looked at.
pub(super) struct Looking<'a, 'w> {
    pub history: &'a History,
    pub moments: &'a [f64],
    pub holders: &'a Holders<'w>,
    pub sighting: &'a Sighting,
    pub census: &'a Census,
    pub collector_on: Option<bool>,
}

/// What grows in a place.
#[derive(Default)]
struct Growing<'a> {
    rows: Vec<(Word, &'a Row, Trend, Trend)>,
}

impl Looking<'_, '_> {
    /// Finds what grows, the most bytes first.
    pub fn find<M: Memory>(&self, names: &mut Names<'_, '_, M>) -> Result<Vec<Finding>, Error> {
        let trends = Trends::new(self.moments);
        let mut places: BTreeMap<Word, Growing<'_>> = BTreeMap::new();
        for ((place, of), row) in self.history.rows() {
            if let Some((objects, bytes)) = self.grows(&trends, row) {
                places.entry(place).or_default().rows.push((of, row, objects, bytes));
            }
        }
        places.retain(|&place, _| self.cause(place).is_some());
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let groups = heads::find(self.holders, self.sighting, self.census, |place| places.contains_key(&place));
        let mut sums: Vec<(f64, Word)> = places
            .iter()
            .map(|(&place, growing)| (growing.rows.iter().map(|(.., bytes)| bytes.per_second).sum(), place))
            .collect();
        sums.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut found = Vec::new();
        for (_, place) in sums.into_iter().take(MOST_FINDINGS) {
            if let Some(mut growing) = places.remove(&place) {
                growing.rows.sort_by(|a, b| b.3.per_second.total_cmp(&a.3.per_second).then(a.0.cmp(&b.0)));
                found.push(self.tell(names, place, &growing, &groups));
            }
        }
        self.add_retained(&mut found)?;
        Ok(found.into_iter().map(|(finding, _)| finding).collect())
    }

    /// Why what a place holds is not freed; `None` if nobody needs to know, as of garbage that the collector will free.
    fn cause(&self, place: Word) -> Option<Cause> {
        let name = self.history.place(place);
        let is = |standing: Standing| *name == *format!("({})", standing.word());
        if is(Standing::Garbage) {
            return (self.collector_on == Some(false)).then_some(Cause::Garbage);
        }
        Some(if is(Standing::Uncollectable) {
            Cause::Uncollectable
        } else if is(Standing::Native) {
            Cause::Native
        } else if is(Standing::Unreferred) {
            Cause::Unreferred
        } else {
            Cause::Held
        })
    }

    /// The trends of a row's objects and bytes, if it grows and what comes stays.
    fn grows(&self, trends: &Trends, row: &Row) -> Option<(Trend, Trend)> {
        let (objects, bytes) = (trends.of(&row.objects)?, trends.of(&row.bytes)?);
        let few = self.moments.len() < 4;
        let rises = |trend: &Trend| trend.goes_on && (few || trend.chance <= MOST_CHANCE);
        let more_objects = rises(&objects) && objects.net >= LEAST_OBJECTS && {
            // What came in the last census cannot have stayed yet.
            let before = row.objects.len().saturating_sub(2);
            let first = row.objects.first().copied().unwrap_or(0);
            let net = row.objects.get(before).copied().unwrap_or(0).saturating_sub(first);
            let (stayed, left) = (row.stayed(), row.left);
            let staying = stayed as f64 >= net as f64 * LEAST_STAYING
                && stayed.saturating_sub(left) as f64 >= stayed as f64 * LEAST_STAYING;
            staying && chance_of_balance(stayed, left) <= MOST_BALANCE
        };
        let more_bytes = || {
            objects.net <= 0.0
                && rises(&bytes)
                && bytes.net >= LEAST_BYTES
                && bytes.straight >= LEAST_STRAIGHT
        };
        (more_objects || more_bytes()).then_some((objects, bytes))
    }

    /// The type of what is added to a place: its heads' that says most of those that are many.
    fn added<'g>(&self, groups: Option<&'g HashMap<TypeIndex, Group>>) -> Option<(TypeIndex, &'g Group)> {
        let groups = groups?;
        let most = groups.values().map(|group| group.heads).max()?;
        let many = groups.iter().filter(|(_, group)| group.heads.saturating_mul(2) >= most);
        many.map(|(&of, group)| (of, group)).max_by_key(|&(of, group)| {
            let much = self.telling(of) == Telling::Much;
            (much, group.bytes, of)
        })
    }

    fn telling(&self, of: TypeIndex) -> Telling {
        self.holders.links().ty(of).map_or(Telling::Little, |of| telling(self.holders, of))
    }

    /// What a wrapper of Python's wraps: the one class that comes as often as it, and says more.
    fn wrapped(&self, of: TypeIndex, group: &Group) -> Option<TypeIndex> {
        let links = self.holders.links();
        let wraps = links.ty(of).is_some_and(is_wrapping);
        let alike = |count: u64| count.abs_diff(group.heads).saturating_mul(5) <= group.heads;
        let mut inside = group.types.iter().filter(|&(&inside, &count)| {
            wraps && alike(count) && self.telling(inside) == Telling::Much
        });
        let only = inside.next().map(|(&of, _)| of);
        if inside.next().is_some() { None } else { only }
    }

    /// All that can be told of what grows in a place, and the type of what is added there.
    fn tell<M: Memory>(
        &self,
        names: &mut Names<'_, '_, M>,
        place: Word,
        growing: &Growing<'_>,
        groups: &Groups,
    ) -> (Finding, Option<(Word, TypeIndex)>) {
        let added = self.added(groups.get(&place));
        let index = added.map(|(of, group)| self.wrapped(of, group).unwrap_or(of));
        let word = index.and_then(|index| self.census.type_of(index));
        // Of that type, or else of what says most, or has most bytes.
        let by_telling = || {
            growing.rows.iter().max_by(|a, b| {
                let key = |of: Word| self.index_of(of).map_or(Telling::Little, |index| self.telling(index));
                (key(a.0) == Telling::Much)
                    .cmp(&(key(b.0) == Telling::Much))
                    .then(a.3.per_second.total_cmp(&b.3.per_second))
            })
        };
        let main = growing.rows.iter().find(|(of, ..)| Some(*of) == word).or_else(by_telling);
        let main_word = main.map(|(of, ..)| *of);
        let index = index.filter(|_| main_word == word).or_else(|| main_word.and_then(|of| self.index_of(of)));
        let rate = |per_second: f64| per_second.max(0.0);
        let (row, objects, bytes) = match main {
            Some((_, row, objects, bytes)) => (Some(*row), rate(objects.per_second), Some(*bytes)),
            None => (None, 0.0, None),
        };
        let sum: f64 = growing.rows.iter().map(|(.., bytes)| rate(bytes.per_second)).sum();
        let container = added.and_then(|(_, group)| self.container(names, group));
        let how = match (&main, added) {
            (Some((.., objects, _)), _) if objects.net <= 0.0 => How::Enlarged,
            (_, Some((of, group))) => self.how(of, group),
            _ => How::Linked,
        };
        let nodes = index.map(|index| self.nodes(place, index)).unwrap_or_default();
        let every = nodes.len().div_ceil(SAMPLE).max(1);
        let ways = self.holders.ways(names, nodes.iter().copied().step_by(every));
        let last = self.moments.last().copied().unwrap_or(0.0);
        let born = |first: &mut dyn Iterator<Item = usize>| first.next();
        let by_born = row.map(|row| row.by_born.as_slice()).unwrap_or_default();
        let mut with = by_born.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(born, _)| born);
        let oldest = born(&mut with).filter(|&born| born > 0);
        let newest = with.last().or(oldest).unwrap_or(0);
        let ago = |census: usize| self.moments.get(census).map_or(0.0, |at| last - at);
        let confidence = main.map_or(0.0, |(_, row, objects, bytes)| {
            let trend = if objects.net > 0.0 { objects } else { bytes };
            let balance =
                if objects.net > 0.0 { chance_of_balance(row.stayed(), row.left) } else { 1.0 - bytes.straight };
            (1.0 - trend.chance) * (1.0 - balance)
        });
        let finding = Finding {
            cause: self.cause(place).unwrap_or(Cause::Held),
            holder: self.history.place(place),
            of: main_word.map_or_else(|| "?".into(), |of| self.history.type_name(of)),
            function: index.and_then(|index| self.function(names, index, &nodes)),
            objects_per_second: objects,
            bytes_per_second: if sum > 0.0 { sum } else { bytes.map_or(0.0, |bytes| rate(bytes.per_second)) },
            held: self.held(place),
            retained_bytes: None,
            oldest_seconds: oldest.map(ago),
            newest_seconds: ago(newest.saturating_sub(1)),
            stayed: row.map_or(0, Row::stayed),
            left: row.map_or(0, |row| row.left),
            confidence,
            container,
            how,
            way: ways.first().map(crate::holders::why::Way::text),
            types: growing
                .rows
                .iter()
                .take(MOST_TYPES)
                .map(|(of, _, objects, bytes)| Grown {
                    of: self.history.type_name(*of),
                    objects_per_second: rate(objects.per_second),
                    bytes_per_second: rate(bytes.per_second),
                })
                .collect(),
            limit: added.and_then(|(_, group)| self.limit(names, group)),
        };
        (finding, main_word.map(|_| place).zip(index))
    }

    /// A type of that name.
    fn index_of(&self, of: Word) -> Option<TypeIndex> {
        let types = self.holders.links().types();
        (0..).take(types.len()).map(TypeIndex).find(|&index| self.census.type_of(index) == Some(of))
    }

    /// The objects of a type in a place: those that came after the first census, if there are any.
    fn nodes(&self, place: Word, index: TypeIndex) -> Vec<NodeId> {
        let links = self.holders.links();
        let word = self.census.type_of(index);
        let all = || {
            (0..).take(links.objects()).map(NodeId).filter(|&node| {
                self.census.key(self.holders, node).is_some_and(|(at, of)| at == place && Some(of) == word)
            })
        };
        let new: Vec<NodeId> = all().filter(|&node| self.sighting.born(node) > 0).collect();
        if new.is_empty() { all().collect() } else { new }
    }

    /// All that a place holds.
    fn held(&self, place: Word) -> Total {
        let rows = self.history.rows().filter(|((at, _), _)| *at == place);
        rows.fold(Total::default(), |total, (_, row)| Total {
            objects: total.objects.saturating_add(row.objects.last().copied().unwrap_or(0)),
            bytes: total.bytes.saturating_add(row.bytes.last().copied().unwrap_or(0)),
        })
    }

    /// The function that waits in such objects, or that they are.
    fn function<M: Memory>(
        &self,
        names: &mut Names<'_, '_, M>,
        index: TypeIndex,
        nodes: &[NodeId],
    ) -> Option<Arc<str>> {
        let links = self.holders.links();
        let of = links.ty(index)?;
        let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let every = nodes.len().div_ceil(SAMPLE).max(1);
        for &node in nodes.iter().step_by(every) {
            let text: Option<Arc<str>> = match of.kind {
                Some(Kind::Function) => links.address(node).and_then(|at| names.function(at)).map(Into::into),
                _ => self.suspended(node),
            };
            if let Some(text) = text {
                *counts.entry(text).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text)
    }

    /// The name of the function that waits in a generator, coroutine or task, which owns itself by it.
    fn suspended(&self, node: NodeId) -> Option<Arc<str>> {
        let owner = self.holders.place(self.holders.owner(node)?)?;
        let words = ["generator ", "coroutine ", "async generator ", "task "];
        words.iter().find_map(|word| owner.text.strip_prefix(word)).map(Into::into)
    }

    /// What most heads of a group were added to.
    fn container<M: Memory>(&self, names: &mut Names<'_, '_, M>, group: &Group) -> Option<Container> {
        let (&node, &count) = group.containers.iter().max_by_key(|&(&node, &count)| (count, node))?;
        let links = self.holders.links();
        let is_one = count.saturating_mul(10) >= group.heads.saturating_mul(8);
        let of = links.type_of(node).map_or_else(|| "frame".into(), |of| of.name().into());
        let entries = links.address(node).filter(|_| is_one).and_then(|at| names.entries(at));
        Some(Container { of, entries, is_one })
    }

    /// How heads were added.
    fn how(&self, of: TypeIndex, group: &Group) -> How {
        let links = self.holders.links();
        let Some((&node, _)) = group.containers.iter().max_by_key(|&(&node, &count)| (count, node)) else {
            return How::Linked;
        };
        match links.type_of(node).and_then(|of| of.kind) {
            Some(Kind::Dict | Kind::OrderedDict | Kind::DefaultDict) => How::KeysSet,
            Some(Kind::Set) => How::Added,
            Some(Kind::LruCache) => How::Cached,
            Some(Kind::List | Kind::Deque | Kind::Tuple) => self.where_in(of, node),
            _ => How::Linked,
        }
    }

    /// Where in a sequence the new objects of a type are.
    fn where_in(&self, of: TypeIndex, node: NodeId) -> How {
        let links = self.holders.links();
        let items = links.graph().targets(node).iter().filter(|&&item| links.kind(item) == of);
        let new: Vec<bool> = items.map(|&item| self.sighting.born(item) > 0).collect();
        let changes = new.iter().zip(new.iter().skip(1)).filter(|(a, b)| a != b).count();
        match (changes, new.first(), new.last()) {
            (0, ..) | (1, Some(false), _) => How::Appended,
            (1, Some(true), _) => How::Prepended,
            _ => How::Inserted,
        }
    }

    /// The most entries that the cache or queue may have that heads were added to.
    fn limit<M: Memory>(&self, names: &mut Names<'_, '_, M>, group: &Group) -> Option<u64> {
        let (&node, _) = group.containers.iter().max_by_key(|&(&node, &count)| (count, node))?;
        let links = self.holders.links();
        let layout = names.python().layout;
        let above = std::iter::successors(Some(node), |&node| self.holders.paths().before(node));
        above.take(NEAR).find_map(|node| {
            let at = links.address(node)?;
            let offset = match links.type_of(node)?.kind? {
                Kind::LruCache => layout.lru_cache_object.maxsize,
                Kind::Deque => layout.deque_object.maxlen,
                _ => return None,
            };
            let limit = names.python().memory.read_signed(at, offset).ok()?;
            // −1: there is none.
            u64::try_from(limit).ok()
        })
    }

    /// What would be freed without what was added, for each finding.
    fn add_retained(&self, found: &mut [(Finding, Option<(Word, TypeIndex)>)]) -> Result<(), Error> {
        let retained = Retained::new(self.holders.links())?;
        let groups: HashMap<(Word, Word), usize> = found
            .iter()
            .enumerate()
            .filter_map(|(number, (_, group))| {
                let (place, index) = (*group)?;
                Some(((place, self.census.type_of(index)?), number))
            })
            .collect();
        let sums = retained.by_group(found.len(), |node| {
            groups.get(&self.census.key(self.holders, node)?).copied()
        });
        for ((finding, group), bytes) in found.iter_mut().zip(sums) {
            if group.is_some() && finding.cause != Cause::Garbage {
                finding.retained_bytes = Some(bytes);
            }
        }
        Ok(())
    }
}

/// Whether objects of a type are there for what they hold.
fn is_wrapping(of: &Type) -> bool {
    match of.kind {
        Some(Kind::Tuple | Kind::List | Kind::Dict | Kind::WeakReference) => true,
        Some(_) => false,
        None => matches!(
            of.name().as_str(),
            "method" | "builtin_function_or_method" | "cell" | "functools.partial" | "functools._lru_list_elem"
        ),
    }
}
