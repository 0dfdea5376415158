//! Loaded modules, and whether they belong to the standard library.

use std::collections::HashMap;
use std::sync::Arc;

use memobj_cpython::object::Objects;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::NameReader;

/// The place that a module was loaded from. Later ones import earlier ones, hardly ever the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The standard library.
    Standard,
    /// An installed package.
    Installed,
    /// Anywhere else: the program.
    Program,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its address.
    pub at: Addr,
    /// Its name in `sys.modules`.
    pub name: Arc<str>,
    /// Its `__dict__`; null if it has none.
    pub dict: Addr,
    /// The place that it was loaded from.
    pub origin: Origin,
    /// Whether its file is a library in C.
    pub is_extension: bool,
}

/// The package of a module: the first part of its name.
pub fn package_of(module: &str) -> &str {
    module.split_once('.').map_or(module, |(package, _)| package)
}

/// The modules of all interpreters.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    list: Vec<Module>,
    by_address: HashMap<Addr, usize>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Modules {
    /// Reads `sys.modules` of every interpreter. A module with two names has the first one.
    pub fn read<M: Memory>(names: &mut NameReader<'_, '_, M>) -> Self {
        let mut modules = Self::default();
        let layout = names.python().layout;
        let objects = names.objects();
        for &interpreter in &names.python().interpreters.clone() {
            let Some(dict) = objects.read_pointer(interpreter, layout.interpreter_state.modules) else {
                continue;
            };
            let library = read_library(objects, dict);
            for (name, at) in objects.read_pairs(dict, usize::MAX) {
                let Some(name) = names.text(name) else { continue };
                if modules.by_address.contains_key(&at) {
                    continue;
                }
                let dict = objects.read_module_dict(at).unwrap_or(Addr::NULL);
                // `typing.io` is a class in the place of a module.
                let is_of_standard = dict.is_null()
                    && name.rsplit_once('.').is_some_and(|(parent, _)| modules.is_standard(parent));
                let file = read_file(objects, dict);
                let is_extension = file.as_deref().is_some_and(|file| file.ends_with(".so"));
                let origin = match &*name {
                    "__main__" => Origin::Program,
                    _ if is_of_standard => Origin::Standard,
                    _ => read_origin(names, dict, file.as_deref(), library.as_deref()),
                };
                modules.by_address.insert(at, modules.list.len());
                modules.by_name.entry(Arc::clone(&name)).or_insert(modules.list.len());
                modules.list.push(Module { at, name, dict, origin, is_extension });
            }
        }
        modules
    }

    /// All of them, in the order in which they were loaded.
    pub fn list(&self) -> &[Module] {
        &self.list
    }

    /// The module at `at`.
    pub fn get(&self, at: Addr) -> Option<&Module> {
        self.list.get(*self.by_address.get(&at)?)
    }

    /// Whether a loaded module belongs to the standard library.
    pub fn is_standard(&self, name: &str) -> bool {
        self.origin(name) == Some(Origin::Standard)
    }

    /// The place that a loaded module was loaded from.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.list.get(self.number(name)?).map(|module| module.origin)
    }

    /// The number of a loaded module in the list.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// The file of the module with this `__dict__`; `None` if it has none.
pub fn read_file(objects: Objects<'_>, dict: Addr) -> Option<String> {
    objects.read_name(objects.read_item(dict, "__file__")?)
}

/// Reads the place that a module was loaded from. It belongs to the standard library if its file is in the folder of `os` and not in
/// `site-packages`; or if it has neither file nor folder and a `__spec__`, so it is built in.
fn read_origin<M: Memory>(
    names: &NameReader<'_, '_, M>,
    dict: Addr,
    file: Option<&str>,
    library: Option<&str>,
) -> Origin {
    let objects = names.objects();
    let Some(file) = file else {
        let is_there = |name: &str| objects.read_item(dict, name).is_some_and(|item| !objects.is_none(item));
        let is_built_in = is_there("__spec__") && !is_there("__path__");
        return if is_built_in { Origin::Standard } else { Origin::Program };
    };
    origin_of_file(file, library)
}

/// The folder of the standard library, by `sys.modules`: that of `os`, with a slash at its end.
pub(super) fn read_library(objects: Objects<'_>, modules: Addr) -> Option<String> {
    let dict = objects.read_module_dict(objects.read_item(modules, "os")?)?;
    let file = objects.read_name(objects.read_item(dict, "__file__")?)?;
    file.rsplit_once('/').map(|(folder, _)| format!("{folder}/"))
}

/// The place that a file with code was loaded from.
pub(super) fn origin_of_file(file: &str, library: Option<&str>) -> Origin {
    if file.contains("/site-packages/") || file.contains("/dist-packages/") {
        return Origin::Installed;
    }
    let is_of_library = library.is_some_and(|library| file.starts_with(library));
    if is_of_library { Origin::Standard } else { Origin::Program }
}
