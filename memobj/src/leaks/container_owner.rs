//! The class or module that has a container as an attribute: its code is the first to look at.

use common::record::CodeLine;
use memobj_cpython::heap::builtins::{Builtin, Growth};
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;
use crate::names::modules::{Module, read_file};

/// Containers within containers that are followed to their owner.
const MAX_DEPTH: usize = 8;
/// Base classes of an owner.
const MAX_BASES: usize = 32;

/// The relation of a function to the owner of a container, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// A method of its class.
    Method,
    /// In its file.
    File,
    /// Elsewhere, or the owner is unknown.
    Elsewhere,
}

/// The owner of a container.
#[derive(Debug, Default)]
pub(super) struct ContainerOwner {
    /// The qualified names of its class and their bases; none for a module.
    classes: Vec<String>,
    /// The file of its module.
    file: Option<String>,
}

impl ContainerOwner {
    /// Finds the owner of a container, which may be in other containers; one without class and file if there is none.
    pub fn read<M: Memory>(
        names: &mut NameReader<'_, '_, M>,
        holders: &Holders<'_>,
        container: NodeId,
    ) -> Self {
        let graph = holders.graph();
        let before = |node: NodeId| holders.paths().parent(node);
        for node in std::iter::successors(before(container), |&node| before(node)).take(MAX_DEPTH) {
            let (Some(at), Some(of)) = (graph.address(node), graph.type_of(node)) else { break };
            if of.kind == Some(Builtin::Module) {
                return Self { classes: Vec::new(), file: file_of(names, holders, |module| module.at == at) };
            }
            let class = if of.is_metatype() { names.class(at) } else { names.class(of.at) };
            if let Some(class) = class.filter(|_| of.is_metatype() || of.class.is_some()) {
                let file = file_of(names, holders, |module| *module.name == *class.module);
                return Self { classes: class_names(names, class.at), file };
            }
            if of.kind.is_none_or(|kind| kind.growth() == Growth::Fixed) {
                break;
            }
        }
        Self::default()
    }

    /// The relation of a function to the owner. Before Python 3.11 the names of functions lack their class.
    pub fn closeness(&self, function: &CodeLine) -> Closeness {
        let class = function.function.rsplit_once('.').map(|(class, _)| class);
        if class.is_some_and(|class| self.classes.iter().any(|known| known == class)) {
            Closeness::Method
        } else if self.file.as_deref() == Some(&*function.file) {
            Closeness::File
        } else {
            Closeness::Elsewhere
        }
    }
}

/// The file of the first module for which `test` holds.
fn file_of<M: Memory>(
    names: &NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    test: impl Fn(&Module) -> bool,
) -> Option<String> {
    let module = holders.modules().list().iter().find(|module| test(module))?;
    read_file(names.objects(), module.dict)
}

/// The qualified names of a class and its first bases.
fn class_names<M: Memory>(names: &mut NameReader<'_, '_, M>, class: Addr) -> Vec<String> {
    let (objects, known) = (names.objects(), &names.python().layout.type_object);
    let chain = std::iter::successors(Some(class), |&at| objects.read_pointer(at, known.tp_base));
    chain.take(MAX_BASES).map_while(|at| Some(names.class(at)?.qualname.clone())).collect()
}
