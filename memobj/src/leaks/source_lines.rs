//! The line of a candidate that adds: in the source of its function, the first one that stores into the holder or calls a method that adds.
//!
//! Code objects do not say that without a table of opcodes for each version, and the source is mostly there. What cannot be read, or does
//! not look like Python, is left as it is.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use common::record::{CodeLine, Leak};

use super::mentions::{ADDING, container_part};

/// Candidates that are reported.
const MAX_CANDIDATES: usize = 3;
/// Longer files are not read.
const MAX_BYTES: u64 = 4 << 20;

/// Replaces the first lines of the candidates by the lines that add, as far as the sources of process `pid` show them. Functions that
/// only read the holder are left out where others add to it.
pub fn find_adding_lines(pid: u32, leaks: &mut [Leak]) {
    for leak in leaks.iter_mut().filter(|leak| !leak.candidates.is_empty()) {
        let Some(name) = container_part(leak).map(str::to_owned) else { continue };
        let adding: Vec<Option<CodeLine>> = leak
            .candidates
            .iter()
            .map(|candidate| {
                let line = adding_line(&read_source(pid, &candidate.file)?, candidate.line?, &name)?;
                Some(CodeLine { line: Some(line), ..candidate.clone() })
            })
            .collect();
        if adding.iter().any(Option::is_some) {
            leak.candidates = adding.into_iter().flatten().collect();
        }
        leak.candidates.truncate(MAX_CANDIDATES);
    }
}

/// Reads a source file as the process sees it.
fn read_source(pid: u32, file: &str) -> Option<String> {
    let base = if file.starts_with('/') { "root" } else { "cwd" };
    let path: PathBuf =
        Path::new("/proc").join(pid.to_string()).join(base).join(file.trim_start_matches('/'));
    let facts = fs::metadata(&path).ok().filter(|facts| facts.is_file() && facts.len() <= MAX_BYTES)?;
    // It may have been replaced by a pipe meanwhile.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).ok()?;
    let mut text = String::new();
    opened.take(facts.len()).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The first line of the function that begins on the line `first` in which something is added to `name`.
fn adding_line(source: &str, first: u32, name: &str) -> Option<u32> {
    let mut lines = (1..).zip(source.lines()).skip(usize::try_from(first).ok()?.checked_sub(1)?);
    let indent = |line: &str| line.len().saturating_sub(line.trim_start().len());
    // Decorators come before it.
    let (_, head) = lines.by_ref().find(|(_, line)| {
        let text = line.trim_start();
        text.starts_with("def ") || text.starts_with("async def ") || text.contains("lambda")
    })?;
    if head.contains("lambda") {
        return adds(head, name).then_some(first);
    }
    let body = lines.take_while(|(_, line)| {
        let text = line.trim();
        text.is_empty() || text.starts_with(['#', ')']) || indent(line) > indent(head)
    });
    body.into_iter().find(|(_, line)| adds(line, name)).map(|(number, _)| number)
}

/// Whether a line of source adds to `name`: `name[…] =`, `name.append(`, `name +=`.
fn adds(line: &str, name: &str) -> bool {
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let code = line.split('#').next().unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let (before, rest) = code.split_at(at);
        let rest = rest.strip_prefix(name).unwrap_or_default();
        !before.ends_with(is_part) && !rest.starts_with(is_part) && is_addition(rest.trim_start())
    })
}

/// Whether what follows a name adds to it.
fn is_addition(rest: &str) -> bool {
    if let Some(rest) = rest.strip_prefix('.') {
        let method = rest.split('(').next().unwrap_or_default();
        return rest.contains('(') && ADDING.contains(&method.trim());
    }
    if let Some(rest) = rest.strip_prefix('[') {
        let mut depth = 1_u32;
        let end = rest.find(|c| {
            match c {
                '[' | '(' | '{' => depth = depth.saturating_add(1),
                ']' | ')' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let behind = end.and_then(|end| rest.get(end..)?.strip_prefix(']')).unwrap_or_default().trim_start();
        // An item that is a container itself: a key of a `defaultdict`.
        return behind.starts_with('.') && is_addition(behind)
            || behind.starts_with('=') && !behind.starts_with("==")
            || ["+=", "|=", "-="].iter().any(|operator| behind.starts_with(operator));
    }
    ["+=", "|="].iter().any(|operator| rest.starts_with(operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_recognized() {
        for line in [
            "CACHE[key] = value",
            "    self.CACHE[(a, b[0])] = 1  # keep",
            "CACHE.setdefault(key, []).append(1)",
            "CACHE [key] += 1",
            "if key not in seen: CACHE.add(key)",
            "CACHE |= other",
            "CACHE[key].append(value)",
            "x = CACHE.get(1); CACHE[1] = x",
        ] {
            assert!(adds(line, "CACHE"), "{line}");
        }
        for line in [
            "value = CACHE[key]",
            "CACHE[key] == value",
            "if CACHE.get(key) is None:",
            "MY_CACHE[key] = 1",
            "CACHES.append(1)",
            "# CACHE[key] = 1",
            "CACHE.pop(key)",
            "CACHE = {}",
            "CACHE[",
            "",
        ] {
            assert!(!adds(line, "CACHE"), "{line}");
        }
    }

    #[test]
    fn line_is_within_the_function() {
        let source = "CACHE = {}\n\n@decorated\ndef get(key):\n    return CACHE[key]\n\n\
                      async def put(\n    key,\n):\n    # first\n\n    CACHE[key] = 1\n    CACHE[key] = 2\n\
                      put = lambda k: CACHE.setdefault(k, 1)\nCACHE[0] = 1\n";
        let line = |first| adding_line(source, first, "CACHE");
        assert_eq!((line(3), line(4), line(7), line(14)), (None, None, Some(12), Some(14)));
        assert_eq!((line(0), line(99)), (None, None));
    }
}
