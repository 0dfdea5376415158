//! Finds the container that a user names.

use std::collections::BTreeSet;
use std::sync::Arc;

use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_cpython::object::memory_ext::MemoryExt as _;
use memobj_cpython::runtime::bytecode::Bytecode;
use memobj_process::addr::Addr;
use memobj_process::error::{Error, Stage};
use memobj_process::memory::Memory;
use memobj_process::target::watchpoint::MAX_WATCHPOINTS;

use super::hits::count_address;
use crate::graph::NodeId;
use crate::holders::{Holders, PlaceId};
use crate::names::modules::read_file;
use crate::names::similar::{near, similar_names};
use crate::names::{NameReader, Reference};
use crate::object_graph::RootKind;

/// Names that an error message lists.
const MAX_LISTED: usize = 6;

/// Containers of one name, and what is needed to watch them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedHolder {
    /// The name.
    pub name: Arc<str>,
    /// The type of the containers.
    pub type_name: Arc<str>,
    /// Those that are watched: the largest ones.
    pub containers: Vec<WatchedContainer>,
    /// How many have the name.
    pub alike: u64,
    /// The code of the program.
    pub bytecode: Bytecode,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedContainer {
    /// Its address.
    pub at: Addr,
    /// The address of its count.
    pub count: Addr,
    /// How it is found again.
    pub way: Way,
}

/// How a container is found again while the program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By the names of attributes, from a module.
    Attributes(Addr, Vec<Arc<str>>),
    /// In the object that refers to it. If that refers to another object, the container is gone.
    Referrer(Addr),
    /// In a running frame.
    Frame(Addr),
    /// Not at all.
    Unknown,
}

/// A container, and the address of its count.
type Counted = (Addr, Addr);

/// Finds the containers with a name as `--leaks` and `--holders` print it, or with the last parts of such a name.
///
/// # Errors
/// Nothing has the name, or what has it is no container; with names that are like it.
pub fn find_holder<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    name: &str,
) -> Result<WatchedHolder, Error> {
    let mut search = Search { names, holders };
    for name in search.spellings(name).into_iter().filter(|_| !name.is_empty()) {
        if let Some(found) = search.by_attributes(&name) {
            return found;
        }
    }
    if let Some(place) = holders.places().iter().position(|place| *place.text == *name)
        && let Some(found) = search.by_place(place)
    {
        return found;
    }
    search.by_last_parts(name)
}

/// The container at the end of a way; `None` if there is none any more.
pub(super) fn follow<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    container: &WatchedContainer,
) -> Option<Counted> {
    let same = (container.at, container.count);
    let is_there = match &container.way {
        Way::Attributes(module, attributes) => {
            let at = walk(names, *module, attributes)?;
            return counted(names, at);
        }
        Way::Referrer(from) => names.reference(*from, container.at).is_some(),
        Way::Frame(frame) => {
            let mut found = false;
            names.visit_frame(*frame, |to, _| found |= to == container.at);
            found
        }
        Way::Unknown => true,
    };
    is_there.then_some(same)
}

/// The object that these attributes lead to.
fn walk<M: Memory>(names: &mut NameReader<'_, '_, M>, module: Addr, attributes: &[Arc<str>]) -> Option<Addr> {
    attributes.iter().try_fold(module, |at, name| {
        let of = names.type_of(at)?;
        let objects = names.objects();
        match of.kind {
            Some(Builtin::Module) => objects.read_item(objects.read_module_dict(at)?, name),
            _ if of.is_metatype() => objects.read_item(names.python().read_type_dict(at).ok()?, name),
            _ => names.attribute(at, name),
        }
    })
}

/// An object as a container: itself, the dict of a module, the content of a cell.
fn counted<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Option<Counted> {
    let of = names.type_of(at)?;
    if of.kind == Some(Builtin::Module) {
        let dict = names.objects().read_module_dict(at)?;
        return Some((dict, count_address(names, dict)?));
    }
    if of.name() == "cell" {
        let mut content = None;
        names.visit_references(at, |to, reference| {
            if reference == Reference::Internal {
                content = Some(to);
            }
        });
        let content = content?;
        return Some((content, count_address(names, content)?));
    }
    Some((at, count_address(names, at)?))
}

/// The containers that an object has as attributes.
fn attributes<M: Memory>(names: &mut NameReader<'_, '_, M>, at: Addr) -> Vec<(Arc<str>, Addr)> {
    let (mut found, mut dicts) = (Vec::new(), Vec::new());
    names.visit_references(at, |to, reference| match reference {
        Reference::Attribute(name) => found.push((name, to)),
        Reference::Internal => dicts.push(to),
        _ => {}
    });
    for dict in dicts {
        let mut entries = Vec::new();
        names.visit_references(dict, |to, reference| {
            if let Reference::Entry(key) = reference {
                entries.push((key, to));
            }
        });
        found.extend(entries.into_iter().filter_map(|(key, to)| Some((names.key(key)?, to))));
    }
    found.retain(|(name, at)| !name.starts_with("__") && counted(names, *at).is_some());
    found.sort();
    found.dedup();
    found
}

struct Search<'a, 'p, 'm, 'w, M> {
    names: &'a mut NameReader<'p, 'm, M>,
    holders: &'a Holders<'w>,
}

impl<M: Memory> Search<'_, '_, '_, '_, M> {
    /// The names that a name may stand for: that of the program's file for `__main__`, and a name of `__main__` without it.
    fn spellings(&mut self, name: &str) -> Vec<String> {
        let name = name.strip_prefix("cache of ").unwrap_or(name);
        let mut all = vec![name.to_owned(), format!("__main__.{name}")];
        let objects = self.names.objects();
        let main = self.holders.modules().list().iter().find(|module| &*module.name == "__main__");
        let file = main.and_then(|main| read_file(objects, main.dict));
        let script = file.as_deref().and_then(|file| file.rsplit('/').next()?.strip_suffix(".py"));
        let rest = script.and_then(|script| name.strip_prefix(script)).filter(|rest| rest.starts_with('.'));
        all.extend(rest.map(|rest| format!("__main__{rest}")));
        all
    }

    /// What a module and attributes lead to; the longest name of a module that leads anywhere.
    fn by_attributes(&mut self, name: &str) -> Option<Result<WatchedHolder, Error>> {
        let modules = self.holders.modules().list();
        let mut from: Vec<_> = modules
            .iter()
            .filter_map(|module| {
                let rest = name.strip_prefix(&*module.name)?;
                if rest.is_empty() { Some((module, "")) } else { Some((module, rest.strip_prefix('.')?)) }
            })
            .collect();
        from.sort_by_key(|(module, _)| std::cmp::Reverse(module.name.len()));
        from.into_iter().find_map(|(module, rest)| {
            let way: Vec<Arc<str>> =
                rest.split('.').filter(|name| !name.is_empty()).map(Into::into).collect();
            let at = walk(self.names, module.at, &way)?;
            Some(self.named(name, vec![at], |attribute| {
                let way = way.iter().chain(attribute).map(Arc::clone).collect();
                Way::Attributes(module.at, way)
            }))
        })
    }

    /// The containers of a place: its objects that are not in others of it.
    fn by_place(&mut self, place: usize) -> Option<Result<WatchedHolder, Error>> {
        let (graph, holders) = (self.holders.graph(), self.holders);
        let id = PlaceId(u32::try_from(place).ok()?);
        let name = Arc::clone(&holders.place(id)?.text);
        let is_first = |node: &NodeId| {
            let before = holders.paths().parent(*node);
            holders.holder(*node) == Some(id) && before.and_then(|before| holders.holder(before)) != Some(id)
        };
        let tops: Vec<Addr> =
            graph.object_nodes().filter(is_first).filter_map(|node| graph.address(node)).collect();
        (!tops.is_empty()).then(|| self.named(&name, tops, |_| Way::Unknown))
    }

    /// The containers of the only place whose name ends so.
    fn by_last_parts(&mut self, name: &str) -> Result<WatchedHolder, Error> {
        let places = self.holders.places();
        let ends = |text: &str| {
            text.strip_suffix(name).is_some_and(|before| before.ends_with(['.', ' ']) && !name.is_empty())
        };
        let named: Vec<usize> =
            (0..).zip(places).filter(|(_, place)| ends(&place.text)).map(|(number, _)| number).collect();
        let mut found: Vec<WatchedHolder> = Vec::new();
        for place in named {
            found.extend(self.by_place(place).and_then(Result::ok));
        }
        let all: BTreeSet<&str> = found.iter().map(|found| &*found.name).collect();
        if all.len() > 1 {
            let what = format!("'{name}' is the name of {} containers: {}", all.len(), listed(all));
            return Err(Error::new(Stage::WATCH, what, "give the whole name"));
        }
        match found.pop() {
            Some(found) => Ok(found),
            None => {
                let similar = similar_names(name, self.places_with_containers());
                let similar: Vec<String> = similar.into_iter().map(Into::into).collect();
                // What is near may be a part of a function.
                let is_watchable =
                    |name: &String| self.by_attributes(name).is_some_and(|found| found.is_ok());
                let similar: Vec<String> = similar.into_iter().filter(is_watchable).collect();
                let what = format!("nothing is named '{name}'{}", near(&similar));
                Err(Error::new(Stage::WATCH, what, "--holders and --leaks print the names of containers"))
            }
        }
    }

    /// The names of the places that are containers.
    fn places_with_containers(&self) -> BTreeSet<&str> {
        let (graph, holders) = (self.holders.graph(), self.holders);
        let grows = |kind: Builtin| !matches!(kind.growth(), Growth::Copies | Growth::Fixed);
        let is_container = |node: NodeId| graph.type_of(node).and_then(|of| of.kind).is_some_and(grows);
        let firsts = graph.object_nodes().filter(|&node| is_container(node)).filter_map(|node| {
            let place = holders.holder(node)?;
            let before = holders.paths().parent(node).and_then(|before| holders.holder(before));
            (before != Some(place)).then_some(place)
        });
        firsts.filter_map(|place| Some(&*holders.place(place)?.text)).collect()
    }

    /// The containers among objects of one name. An object that is none stands for its only attribute that is a container. `way` is the path
    /// by which a container is found again.
    fn named(
        &mut self,
        name: &str,
        objects: Vec<Addr>,
        way: impl Fn(Option<&Arc<str>>) -> Way,
    ) -> Result<WatchedHolder, Error> {
        let mut found: Vec<(Counted, Way, u64)> = Vec::new();
        let (mut full, mut parts): (Arc<str>, BTreeSet<Arc<str>>) = (name.into(), BTreeSet::new());
        for &at in &objects {
            let mut add = |search: &mut Self, counted: Counted, attribute: Option<&Arc<str>>| {
                let entries = search.names.python().memory.read_count(counted.1, 0).unwrap_or(0);
                let way = match way(attribute) {
                    Way::Unknown => search.referrer(counted.0),
                    way => way,
                };
                found.push((counted, way, entries));
            };
            if let Some(counted) = counted(self.names, at) {
                add(self, counted, None);
                continue;
            }
            let of_object = attributes(self.names, at);
            parts.extend(of_object.iter().map(|(attribute, _)| format!("{name}.{attribute}").into()));
            if let [(attribute, at)] = &of_object[..]
                && let Some(counted) = counted(self.names, *at)
            {
                full = format!("{name}.{attribute}").into();
                add(self, counted, Some(attribute));
            }
        }
        let alike = found.len() as u64;
        found.sort_by_key(|&(.., entries)| std::cmp::Reverse(entries));
        let first = found.first().and_then(|&((at, _), ..)| self.names.type_of(at));
        let Some(of) = first else {
            let of = objects.first().and_then(|&at| self.names.type_of(at));
            let of = of.map_or_else(|| "?".to_owned(), |of| of.name());
            let what = format!("{name} is no container: it is of type {of}");
            let hint = if parts.is_empty() {
                "name a dict, a list, a set or another container; --holders prints them".to_owned()
            } else {
                format!("name one of its containers: {}", listed(parts.iter().map(|part| &**part)))
            };
            return Err(Error::new(Stage::WATCH, what, &hint));
        };
        let containers = found.into_iter().take(MAX_WATCHPOINTS);
        Ok(WatchedHolder {
            name: full,
            type_name: of.name().into(),
            containers: containers.map(|((at, count), way, _)| WatchedContainer { at, count, way }).collect(),
            alike,
            bytecode: self.bytecode(),
        })
    }

    /// What refers to a container on its path from a root.
    fn referrer(&self, container: Addr) -> Way {
        let graph = self.holders.graph();
        let from = graph.node(container).and_then(|node| self.holders.paths().parent(node));
        let Some(from) = from else { return Way::Unknown };
        match (graph.address(from), graph.root(from).map(|root| root.kind)) {
            (_, Some(RootKind::Frame { at, .. })) => Way::Frame(at),
            (Some(at), None) => Way::Referrer(at),
            _ => Way::Unknown,
        }
    }

    fn bytecode(&self) -> Bytecode {
        let graph = self.holders.graph();
        let is_code = |&node: &NodeId| graph.type_of(node).is_some_and(|of| of.kind == Some(Builtin::Code));
        let codes = graph.object_nodes().filter(is_code).filter_map(|node| graph.address(node));
        Bytecode::read(self.names.objects(), codes)
    }
}

/// Some of these names, one after the other.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<&str> = names.iter().take(MAX_LISTED).copied().collect();
    match names.len().checked_sub(MAX_LISTED) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
