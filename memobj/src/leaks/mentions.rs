//! Code that may add to a container: functions that name it together with a way to add.
//!
//! That is no proof. It is what can be said where no addition was seen.

use std::sync::Arc;

use common::record::{
    AUDIT_HOOKS, CODEC_ERRORS, CODECS, CodeLine, EXIT_CALLBACKS, FORK_CALLBACKS, GREENLETS, GrowthMode, Leak,
};
use memobj_cpython::runtime::frame::read_definition;
use memobj_process::memory::Memory;

use super::chains::link_name;
use super::container_owner::{Closeness, ContainerOwner};
use super::find::{Candidate, has_items};
use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::{NameReader, code_line};
use crate::object_graph::ObjectGraph;

/// Methods that add to a container.
pub(super) const ADDING: [&str; 13] = [
    "add",
    "append",
    "appendleft",
    "extend",
    "insert",
    "put",
    "put_nowait",
    "push",
    "register",
    "set",
    "setdefault",
    "update",
    "__setitem__",
];
/// Methods that remove from a container.
pub(super) const REMOVING: [&str; 8] =
    ["clear", "discard", "pop", "popitem", "popleft", "remove", "unregister", "__delitem__"];
/// The module of [`EXIT_CALLBACKS`], which have no other name.
const ATEXIT: &str = "atexit";
/// Functions that are kept; some may only read.
const MAX_LISTED: usize = 32;

/// The functions that name the container of a leak, those that most likely add to it first, and the program's functions that name the object
/// that has it.
#[derive(Debug, Clone, Default)]
pub struct Mentions {
    /// How code refers to what grows.
    pub(super) name: Option<NameInCode>,
    container: Vec<Mention>,
    object: Vec<ObjectMention>,
}

/// How code refers to what grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameInCode {
    /// By the name of the container.
    Container(Arc<str>),
    /// By a variable that got its value from what has this name: what grows are containers in it.
    Within(Arc<str>),
    /// By the attribute that links the objects of a chain; with the name of its holder.
    Link(Arc<str>, Option<Arc<str>>),
}

impl NameInCode {
    /// How code refers to what grows; `None` if it has no name there.
    pub fn read<M: Memory>(
        names: &mut NameReader<'_, '_, M>,
        holders: &Holders<'_>,
        candidate: &Candidate,
    ) -> Option<Self> {
        let name = container_part(&candidate.leak).map(Arc::from);
        if let Some(link) = link_name(names, holders, candidate) {
            return Some(Self::Link(link, name));
        }
        let name = name?;
        let (graph, paths) = (holders.graph(), holders.paths());
        let is_container = |node: NodeId| graph.type_of(node).is_some_and(has_items);
        // A container in another one of the same place has no name of its own.
        let is_within = candidate.container.is_some_and(|node| {
            let outer = paths.parent(node).filter(|&outer| is_container(node) && is_container(outer));
            outer.is_some_and(|outer| {
                holders.holder(outer).is_some() && holders.holder(outer) == holders.holder(node)
            })
        });
        Some(if is_within { Self::Within(name) } else { Self::Container(name) })
    }

    /// The names of which code that refers to it has one.
    fn all(&self) -> impl Iterator<Item = &str> {
        let holder = match self {
            Self::Link(_, holder) => holder.as_deref(),
            Self::Container(_) | Self::Within(_) => None,
        };
        std::iter::once(self.name()).chain(holder)
    }

    /// The name itself.
    pub fn name(&self) -> &str {
        match self {
            Self::Container(name) | Self::Within(name) | Self::Link(name, _) => name,
        }
    }
}

/// A function of the program that names the object that has a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectMention {
    /// Whether it has only a variable of that name, while the holder is a module or another function: mostly another object.
    pub is_namesake: bool,
    /// Its first line.
    pub function: CodeLine,
}

/// A function that names a container. The order is that of likelihood: the program's own code and that of the container's owner come before
/// other packages, and what names a way to add before the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mention {
    /// Whether it belongs to a package that does not own the container.
    pub is_foreign: bool,
    /// Whether it names no way to add.
    lacks_way: bool,
    /// Its relation to the owner of the container.
    pub closeness: Closeness,
    /// Its first line.
    pub function: CodeLine,
}

impl Mention {
    /// Whether it is a method that sets up an object.
    pub(super) fn is_initializer(&self) -> bool {
        self.function.function.ends_with("__init__")
    }
}

impl Mentions {
    /// All that name the container.
    pub(super) fn of_container(&self) -> &[Mention] {
        &self.container
    }

    /// The program's functions that name the object that has it, namesakes last.
    pub(super) fn of_object(&self) -> &[ObjectMention] {
        &self.object
    }

    /// Those that are as likely to add as the first one: where some name a way to add, the others most likely read only.
    pub fn most_likely(&self) -> impl Iterator<Item = &CodeLine> {
        let rank = |mention: &Mention| (mention.is_foreign, mention.lacks_way, mention.closeness);
        let best = self.container.first().map(rank);
        self.container
            .iter()
            .filter(move |mention| Some(rank(mention)) == best)
            .map(|mention| &mention.function)
    }
}

/// Finds the functions that name the containers of leaks. Keys are mostly set by subscripts, which have no name.
pub(super) fn find_mentions<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    graph: &ObjectGraph<'_>,
    codes: &[NodeId],
    leaks: &[(&Leak, Option<NameInCode>, ContainerOwner)],
) -> Vec<Mentions> {
    let of_leak = |(_, name, _): &(&Leak, Option<NameInCode>, ContainerOwner)| Mentions {
        name: name.clone(),
        ..Mentions::default()
    };
    let mut found: Vec<Mentions> = leaks.iter().map(of_leak).collect();
    for code in codes.iter().filter_map(|&code| graph.address(code)) {
        let mentioned = names.names_in_code(code);
        for ((leak, name, owner), found) in leaks.iter().zip(&mut found) {
            let container = name.as_ref().filter(|name| name.all().any(|wanted| mentioned.has(wanted)));
            let object = object_part(leak).filter(|wanted| mentioned.has(wanted));
            if container.is_none() && object.is_none() {
                continue;
            }
            let Some(function) = read_definition(names.objects(), code).map(code_line) else { continue };
            if let Some(object) = object.filter(|_| !function.is_library()) {
                let is_used = mentioned.others.iter().any(|name| &**name == object);
                let is_namesake = !is_used && !is_in_function(&leak.holder, &function.function);
                found.object.push(ObjectMention { is_namesake, function: function.clone() });
            }
            let Some(wanted) = container.map(NameInCode::name) else { continue };
            let ways: &[&str] = if wanted == ATEXIT { &["register"] } else { &ADDING };
            let is_stored =
                leak.growth_mode == GrowthMode::KeysSet || matches!(name, Some(NameInCode::Link(..)));
            let adds = is_stored || ways.iter().any(|way| mentioned.has(way));
            let closeness = owner.closeness(&function);
            let is_foreign = closeness == Closeness::Elsewhere && function.is_library();
            found.container.push(Mention { is_foreign, lacks_way: !adds, closeness, function });
        }
    }
    for mentions in &mut found {
        mentions.container.sort();
        mentions.container.truncate(MAX_LISTED);
        mentions.object.sort();
        mentions.object.truncate(MAX_LISTED);
    }
    found
}

/// The name by which code refers to the object that has the container of a leak as an attribute, if the name of the holder says it.
pub(super) fn object_part(leak: &Leak) -> Option<&str> {
    object_in(&leak.holder).filter(|_| leak.container_name.is_none())
}

/// The name of the object whose attribute a holder is.
fn object_in(holder: &str) -> Option<&str> {
    let (object, _) = holder.rsplit_once('.')?;
    let name = name_in_code(object).filter(|_| object.contains('.'))?;
    // Methods of a module or class do not add to it.
    (!name.starts_with("__") && !name.starts_with(char::is_uppercase)).then_some(name)
}

/// Whether a holder is a variable of a function, or of one that this function is defined in. Before Python 3.11 the names of functions lack
/// that.
fn is_in_function(holder: &str, function: &str) -> bool {
    let Some((outer, _)) = holder.split_once("() local ") else { return false };
    let outer = outer.rsplit('.').next().unwrap_or(outer);
    function.split('.').any(|part| part == outer)
}

/// The name by which code refers to the container of a leak.
pub(super) fn container_part(leak: &Leak) -> Option<&str> {
    name_in_code(leak.container_or_holder())
}

/// The name by which code refers to a holder; `None` if it has no name there.
pub(super) fn name_in_code(holder: &str) -> Option<&str> {
    match holder {
        EXIT_CALLBACKS => return Some(ATEXIT),
        GREENLETS | FORK_CALLBACKS | AUDIT_HOOKS | CODEC_ERRORS | CODECS => return None,
        _ => {}
    }
    let name = holder.split(" (").next()?;
    let last = name.rsplit(['.', ' ']).next()?;
    let is_name = last.starts_with(|first: char| first.is_alphabetic() || first == '_');
    (is_name && !name.starts_with("cache of ") && !name.starts_with('(')).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::{ATEXIT, EXIT_CALLBACKS, GREENLETS, is_in_function, name_in_code, object_in};

    #[test]
    fn function_that_has_a_holder() {
        let holder = "__main__.main() local queue._items";
        assert!(is_in_function(holder, "main") && is_in_function(holder, "main.<locals>.produce"));
        assert!(!is_in_function(holder, "remain") && !is_in_function("__main__.queue._items", "main"));
        assert!(is_in_function("shop.Cart.fill() local items", "Cart.fill"));
    }

    #[test]
    fn object_whose_attribute_a_holder_is() {
        assert_eq!(object_in("__main__.inbox._queue"), Some("inbox"));
        assert_eq!(object_in("__main__.session.cookies._cookies"), Some("cookies"));
        for holder in ["__main__.kept", "shop.Cart.items", "linecache.cache", "(no known referrer)"] {
            assert_eq!(object_in(holder), None, "{holder}");
        }
    }

    #[test]
    fn last_name_of_a_holder() {
        assert_eq!(name_in_code("__main__.bot.sessions"), Some("sessions"));
        assert_eq!(name_in_code("__main__.run() local kept"), Some("kept"));
        assert_eq!(name_in_code("aiohttp.CookieJar._cookies (jar, a local of main)"), Some("_cookies"));
        assert_eq!(name_in_code(EXIT_CALLBACKS), Some(ATEXIT));
        assert_eq!(name_in_code("cache of shop.price"), None);
        assert_eq!(name_in_code("(no known referrer)"), None);
        assert_eq!(name_in_code(GREENLETS), None);
    }
}
