//! Code that may add to a container: functions that name it together with a way to add.
//!
//! That is no proof. It is what can be said where no addition was seen.

use std::sync::Arc;

use common::record::{CodeLine, EXIT_CALLBACKS, GREENLETS, GrowthMode, Leak};
use memobj_cpython::runtime::bytecode::Instruction;
use memobj_process::memory::Memory;

use crate::graph::NodeId;
use crate::names::NameReader;
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
/// Functions that are listed; some may only read.
const MAX_LISTED: usize = 16;

/// Lists for each leak the functions that name its container: those that also name a way to add first, and the program's own before those of
/// packages. Keys are mostly set by subscripts, which have no name.
pub(super) fn list_candidates<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    graph: &ObjectGraph<'_>,
    codes: &[NodeId],
    leaks: &mut [&mut Leak],
) {
    let mut found: Vec<Vec<(bool, bool, CodeLine)>> = vec![Vec::new(); leaks.len()];
    for code in codes.iter().filter_map(|&code| graph.address(code)) {
        let mentioned = names.names_in_code(code);
        for (leak, found) in leaks.iter().zip(&mut found) {
            let Some(wanted) = container_part(leak) else { continue };
            if !mentioned.iter().any(|name| &**name == wanted) {
                continue;
            }
            let ways: &[&str] = if wanted == ATEXIT { &["register"] } else { &ADDING };
            let adds = leak.growth_mode == GrowthMode::KeysSet
                || mentioned.iter().any(|name| ways.contains(&&**name));
            let location = Instruction { code, offset: 0 }.read_location(names.objects());
            let Some(location) = location else { continue };
            let file: Arc<str> = location.file.into();
            let line = CodeLine { function: location.function.into(), line: location.line, file };
            found.push((line.is_library(), !adds, line));
        }
    }
    for (leak, mut found) in leaks.iter_mut().zip(found) {
        found.sort();
        // Whether one removes, its source must say: `del` has no name.
        leak.removers = found.iter().map(|(.., line)| line.clone()).take(MAX_LISTED).collect();
        // Where some name a way to add, the others most likely read only.
        let best = found.first().map(|&(is_library, lacks, _)| (is_library, lacks));
        found.retain(|&(is_library, lacks, _)| Some((is_library, lacks)) == best);
        leak.candidates = found.into_iter().map(|(.., line)| line).take(MAX_LISTED).collect();
    }
}

/// The name by which code refers to the container of a leak.
pub(super) fn container_part(leak: &Leak) -> Option<&str> {
    name_in_code(leak.container_or_holder())
}

/// The name by which code refers to a holder; `None` if it has no name there.
pub(super) fn name_in_code(holder: &str) -> Option<&str> {
    match holder {
        EXIT_CALLBACKS => return Some(ATEXIT),
        GREENLETS => return None,
        _ => {}
    }
    let name = holder.split(" (").next()?;
    let last = name.rsplit(['.', ' ']).next()?;
    let is_name = last.starts_with(|first: char| first.is_alphabetic() || first == '_');
    (is_name && !name.starts_with("cache of ") && !name.starts_with('(')).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::{ATEXIT, EXIT_CALLBACKS, GREENLETS, name_in_code};

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
