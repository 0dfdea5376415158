//! Why objects of a type are there: the ways to them, like ones told as one.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use common::units::{counted, thousands};

use crate::graph::NodeId;
use crate::links::{SourceKind, Standing, TypeIndex};
use crate::names::{Names, Step};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::Holders;
use super::words::{Role, Word, Words, step_of_thread};

/// Items of a container with more are not told apart, unless they are attributes.
const FEW: u64 = 64;
/// The longest way that is told in full; of longer ones, such as those into linked lists, both ends.
const LONGEST: usize = 64;
/// How many steps are remembered: ways have their beginnings in common. A bound, no fact.
const MAX_KNOWN: usize = 1 << 20;

/// Why the objects of a type are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The type.
    pub of: String,
    /// How many objects it has.
    pub objects: u64,
    /// To how many of them the way was looked at.
    pub sampled: u64,
    /// The ways, those of the most objects first.
    pub ways: Vec<Way>,
}

/// The way to some objects of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// How many of those that were looked at are reached so.
    pub count: u64,
    /// Where it begins: `module botpkg.cache`.
    pub root: Arc<str>,
    /// Where it leads to; the last one is the object itself.
    pub legs: Vec<Leg>,
}

/// A part of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// How it is referred to: `_sessions`, `local rows`, `[3]`; empty for one of many.
    pub name: Arc<str>,
    /// The name of its type in its module.
    pub of: Arc<str>,
    /// How many items it has, if it is a container and the same one for all.
    pub entries: Option<u64>,
    /// How many such follow one another.
    pub repeats: u64,
    /// The object, if it is the same one for all.
    node: Option<NodeId>,
    kind: TypeIndex,
    /// Whether it is an item of a container: ways to other items are like this one.
    is_item: bool,
}

/// How a step of a way is told.
struct Told {
    /// Its name; `None` if it leads on to what the name before means.
    name: Option<Arc<str>>,
    is_item: bool,
    role: Role,
}

impl Told {
    fn named(name: Arc<str>, role: Role) -> Self {
        Self { name: Some(name), is_item: false, role }
    }

    fn item(name: Arc<str>) -> Self {
        Self { name: Some(name), is_item: true, role: Role::Named }
    }
}

impl Way {
    /// The way in one line: `module botpkg.cache → _sessions (dict, 10,000 entries) → SessionState`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.root.to_string();
        let last = self.legs.len().saturating_sub(1);
        for (number, leg) in self.legs.iter().enumerate() {
            text.push_str(" → ");
            let entries = leg.entries.filter(|_| number < last);
            let entries = entries.map(|entries| counted(entries, "entry", "entries"));
            // A `String` takes all that is written to it.
            let _ = match (leg.name.is_empty(), entries) {
                (true, None) => write!(text, "{}", leg.of),
                (true, Some(entries)) => write!(text, "{} ({entries})", leg.of),
                (false, None) => write!(text, "{} ({})", leg.name, leg.of),
                (false, Some(entries)) => write!(text, "{} ({}, {entries})", leg.name, leg.of),
            };
            if leg.repeats > 1 {
                let _ = write!(text, " ×{}", thousands(leg.repeats));
            }
        }
        text
    }
}

/// By what ways are like ones: the root, and the name and the type of each leg.
type Shape = (Arc<str>, Vec<(Arc<str>, TypeIndex)>);

/// What is remembered from one way to the next.
struct Known<'a, 'p, 'm, 'w, M> {
    words: Words<'a, 'p, 'm, 'w, M>,
    steps: HashMap<(NodeId, NodeId), Option<Step>>,
    types: HashMap<TypeIndex, Arc<str>>,
}

impl Holders<'_> {
    /// Why the objects of the types with this name are there; `name` with or without their module. Of each type, the ways to `sample`
    /// of its objects at most are looked at, evenly spread over their addresses.
    pub fn why<M: Memory>(&self, names: &mut Names<'_, '_, M>, name: &str, sample: usize) -> Vec<Why> {
        let words = Words { links: &self.links, modules: &self.modules, threads: &self.threads, names };
        let mut known = Known { words, steps: HashMap::new(), types: HashMap::new() };
        let mut found = Vec::new();
        for (counted, index) in self.links.types().iter().zip(0..) {
            let full = counted.of.name();
            let is_meant = full == name || full.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            if is_meant {
                found.push(self.why_of(&mut known, full, TypeIndex(index), sample));
            }
        }
        found.retain(|why| why.objects > 0);
        found.sort_by_key(|why| std::cmp::Reverse(why.objects));
        found
    }

    fn why_of<M: Memory>(
        &self,
        known: &mut Known<'_, '_, '_, '_, M>,
        of: String,
        index: TypeIndex,
        sample: usize,
    ) -> Why {
        let all =
            || (0..).take(self.links.objects()).map(NodeId).filter(|&node| self.links.kind(node) == index);
        let objects = all().count();
        let every = objects.div_ceil(sample.max(1)).max(1);
        let sampled = objects.div_ceil(every) as u64;
        let ways = self.ways_of(known, all().step_by(every));
        Why { of, objects: objects as u64, sampled, ways }
    }

    /// The ways to these objects, those of the most first.
    pub fn ways<M: Memory>(
        &self,
        names: &mut Names<'_, '_, M>,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Vec<Way> {
        let words = Words { links: &self.links, modules: &self.modules, threads: &self.threads, names };
        self.ways_of(&mut Known { words, steps: HashMap::new(), types: HashMap::new() }, nodes)
    }

    fn ways_of<M: Memory>(
        &self,
        known: &mut Known<'_, '_, '_, '_, M>,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        let mut by_shape: HashMap<Shape, usize> = HashMap::new();
        for node in nodes {
            let way = self.way(known, node);
            let no_name: Arc<str> = "".into();
            let name = |leg: &Leg| if leg.is_item { Arc::clone(&no_name) } else { Arc::clone(&leg.name) };
            let shape = way.legs.iter().map(|leg| (name(leg), leg.kind)).collect();
            let number = *by_shape.entry((Arc::clone(&way.root), shape)).or_insert(ways.len());
            match ways.get_mut(number) {
                Some(like) => like.join(&way),
                None => ways.push(way),
            }
        }
        for leg in ways.iter_mut().flat_map(|way| &mut way.legs) {
            let at = leg.node.and_then(|node| self.links.address(node));
            leg.entries = at.and_then(|at| known.words.names.entries(at));
        }
        // Of as many, the one that was met first.
        ways.sort_by_key(|way| std::cmp::Reverse(way.count));
        ways
    }

    /// The way to an object.
    fn way<M: Memory>(&self, known: &mut Known<'_, '_, '_, '_, M>, node: NodeId) -> Way {
        if !self.paths.reaches(node) {
            let root = match self.links.standing(node) {
                Standing::Garbage => "nobody: garbage in circles, which the collector has not freed yet",
                _ => "nobody known",
            };
            let leg = self.leg(known, node, "".into(), true);
            return Way { count: 1, root: root.into(), legs: vec![leg] };
        }
        let mut nodes: Vec<NodeId> =
            std::iter::successors(Some(node), |&node| self.paths.before(node)).collect();
        nodes.reverse();
        let left_out = nodes.len().saturating_sub(LONGEST);
        if left_out > 0 {
            nodes.drain(LONGEST / 2..LONGEST / 2 + left_out);
        }
        let first = nodes.first().copied().unwrap_or(node);
        let (root, _) = known.words.root(first);
        let root = if self.links.source(first).is_some() { root } else { format!("module {root}").into() };
        let mut legs: Vec<Leg> = Vec::new();
        let mut role = Role::Named;
        for (number, pair) in nodes.windows(2).enumerate() {
            let &[from, to] = pair else { continue };
            let told = if left_out > 0 && number + 1 == LONGEST / 2 {
                Told::named("…".into(), Role::Named)
            } else {
                self.tell(known, from, to, role)
            };
            role = told.role;
            let Some(name) = told.name.or_else(|| (to == node).then(|| "".into())) else { continue };
            let leg = self.leg(known, to, name, told.is_item);
            let like = |last: &&mut Leg| !leg.is_item && (&last.name, last.kind) == (&leg.name, leg.kind);
            match legs.last_mut().filter(like) {
                Some(last) => {
                    last.repeats += 1;
                    last.node = None;
                }
                None => legs.push(leg),
            }
        }
        Way { count: 1, root, legs }
    }

    fn leg<M: Memory>(
        &self,
        known: &mut Known<'_, '_, '_, '_, M>,
        node: NodeId,
        name: Arc<str>,
        is_item: bool,
    ) -> Leg {
        let kind = self.links.kind(node);
        let of = known.types.entry(kind).or_insert_with(|| {
            self.links.ty(kind).map_or_else(|| "?".into(), |of| of.qualname.as_str().into())
        });
        Leg { name, of: Arc::clone(of), entries: None, repeats: 1, node: Some(node), kind, is_item }
    }

    /// How a step of a way is told.
    fn tell<M: Memory>(
        &self,
        known: &mut Known<'_, '_, '_, '_, M>,
        from: NodeId,
        to: NodeId,
        role: Role,
    ) -> Told {
        let Some(to_at) = self.links.address(to) else { return Told::item("".into()) };
        let from_at = self.links.address(from).unwrap_or_default();
        let many = role != Role::Namespace
            && known.words.names.entries(from_at).is_some_and(|entries| entries > FEW);
        let step = if many { Some(Step::Element) } else { self.step(known, from, to, from_at, to_at) };
        let Some(step) = step else { return Told::item("".into()) };
        let of = self.links.type_of(from);
        match known.words.follow(from_at, of, role, &step, to_at) {
            Some((Word::Same, role)) => Told { name: None, is_item: false, role },
            Some((word, role)) => match word {
                Word::Attribute(name) => Told::named(name, role),
                Word::Local(name) => Told::named(format!("local {name}").into(), role),
                Word::Default(name) => Told::named(format!("default {name}").into(), role),
                Word::Closure(name) => Told::named(format!("closure {name}").into(), role),
                Word::Variable(name) => Told::named(format!("context variable {name}").into(), role),
                Word::Frame(name) => Told::named(format!("frame of {name}()").into(), role),
                Word::OfThread(name) => Told::named(format!("thread {name}").into(), role),
                Word::Cache | Word::Same => Told { name: Some("".into()), is_item: true, role },
            },
            None => match step {
                Step::Entry(key) => match known.words.names.key(key) {
                    Some(key) => Told::item(format!("[\"{key}\"]").into()),
                    None => Told::item("".into()),
                },
                Step::Index(index) => Told::item(format!("[{index}]").into()),
                Step::Attribute(name) => Told::named(name, Role::Named),
                Step::Guessed => Told::named("?".into(), Role::Named),
                _ => Told::item("".into()),
            },
        }
    }

    fn step<M: Memory>(
        &self,
        known: &mut Known<'_, '_, '_, '_, M>,
        from: NodeId,
        to: NodeId,
        from_at: Addr,
        to_at: Addr,
    ) -> Option<Step> {
        if let Some(step) = known.steps.get(&(from, to)) {
            return step.clone();
        }
        let step = match self.links.source(from).map(|source| source.kind) {
            Some(SourceKind::Frame { at, .. }) => {
                let mut found = None;
                known.words.names.each_of_frame(at, |other, step| {
                    if other == to_at && found.is_none() {
                        found = Some(step);
                    }
                });
                found
            }
            Some(SourceKind::Thread(_)) => step_of_thread(&self.links, to),
            Some(_) => None,
            None => known.words.names.step(from_at, to_at),
        };
        if known.steps.len() < MAX_KNOWN {
            known.steps.insert((from, to), step.clone());
        }
        step
    }
}

impl Way {
    /// Counts a like one too.
    fn join(&mut self, other: &Self) {
        self.count += other.count;
        for (leg, other) in self.legs.iter_mut().zip(&other.legs) {
            if leg.node != other.node {
                leg.node = None;
            }
            if leg.name != other.name {
                leg.name = "".into();
            }
            leg.repeats = leg.repeats.max(other.repeats);
        }
    }
}
