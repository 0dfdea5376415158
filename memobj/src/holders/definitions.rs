//! The module that defines an object which several modules have among their globals.
//!
//! `from cache import sessions` makes one dict a global of two modules. Its name is the one in the module that made it. A function, a
//! class and an instance of a class of that module say so themselves. For others the order of loading does: `sys.modules` has modules in
//! the order in which their loading ended (`_load_unlocked` in `Lib/importlib/_bootstrap.py`, 3.8 to 3.15, puts a module at the end
//! then), and an import ends before the importing module does.

use std::collections::{BTreeMap, HashMap, HashSet};

use memobj_cpython::heap::builtins::{Builtin, Content};
use memobj_cpython::heap::types::Type;
use memobj_process::memory::Memory;

use crate::graph::{NodeId, NodeSet};
use crate::names::NameReader;
use crate::names::modules::{Module, Modules};
use crate::object_graph::ObjectGraph;

/// Modules with one object that are compared with each other.
const MAX_USERS: usize = 64;
/// A function that wraps a function in more levels than this is a chain that grows, and no definition.
const MAX_WRAPPERS: usize = 8;

/// A global: the number of its module and its position in the module's dict.
type Global = (usize, usize);

/// The role of a type's objects among the globals of modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Holds nothing, or is a global of one module only.
    Ignored,
    Module,
    Function,
    Class,
    /// An instance; the number of the module that its class is of.
    Instance(Option<usize>),
}

/// The globals that modules only imported.
pub(super) struct Definitions {
    imported: HashSet<(NodeId, NodeId)>,
}

impl Definitions {
    /// Compares the globals of all modules.
    pub fn find<M: Memory>(
        graph: &ObjectGraph<'_>,
        modules: &Modules,
        names: &mut NameReader<'_, '_, M>,
    ) -> Self {
        let mut finder = DefinitionFinder::new(graph, modules);
        let shared = finder.read_globals(names);
        finder.resolve(names, &shared);
        Self { imported: finder.imported }
    }

    /// Whether the module with this dict only imported one of its globals.
    #[inline]
    pub fn is_imported(&self, dict: NodeId, object: NodeId) -> bool {
        self.imported.contains(&(dict, object))
    }
}

struct DefinitionFinder<'a, 'w> {
    graph: &'a ObjectGraph<'w>,
    modules: &'a Modules,
    roles: Vec<Role>,
    dicts: Vec<Option<NodeId>>,
    imported: HashSet<(NodeId, NodeId)>,
    /// The position of a submodule in its package, by the numbers of both.
    submodules: HashMap<(usize, usize), usize>,
}

impl<'a, 'w> DefinitionFinder<'a, 'w> {
    fn new(graph: &'a ObjectGraph<'w>, modules: &'a Modules) -> Self {
        let role = |of: &Type| match of.kind {
            _ if of.is_metatype() => Role::Class,
            Some(Builtin::Module) => Role::Module,
            Some(Builtin::Function) => Role::Function,
            Some(kind) if kind.content() == Content::Value => Role::Ignored,
            _ if !of.is_gc() => Role::Ignored,
            _ => Role::Instance(modules.number(&of.module).filter(|_| of.module != "builtins")),
        };
        let dicts: Vec<Option<NodeId>> =
            modules.list().iter().map(|module| graph.node(module.dict)).collect();
        Self {
            graph,
            modules,
            roles: graph.types().iter().map(|counted| role(&counted.ty)).collect(),
            dicts,
            imported: HashSet::new(),
            submodules: HashMap::new(),
        }
    }

    fn role(&self, node: NodeId) -> Role {
        self.roles.get(self.graph.type_index(node).0 as usize).copied().unwrap_or(Role::Ignored)
    }

    fn module(&self, number: usize) -> Option<&'a Module> {
        self.modules.list().get(number)
    }

    /// Reads which functions and modules each module imports. Returns other objects that are globals of several.
    fn read_globals<M: Memory>(&mut self, names: &NameReader<'_, '_, M>) -> BTreeMap<NodeId, Vec<Global>> {
        let globals = names.python().layout.function_object.func_globals;
        let (mut met, mut shared) = (NodeSet::new(self.graph.objects()), NodeSet::new(self.graph.objects()));
        let dicts: HashSet<NodeId> = self.dicts.iter().copied().flatten().collect();
        for (number, dict) in self.dicts.clone().into_iter().enumerate() {
            let Some(dict) = dict else { continue };
            for (position, &to) in self.graph.references().targets(dict).iter().enumerate() {
                match self.role(to) {
                    Role::Ignored => {}
                    Role::Module => self.add_module(number, position, to),
                    Role::Function => {
                        let at = self.graph.address(to);
                        let of = at.and_then(|at| names.objects().read_pointer(at, globals));
                        if of.and_then(|of| self.graph.node(of)).is_some_and(|of| of != dict) {
                            self.imported.insert((dict, to));
                        }
                    }
                    Role::Class | Role::Instance(_) if dicts.contains(&to) => {}
                    Role::Class | Role::Instance(_) if met.contains(to) => shared.insert(to),
                    Role::Class | Role::Instance(_) => met.insert(to),
                }
            }
        }
        let mut uses: BTreeMap<NodeId, Vec<Global>> = BTreeMap::new();
        for (number, dict) in self.dicts.iter().enumerate() {
            let targets = dict.map(|dict| self.graph.references().targets(dict)).unwrap_or_default();
            for (position, &to) in targets.iter().enumerate().filter(|&(_, &to)| shared.contains(to)) {
                let users = uses.entry(to).or_default();
                // A second name in the same module is no other user.
                if users.last().is_none_or(|&(last, _)| last != number) {
                    users.push((number, position));
                }
            }
        }
        uses.retain(|_, users| users.len() > 1);
        uses
    }

    /// Notes the position of a submodule among the globals of its package.
    fn add_module(&mut self, number: usize, position: usize, to: NodeId) {
        let found = self.graph.address(to).and_then(|at| self.modules.get(at));
        let Some((found, module)) = found.zip(self.module(number)) else { return };
        let Some(other) = self.modules.number(&found.name) else { return };
        if found.name.strip_prefix(&*module.name).is_some_and(|rest| rest.starts_with('.')) {
            self.submodules.insert((number, other), position);
        }
    }

    /// Finds the module that defines each object; for all others it is imported.
    fn resolve<M: Memory>(
        &mut self,
        names: &mut NameReader<'_, '_, M>,
        shared: &BTreeMap<NodeId, Vec<Global>>,
    ) {
        for (&object, users) in shared {
            let home = match self.role(object) {
                Role::Instance(home) => home,
                _ => self
                    .graph
                    .address(object)
                    .and_then(|at| names.class(at))
                    .and_then(|of| self.modules.number(&of.module)),
            };
            let home = home.filter(|&home| users.iter().any(|&(user, _)| user == home));
            let Some(home) = home.or_else(|| self.first_home(users)) else { continue };
            for &(user, _) in users.iter().filter(|&&(user, _)| user != home) {
                if let Some(dict) = self.dicts.get(user).copied().flatten() {
                    self.imported.insert((dict, object));
                }
            }
        }
    }

    /// The module that had an object first, by the order of loading. The main module never ends loading, and hardly ever are its objects
    /// imported.
    fn first_home(&self, users: &[Global]) -> Option<usize> {
        let users = users.get(..MAX_USERS).unwrap_or(users);
        let rank = |&(user, _): &Global| {
            self.module(user).map(|module| (module.origin, &*module.name == "__main__", user))
        };
        let takes = |&a: &Global| users.iter().any(|&b| self.takes_from_package(a, b));
        let first = users.iter().filter(|user| !takes(user)).min_by_key(|user| rank(user));
        first.or_else(|| users.iter().min_by_key(|user| rank(user))).map(|&(user, _)| user)
    }

    /// Whether a submodule got an object from its package, which has it before the submodule.
    fn takes_from_package(&self, submodule: Global, package: Global) -> bool {
        let position = self.submodule_towards(package.0, submodule.0);
        position.is_some_and(|position| position > package.1)
    }

    /// The position in a package of the submodule that is, or leads to, another module.
    fn submodule_towards(&self, package: usize, other: usize) -> Option<usize> {
        let (package_name, other) = (&self.module(package)?.name, &self.module(other)?.name);
        let rest = other.strip_prefix(&**package_name)?.strip_prefix('.')?;
        let first = rest.split('.').next().unwrap_or_default();
        let submodule = self.modules.number(&format!("{package_name}.{first}"))?;
        self.submodules.get(&(package, submodule)).copied()
    }
}

/// Whether a function wraps a function, that another one, and so on, in more than [`MAX_WRAPPERS`] levels.
pub(super) fn is_long_chain(graph: &ObjectGraph<'_>, function: NodeId) -> bool {
    let kind = |node: NodeId| graph.type_of(node).and_then(|of| of.kind);
    let targets = |node: NodeId| graph.references().targets(node).iter().copied();
    let wrapped = |function: NodeId| {
        let closures = targets(function).filter(|&to| kind(to) == Some(Builtin::Tuple));
        let cells = closures.flat_map(targets);
        cells.flat_map(targets).find(|&to| kind(to) == Some(Builtin::Function) && to != function)
    };
    std::iter::successors(Some(function), |&function| wrapped(function)).nth(MAX_WRAPPERS).is_some()
}
