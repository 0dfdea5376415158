//! Every object to its holder and to its owner.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::graph::NodeId;
use crate::links::{Links, Standing, TypeIndex};
use crate::names::suspended::is_task;
use crate::names::{Names, Step};
use memobj_cpython::heap::kinds::Kind;
use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use super::words::{Role, Word, Words, step_of_thread};
use super::{Holders, Place, PlaceId};

/// How many attributes a holder's name may have behind its module. What is deeper belongs to the last one.
const MAX_DEPTH: u8 = 6;

/// How many places are told apart. A bound, no fact: what comes after them belongs to what is above it.
const MAX_PLACES: usize = 1 << 20;

/// A string, a number or some bytes of less belong to what has them; larger ones are named: they may be what the memory goes into.
const SMALL: u64 = 1024;

/// What a place in a module that came with Python holds, if less than one part in so many of all bytes, is not told by itself.
const LIGHT: u64 = 2000;

/// All that the modules which came with Python define.
pub const STANDARD: &str = "(standard library)";

/// Not attributed yet.
const NONE: PlaceId = PlaceId(u32::MAX);

/// An object that has a name, and whose parts may have names of their own.
struct Open {
    node: NodeId,
    place: PlaceId,
    /// What the way to it begins with: a module, a frame.
    root: PlaceId,
    role: Role,
    depth: u8,
    /// The types of those above that are instances, the nearest last: a chain of objects of one type is one place.
    types: Vec<TypeIndex>,
}

/// Who owns objects of a type and what they refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owning {
    /// Whoever owns what refers to them.
    Inherited,
    /// Their class.
    Class(PlaceId),
    /// The line of code where they wait, or what they run does: generators, coroutines, tasks.
    Suspended,
}

struct Work<'a, 'p, 'm, 'w, M> {
    words: Words<'a, 'p, 'm, 'w, M>,
    paths: &'a crate::graph::Paths,
    places: Vec<Place>,
    /// By place: where it is counted instead, since it is only what a module defines: a function, a class.
    folds: HashMap<PlaceId, PlaceId>,
    by_text: HashMap<Arc<str>, PlaceId>,
    holders: Vec<PlaceId>,
    owners: Vec<PlaceId>,
    owning: Vec<Owning>,
    stack: Vec<Open>,
}

impl Holders<'_> {
    /// Attributes every object.
    pub(super) fn attribute<M: Memory>(&mut self, names: &mut Names<'_, '_, M>) {
        let nodes = self.links.graph().nodes();
        let mut work = Work {
            words: Words { links: &self.links, modules: &self.modules, threads: &self.threads, names },
            paths: &self.paths,
            places: Vec::new(),
            folds: HashMap::new(),
            by_text: HashMap::new(),
            holders: vec![NONE; nodes],
            owners: vec![NONE; nodes],
            owning: Vec::new(),
            stack: Vec::new(),
        };
        work.owning = work.read_owning();
        work.open_roots();
        while let Some(open) = work.stack.pop() {
            work.look_into(open);
        }
        work.settle_strays();
        work.settle_rest();
        work.fold();
        let Work { places, mut holders, mut owners, .. } = work;
        holders.truncate(self.links.objects());
        owners.truncate(self.links.objects());
        self.places = places;
        self.holders = holders;
        self.owners = owners;
    }
}

impl<'w, M: Memory> Work<'_, '_, '_, 'w, M> {
    fn links(&self) -> &Links<'w> {
        self.words.links
    }

    /// The number of a place, which is told by its name.
    fn place(&mut self, text: Arc<str>, module: Option<Arc<str>>, above: Option<PlaceId>) -> PlaceId {
        if let Some(&known) = self.by_text.get(&text) {
            return known;
        }
        let id = PlaceId(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        self.by_text.insert(Arc::clone(&text), id);
        self.places.push(Place { text, module, above });
        id
    }

    fn read_owning(&mut self) -> Vec<Owning> {
        let types = self.links().types();
        let mut all = Vec::with_capacity(types.len());
        for counted in types {
            all.push(self.owning_of(&counted.of));
        }
        all
    }

    fn owning_of(&mut self, of: &Type) -> Owning {
        let name = of.name();
        let suspends = matches!(of.kind, Some(Kind::Generator | Kind::Coroutine | Kind::AsyncGenerator));
        if suspends || is_task(&name) {
            return Owning::Suspended;
        }
        let is_named = of.class.is_some() && !of.is_metatype() && of.module != "builtins";
        if is_named && !self.words.modules.is_standard(&of.module) {
            return Owning::Class(self.place(name.into(), Some(of.module.as_str().into()), None));
        }
        Owning::Inherited
    }

    /// The roots of all ways are named first.
    fn open_roots(&mut self) {
        let mut roots: Vec<NodeId> =
            self.words.modules.list().iter().filter_map(|m| self.links().node(m.at)).collect();
        roots.extend(self.links().roots());
        let mut open = Vec::new();
        for node in roots {
            if !self.paths.reaches(node) || self.paths.before(node).is_some() {
                continue;
            }
            let (text, module) = self.words.root(node);
            let is_standard = self.links().source(node).is_none()
                && module.as_ref().is_some_and(|module| self.words.modules.is_standard(module));
            let place = self.place(text, module, None);
            if is_standard {
                let standard = self.place(STANDARD.into(), Some(STANDARD.into()), None);
                self.folds.insert(place, standard);
            }
            self.settle(node, place, place);
            open.push(Open { node, place, root: place, role: Role::Named, depth: 0, types: Vec::new() });
        }
        // The first is looked into first.
        open.reverse();
        self.stack = open;
    }

    fn settle(&mut self, node: NodeId, holder: PlaceId, owner: PlaceId) {
        if let Some(place) = self.holders.get_mut(node.index()) {
            *place = holder;
        }
        let owner = self.own_owner(node).unwrap_or(owner);
        if let Some(place) = self.owners.get_mut(node.index()) {
            *place = owner;
        }
    }

    fn holder(&self, node: NodeId) -> PlaceId {
        self.holders.get(node.index()).copied().unwrap_or(NONE)
    }

    fn owner(&self, node: NodeId) -> PlaceId {
        self.owners.get(node.index()).copied().unwrap_or(NONE)
    }

    /// The owner that an object is by itself.
    fn own_owner(&mut self, node: NodeId) -> Option<PlaceId> {
        let owning = *self.owning.get(self.links().kind(node).0 as usize)?;
        match owning {
            Owning::Inherited => None,
            Owning::Class(place) => Some(place),
            Owning::Suspended => {
                let at = self.links().address(node)?;
                let suspended = self.words.names.suspended(at)?;
                Some(self.place(suspended.to_string().into(), suspended.module, None))
            }
        }
    }

    /// Names what an object leads to; what has no name of its own belongs to the object.
    fn look_into(&mut self, open: Open) {
        let (links, paths) = (self.words.links, self.paths);
        let is_ours = |to: NodeId| paths.before(to) == Some(open.node);
        // Each once, by the first and most telling name: a hostile list may have the same object as often as it likes.
        let mut met = HashSet::new();
        let mut steps = Vec::new();
        let mut seen = |to: memobj_process::addr::Addr, step: Step| {
            if let Some(node) = links.node(to).filter(|&node| is_ours(node))
                && met.insert(node)
            {
                steps.push((node, to, step));
            }
        };
        let of = links.type_of(open.node);
        let at = links.address(open.node);
        match (at, links.source(open.node).map(|source| source.kind)) {
            (_, Some(crate::links::SourceKind::Frame { at, .. })) => {
                self.words.names.each_of_frame(at, &mut seen)
            }
            (_, Some(crate::links::SourceKind::Thread(_))) => {
                for &to in links.graph().targets(open.node) {
                    if let (Some(at), Some(step)) = (links.address(to), step_of_thread(links, to)) {
                        seen(at, step);
                    }
                }
            }
            (Some(at), _) => self.words.names.each(at, &mut seen),
            _ => {}
        }
        for (node, to, step) in steps {
            if self.holder(node) != NONE {
                continue;
            }
            let kind = links.type_of(node).and_then(|of| of.kind);
            let is_small = matches!(kind, Some(Kind::Str | Kind::Int | Kind::Number | Kind::Bytes))
                && links.size(node) < SMALL;
            let from = at.unwrap_or_default();
            let Some((word, role)) = self.words.follow(from, of, open.role, &step, to) else {
                continue;
            };
            if is_small && word != Word::Cache {
                continue;
            }
            let is_full = self.places.len() >= MAX_PLACES;
            let place = if word == Word::Same || is_full {
                open.place
            } else {
                let (text, module) = match self.places.get(open.place.0 as usize) {
                    Some(place) => (word.added_to(&place.text), place.module.clone()),
                    None => continue,
                };
                let place = self.place(text, module, Some(open.place));
                // A function or a class is what its module is made of; what it keeps may be more than that.
                let is_code = match kind {
                    Some(Kind::Function) => true,
                    // A class that owns its objects is told by itself.
                    Some(Kind::Type) => !self.owning.contains(&Owning::Class(place)),
                    _ => false,
                };
                if is_code {
                    self.folds.insert(place, open.root);
                }
                place
            };
            // What is suspended owns its variables, however they are named; until 3.10 a frame object has them.
            let is_suspended = of.is_some_and(|of| of.kind == Some(Kind::Frame))
                || self.owning.get(links.kind(open.node).0 as usize) == Some(&Owning::Suspended);
            let owner = if word == Word::Same || is_suspended { self.owner(open.node) } else { place };
            self.settle(node, place, owner);
            self.open(node, place, role, &word, &open);
        }
        let owner = self.owner(open.node);
        for &to in links.graph().targets(open.node) {
            if is_ours(to) && self.holder(to) == NONE {
                self.settle(to, open.place, owner);
            }
        }
    }

    /// Looks into what was just named, later, if it may have parts with names.
    fn open(&mut self, node: NodeId, place: PlaceId, role: Role, word: &Word, above: &Open) {
        let mut types = above.types.clone();
        if role == Role::Named {
            let kind = self.links().kind(node);
            let Some(of) = self.links().ty(kind) else { return };
            let is_instance = of.class.is_some() && !of.is_metatype();
            let has_parts = match of.kind {
                _ if is_instance => true,
                None => true,
                Some(
                    Kind::Type
                    | Kind::Module
                    | Kind::Function
                    | Kind::LruCache
                    | Kind::WeakReference
                    | Kind::HamtItems
                    | Kind::HamtArray
                    | Kind::Frame
                    | Kind::Generator
                    | Kind::Coroutine
                    | Kind::AsyncGenerator,
                ) => true,
                Some(_) => false,
            };
            if !has_parts || (types.contains(&kind) && !self.is_namespace_within(node, word, &types)) {
                return;
            }
            if is_instance {
                types.push(kind);
            }
        } else if role == Role::Part {
            return;
        }
        let depth = above.depth.saturating_add(u8::from(*word != Word::Same));
        if depth <= MAX_DEPTH {
            self.stack.push(Open { node, place, root: above.root, role, depth, types });
        }
    }

    /// Whether an object of the type of the one that it is an attribute of is no link of a chain: it has no attribute of that name
    /// itself. The parts of such (`types.SimpleNamespace`, `argparse.Namespace`) have names that tell.
    fn is_namespace_within(&mut self, node: NodeId, word: &Word, types: &[TypeIndex]) -> bool {
        let Word::Attribute(name) = word else { return false };
        let Some(at) = self.links().address(node).filter(|_| types.last() == Some(&self.links().kind(node)))
        else {
            return false;
        };
        self.words.names.attribute(at, name).is_none()
    }

    /// Counts what modules define with them, and what is of no weight in those that came with Python as one.
    fn fold(&mut self) {
        let standard = self.place(STANDARD.into(), Some(STANDARD.into()), None);
        let links = self.words.links;
        let is_standard: Vec<bool> = (self.places.iter())
            .map(|place| place.module.as_ref().is_some_and(|module| self.words.modules.is_standard(module)))
            .collect();
        for all in [&mut self.holders, &mut self.owners] {
            let mut bytes = vec![0_u64; self.places.len()];
            for (node, place) in (0..).take(links.objects()).map(NodeId).zip(&mut *all) {
                let once = self.folds.get(place).copied().unwrap_or(*place);
                // A function is folded into its module, and that may be into another.
                *place = self.folds.get(&once).copied().unwrap_or(once);
                if let Some(bytes) = bytes.get_mut(place.0 as usize) {
                    *bytes = bytes.saturating_add(links.size(node));
                }
            }
            let least = bytes.iter().fold(0_u64, |sum, &bytes| sum.saturating_add(bytes)) / LIGHT;
            for place in &mut *all {
                let number = place.0 as usize;
                let is_light = bytes.get(number).is_some_and(|&bytes| bytes < least);
                if is_light && is_standard.get(number) == Some(&true) {
                    *place = standard;
                }
            }
        }
    }

    /// Of what the program cannot reach, that which has an owner of its own, and what this leads to.
    fn settle_strays(&mut self) {
        let links = self.words.links;
        let is_stray = |node: NodeId| links.standing(node) != Standing::Held;
        let mut stack = Vec::new();
        for node in (0..).take(links.objects()).map(NodeId).filter(|&node| is_stray(node)) {
            if self.holder(node) != NONE || self.paths.reaches(node) {
                continue;
            }
            let Some(owner) = self.own_owner(node) else { continue };
            let holder = self.place(standing_text(links.standing(node)), None, None);
            self.settle(node, holder, owner);
            stack.push(node);
        }
        while let Some(node) = stack.pop() {
            let owner = self.owner(node);
            for &to in links.graph().targets(node) {
                if self.holder(to) == NONE && is_stray(to) && !self.paths.reaches(to) {
                    let holder = self.place(standing_text(links.standing(to)), None, None);
                    self.settle(to, holder, owner);
                    stack.push(to);
                }
            }
        }
    }

    /// What was not named belongs to what the way to it comes from.
    fn settle_rest(&mut self) {
        let mut way = Vec::new();
        for node in (0..).take(self.links().objects()).map(NodeId) {
            let mut at = node;
            while self.holder(at) == NONE {
                way.push(at);
                match self.paths.before(at) {
                    Some(before) => at = before,
                    None => break,
                }
            }
            let (mut holder, mut owner) = (self.holder(at), self.owner(at));
            while let Some(node) = way.pop() {
                if holder == NONE {
                    let standing = self.links().standing(node);
                    holder = self.place(standing_text(standing), None, None);
                    owner = holder;
                }
                self.settle(node, holder, owner);
                owner = self.owner(node);
            }
        }
    }
}

/// The place of what the program cannot reach.
fn standing_text(standing: Standing) -> Arc<str> {
    format!("({})", standing.word()).into()
}
