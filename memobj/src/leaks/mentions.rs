//! Code that may add to a container: functions that name it together with a way to add.
//!
//! That is no proof. It is what can be said where no addition was seen.

use std::sync::Arc;

use common::record::{CodeLine, GrowthMode, Leak};
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::runtime::bytecode::Instruction;
use memobj_process::memory::Memory;

use crate::graph::NodeId;
use crate::holders::Holders;
use crate::names::NameReader;

/// Methods that add to a container.
const ADDING: [&str; 13] = [
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
/// Functions that are listed.
const MAX_LISTED: usize = 3;

/// The functions that name the last part of the holder's name: those that also name a way to add first, and the program's own before those of
/// packages. Keys are mostly set by subscripts, which have no name.
pub(super) fn functions_that_name<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    codes: &[NodeId],
    leak: &Leak,
) -> Vec<CodeLine> {
    let Some(wanted) = last_part(&leak.holder) else { return Vec::new() };
    let mut found: Vec<(bool, bool, CodeLine)> = Vec::new();
    for &code in codes {
        let Some((is_named, adds)) = mentions(names, holders, code, wanted) else { continue };
        let at = holders.graph().address(code).filter(|_| is_named);
        let location = at.and_then(|code| Instruction { code, offset: 0 }.read_location(names.objects()));
        let Some(location) = location else { continue };
        let file: Arc<str> = location.file.into();
        let line = CodeLine { function: location.function.into(), line: location.line, file };
        found.push((line.is_library(), !adds && leak.growth_mode != GrowthMode::KeysSet, line));
    }
    found.sort();
    // Where some name a way to add, the others most likely read only.
    let best = found.first().map(|&(is_library, lacks, _)| (is_library, lacks));
    found.retain(|&(is_library, lacks, _)| Some((is_library, lacks)) == best);
    found.into_iter().map(|(.., line)| line).take(MAX_LISTED).collect()
}

/// Whether a code object names `wanted`, and whether it names a way to add.
fn mentions<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    holders: &Holders<'_>,
    code: NodeId,
    wanted: &str,
) -> Option<(bool, bool)> {
    let graph = holders.graph();
    let (mut is_named, mut adds) = (false, false);
    for &tuple in graph.references().targets(code) {
        if graph.type_of(tuple)?.kind != Some(Builtin::Tuple) {
            continue;
        }
        for &name in graph.references().targets(tuple) {
            if graph.type_of(name).and_then(|of| of.kind) != Some(Builtin::Str) {
                continue;
            }
            let Some(name) = graph.address(name).and_then(|name| names.text(name)) else { continue };
            is_named |= &*name == wanted;
            adds |= ADDING.contains(&&*name);
        }
    }
    Some((is_named, adds))
}

/// The last name in the name of a holder.
fn last_part(holder: &str) -> Option<&str> {
    let name = holder.split(" (").next()?;
    let last = name.rsplit(['.', ' ']).next()?;
    let is_name = last.starts_with(|first: char| first.is_alphabetic() || first == '_');
    (is_name && !name.starts_with("cache of ") && !name.starts_with('(')).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::last_part;

    #[test]
    fn last_name_of_a_holder() {
        assert_eq!(last_part("__main__.bot.sessions"), Some("sessions"));
        assert_eq!(last_part("__main__.run() local kept"), Some("kept"));
        assert_eq!(last_part("aiohttp.CookieJar._cookies (jar, a local of main)"), Some("_cookies"));
        assert_eq!(last_part("cache of shop.price"), None);
        assert_eq!(last_part("(no known referrer)"), None);
    }
}
