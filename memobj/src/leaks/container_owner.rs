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
    /// Its class and the bases of that; none for a module.
    classes: Vec<OwnerClass>,
    /// The file of its module.
    file: Option<String>,
}

/// A class of an owner.
#[derive(Debug)]
struct OwnerClass {
    qualname: String,
    /// The file of its module; `None` if that has none.
    file: Option<String>,
}

impl OwnerClass {
    /// Whether a function is a method of it. The files of code and of its module may be in different folders: of code that was moved after
    /// it was compiled.
    fn has(&self, function: &CodeLine) -> bool {
        let is_of_class = function.function.rsplit_once('.').is_some_and(|(class, _)| class == self.qualname);
        let is_of_file = |file: &str| file.rsplit('/').next() == function.file.rsplit('/').next();
        is_of_class && self.file.as_deref().is_none_or(is_of_file)
    }
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
                let classes = classes(names, holders, class.at);
                return Self { file: classes.first().and_then(|class| class.file.clone()), classes };
            }
            if of.kind.is_none_or(|kind| kind.growth() == Growth::Fixed) {
                break;
            }
        }
        Self::default()
    }

    /// The relation of a function to the owner. Before Python 3.11 the names of functions lack their class.
    pub fn closeness(&self, function: &CodeLine) -> Closeness {
        if self.classes.iter().any(|class| class.has(function)) {
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

/// A class and its first bases.
fn classes<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    class: Addr,
) -> Vec<OwnerClass> {
    let (objects, known) = (names.objects(), &names.python().layout.type_object);
    let chain = std::iter::successors(Some(class), |&at| objects.read_pointer(at, known.tp_base));
    let read = |at| {
        let (module, qualname) =
            names.class(at).map(|class| (class.module.clone(), class.qualname.clone()))?;
        Some(OwnerClass { qualname, file: file_of(names, holders, |known| *known.name == *module) })
    };
    chain.take(MAX_BASES).map_while(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_is_of_the_classes_file() {
        let classes =
            vec![OwnerClass { qualname: "Event".to_owned(), file: Some("/lib/event.py".to_owned()) }];
        let owner = ContainerOwner { classes, file: Some("/lib/event.py".to_owned()) };
        let closeness = |function: &str, file: &str| {
            owner.closeness(&CodeLine { function: function.into(), file: file.into(), line: Some(1) })
        };
        assert_eq!(closeness("Event.wait", "/lib/event.py"), Closeness::Method);
        assert_eq!(closeness("Event.wait", "/build/event.py"), Closeness::Method, "moved");
        assert_eq!(
            closeness("Event.wait", "/lib/locks.py"),
            Closeness::Elsewhere,
            "another class of that name"
        );
        assert_eq!(closeness("wait", "/lib/event.py"), Closeness::File);
    }
}
