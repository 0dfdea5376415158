//! Lines of source that add to a container or remove from it: those that store into it by its name, or call a method of it that does.
//!
//! Code objects do not say that without a table of opcodes for each version, and the source is mostly there. What cannot be read, or does
//! not look like Python, is left as it is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::record::{AddingLine, Additions, CodeLine, GrowthMode, Leak};

use super::container_owner::Closeness;
use super::line_effects::{
    adds, adds_to_any, assigns, assigns_attribute, is_call, line_within, names, occurrences, remakes, removes,
};
use super::mentions::{ADDING, Mention, Mentions, NameInCode, container_part, object_part};
use super::sleepers::is_in_removing_loop;

/// Candidates that are reported, and functions that remove.
const MAX_CANDIDATES: usize = 3;
/// Longer files are not read.
const MAX_BYTES: u64 = 4 << 20;

/// Finds the lines that add to the containers of leaks and remove from them in the functions that name those, as far as the sources of
/// process `pid` show them. Corrects likely lines as [`correct_likely_lines`] does.
///
/// `sleeping` are the lines where the program slept nearly all the time.
pub fn find_lines(pid: u32, leaks: &mut [Leak], mentions: &[(usize, Mentions)], sleeping: &[CodeLine]) {
    let mut sources = Sources::new(pid);
    for (number, mentions) in mentions {
        let Some(leak) = leaks.get_mut(*number) else { continue };
        let Some(place) = &mentions.name else { continue };
        let name = place.name();
        if leak.is_made_anew {
            leak.candidates = sources.assigning_lines(mentions, name);
        }
        if leak.candidates.is_empty() {
            let is_replaced = matches!(leak.growth_mode, GrowthMode::Enlarged | GrowthMode::Linked);
            leak.candidates = sources.adding_lines(mentions, place, is_replaced);
        }
        // Functions that only read are left out where others add. Those of libraries are many, and hardly ever the cause.
        if leak.candidates.is_empty() {
            leak.candidates = mentions.most_likely().filter(|line| !line.is_library()).cloned().collect();
        }
        leak.candidates.truncate(MAX_CANDIDATES);
        leak.removers = sources.lines_that(mentions.of_container().iter(), |line| removes(line, name));
        if leak.freed == 0 {
            leak.sleeping_remover = sources.sleeping_remover(sleeping, &leak.removers, name);
        }
        leak.removers.truncate(MAX_CANDIDATES);
        // The program's own code adds through a method of the library's object.
        if let Some(object) = object_part(leak).filter(|_| leak.candidates.iter().all(CodeLine::is_library)) {
            // A method that adds may have a name of its own, and a public one that calls it.
            let names = leak.candidates.iter().filter_map(|line| line.function.rsplit('.').next());
            let ways: Vec<&str> = names.map(|name| name.trim_start_matches('_')).chain(ADDING).collect();
            let calls = |line: &str| occurrences(line, object).any(|(_, rest)| is_call(rest, &ways));
            let callers = [false, true].map(|is_namesake| {
                let alike = mentions.of_object().iter().filter(|mention| mention.is_namesake == is_namesake);
                let calling = alike
                    .filter_map(|mention| sources.line_in(&mention.function, |body| first_that(body, calls)));
                calling.collect::<Vec<CodeLine>>()
            });
            leak.callers = callers.into_iter().find(|lines| !lines.is_empty()).unwrap_or_default();
            leak.callers.truncate(MAX_CANDIDATES);
        }
    }
    correct_lines(&mut sources, leaks);
}

/// Replaces likely lines that add to nothing: by the one line of their function that adds to the container, or else by the one line of all
/// that does, where the sources of process `pid` show just one. The word that pointed to the likely line was left over from an instruction
/// before, or was of a caller.
pub fn correct_likely_lines(pid: u32, leaks: &mut [Leak]) {
    correct_lines(&mut Sources::new(pid), leaks);
}

fn correct_lines(sources: &mut Sources, leaks: &mut [Leak]) {
    for leak in leaks {
        let Some(name) = container_part(leak).map(str::to_owned) else { continue };
        if let Some(additions) = &mut leak.additions {
            sources.correct_lines(additions, &name, &leak.candidates);
        }
    }
}

/// The sources of a process, each read once.
struct Sources {
    pid: u32,
    texts: BTreeMap<Arc<str>, Option<String>>,
}

impl Sources {
    const fn new(pid: u32) -> Self {
        Self { pid, texts: BTreeMap::new() }
    }

    /// The source of a file, as the process sees it.
    fn text(&mut self, file: &Arc<str>) -> Option<&str> {
        let pid = self.pid;
        self.texts.entry(Arc::clone(file)).or_insert_with(|| read_source(pid, file)).as_deref()
    }

    /// The lines that add to what grows.
    fn adding_lines(&mut self, mentions: &Mentions, place: &NameInCode, is_replaced: bool) -> Vec<CodeLine> {
        let all = || mentions.of_container().iter();
        let name = place.name();
        if let NameInCode::Link(_, holder) = place {
            return self.linking_lines(mentions, name, holder.as_deref());
        }
        let within = |body: &[(u32, &str)]| line_within(body, name);
        let mut found = match place {
            NameInCode::Within(_) => self.lines_by(all(), within),
            _ => Vec::new(),
        };
        if found.is_empty() {
            found = self.lines_that(all(), |line| adds(line, name));
        }
        if found.is_empty() && is_replaced {
            found = self.remaking_lines(mentions, name);
        }
        if found.is_empty() { self.lines_by(all(), within) } else { found }
    }

    /// The lines that link an object to another one by the attribute `link`: in functions that name the holder of the chain, or else those that
    /// put a new object before the chain, or else all.
    fn linking_lines(&mut self, mentions: &Mentions, link: &str, holder: Option<&str>) -> Vec<CodeLine> {
        // What an object begins with is no link to another one.
        let own = || mentions.of_container().iter().filter(|mention| !mention.is_initializer());
        let links = |body: &[(u32, &str)]| first_that(body, |line| assigns_attribute(line, link));
        let mut found = Vec::new();
        if let Some(holder) = holder {
            let is_named = |body: &[(u32, &str)]| body.iter().any(|(_, line)| names(line, holder));
            found = self.lines_by(own(), |body| links(body).filter(|_| is_named(body)));
            if found.is_empty() {
                found = self.remaking_lines(mentions, holder);
            }
        }
        if found.is_empty() { self.lines_by(own(), links) } else { found }
    }

    /// The lines that give `name` a value: those that make it from the old one, if there are any, and not what an object begins with.
    fn assigning_lines(&mut self, mentions: &Mentions, name: &str) -> Vec<CodeLine> {
        let remaking = self.remaking_lines(mentions, name);
        if remaking.is_empty() {
            let own = mentions.of_container().iter().filter(|mention| !mention.is_initializer());
            self.lines_that(own, |line| assigns(line, name))
        } else {
            remaking
        }
    }

    /// The lines that make a new value of `name` from the old one, in functions that do not remove from it. If any gives that value to an
    /// attribute, the others only have a variable of that name.
    fn remaking_lines(&mut self, mentions: &Mentions, name: &str) -> Vec<CodeLine> {
        let mut lines = |test: &dyn Fn(&str) -> bool| {
            self.lines_by(mentions.of_container().iter(), |body| {
                let is_remover = body.iter().any(|(_, line)| removes(line, name));
                first_that(body, |line| !is_remover && test(line))
            })
        };
        let of_attributes = lines(&|line| remakes(line, name) && assigns_attribute(line, name));
        if of_attributes.is_empty() { lines(&|line| remakes(line, name)) } else { of_attributes }
    }

    /// The first lines of these functions for which `test` holds, of those that are closest to the owner of the container. Functions
    /// without such a line, and those of other packages, are left out.
    fn lines_that<'m>(
        &mut self,
        mentions: impl Iterator<Item = &'m Mention>,
        test: impl Fn(&str) -> bool,
    ) -> Vec<CodeLine> {
        self.lines_by(mentions, |body| first_that(body, &test))
    }

    /// The lines that `find` finds in the bodies of these functions, as [`lines_that`](Self::lines_that).
    fn lines_by<'m>(
        &mut self,
        mentions: impl Iterator<Item = &'m Mention>,
        find: impl Fn(&[(u32, &str)]) -> Option<u32>,
    ) -> Vec<CodeLine> {
        let own = mentions.filter(|mention| !mention.is_foreign);
        let mut found: Vec<(Closeness, CodeLine)> = Vec::new();
        for mention in own {
            found.extend(self.line_in(&mention.function, &find).map(|line| (mention.closeness, line)));
        }
        let best = found.iter().map(|(closeness, _)| *closeness).min();
        found.retain(|(closeness, _)| Some(*closeness) == best);
        let mut lines: Vec<CodeLine> = Vec::new();
        for (_, line) in found {
            // A line of a function is also one of the function around it.
            match lines.iter_mut().find(|known| known.file == line.file && known.line == line.line) {
                Some(known) if known.function.len() < line.function.len() => *known = line,
                Some(_) => {}
                None => lines.push(line),
            }
        }
        lines
    }

    /// The line that `find` finds in the body of a function.
    fn line_in(
        &mut self,
        function: &CodeLine,
        find: impl Fn(&[(u32, &str)]) -> Option<u32>,
    ) -> Option<CodeLine> {
        let (source, first) = self.text(&function.file).zip(function.line)?;
        let body: Vec<(u32, &str)> = function_lines(source, first).collect();
        Some(CodeLine { line: Some(find(&body)?), ..function.clone() })
    }

    /// The first of these lines that waits in a loop that removes from `name`, or calls one of the functions that do.
    fn sleeping_remover(
        &mut self,
        sleeping: &[CodeLine],
        removers: &[CodeLine],
        name: &str,
    ) -> Option<CodeLine> {
        let functions: Vec<&str> =
            removers.iter().filter_map(|line| line.function.rsplit('.').next()).collect();
        let is_removal = |line: &str| {
            let calls = |function: &&str| occurrences(line, function).any(|(_, rest)| rest.starts_with('('));
            removes(line, name) || functions.iter().any(calls)
        };
        let found = sleeping.iter().filter(|_| !removers.is_empty()).find(|at| {
            let lines = self.first_line(at).zip(self.text(&at.file)).zip(at.line);
            lines.is_some_and(|((first, source), line)| {
                let body: Vec<(u32, &str)> = function_lines(source, first).collect();
                is_in_removing_loop(&body, line, is_removal)
            })
        });
        found.cloned()
    }

    fn correct_lines(&mut self, additions: &mut Additions, name: &str, candidates: &[CodeLine]) {
        let mut lines: Vec<AddingLine> = Vec::new();
        for mut line in additions.lines.drain(..) {
            if let Some(frame) = line.frames.first_mut().filter(|_| !line.is_certain) {
                if let Some(adding) = self.only_adding_line(frame, name) {
                    frame.line = Some(adding);
                } else if let Some(other) = self.only_candidate(frame, name, candidates) {
                    *frame = other.clone();
                }
            }
            match lines.iter_mut().find(|other| !other.is_certain && other.frames == line.frames) {
                Some(other) if !line.is_certain => other.count = other.count.saturating_add(line.count),
                _ => lines.push(line),
            }
        }
        lines.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.frames.cmp(&b.frames)));
        additions.lines = lines;
    }

    /// The only candidate, if its source adds to `name`, and the function of a likely line does not even name it: the line is of a caller.
    fn only_candidate<'c>(
        &mut self,
        at: &CodeLine,
        name: &str,
        candidates: &'c [CodeLine],
    ) -> Option<&'c CodeLine> {
        let [candidate] = candidates else { return None };
        let first = self.first_line(at)?;
        let source = self.text(&at.file)?;
        let line_at = |source: &str, number: u32| {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            source.lines().nth(index).map(str::to_owned)
        };
        let likely = line_at(source, at.line?)?;
        if adds_to_any(&likely) || function_lines(source, first).any(|(_, line)| names(line, name)) {
            return None;
        }
        let source = self.text(&candidate.file)?;
        line_at(source, candidate.line?).filter(|line| adds(line, name)).map(|_| candidate)
    }

    /// The only line that adds to `name` in the function of a line that adds to nothing.
    fn only_adding_line(&mut self, at: &CodeLine, name: &str) -> Option<u32> {
        let source = self.text(&at.file)?;
        let line = usize::try_from(at.line?).ok()?;
        if adds_to_any(source.lines().nth(line.checked_sub(1)?)?) {
            return None;
        }
        let first = self.first_line(at)?;
        let source = self.text(&at.file)?;
        let mut adding = function_lines(source, first).filter(|(_, line)| adds(line, name));
        adding.next().filter(|_| adding.next().is_none()).map(|(number, _)| number)
    }

    /// The line on which the function of a line begins.
    fn first_line(&mut self, at: &CodeLine) -> Option<u32> {
        let head = format!("def {}(", at.function.rsplit('.').next()?);
        let before = self.text(&at.file)?.lines().take(usize::try_from(at.line?).ok()?);
        let found = (1..).zip(before).filter(|(_, line)| line.contains(&head)).last();
        found.map(|(number, _)| number)
    }
}

/// Reads a source file as process `pid` sees it.
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

/// The first of these lines for which `test` holds.
fn first_that(body: &[(u32, &str)], test: impl Fn(&str) -> bool) -> Option<u32> {
    body.iter().find(|(_, line)| test(line)).map(|&(number, _)| number)
}

/// The lines of the body of the function that begins on the line `first`, with their numbers; of a lambda, that line.
fn function_lines(source: &str, first: u32) -> impl Iterator<Item = (u32, &str)> {
    let skipped = usize::try_from(first).ok().and_then(|first| first.checked_sub(1)).unwrap_or(usize::MAX);
    let mut lines = (1..).zip(source.lines()).skip(skipped);
    let indent = |line: &str| line.len().saturating_sub(line.trim_start().len());
    // Decorators come before it.
    let head = lines.by_ref().find(|(_, line)| {
        let text = line.trim_start();
        text.starts_with("def ") || text.starts_with("async def ") || text.contains("lambda")
    });
    // A lambda, or a function with its body on the same line.
    let is_lambda = head.is_some_and(|(_, head)| head.contains("lambda"));
    let is_on_one_line = head.is_some_and(|(_, head)| is_whole_function(head));
    let depth = head.map_or(0, |(_, head)| indent(head));
    let body = lines.take_while(move |(_, line)| {
        let text = line.trim();
        !is_lambda && (text.is_empty() || text.starts_with(['#', ')']) || indent(line) > depth)
    });
    let with_head = head.filter(|_| is_lambda || is_on_one_line);
    with_head.map(|(number, head)| (if is_lambda { first } else { number }, head)).into_iter().chain(body)
}

/// Whether the line where a function begins has its body, too: `def add(self, item): self.items.append(item)`.
fn is_whole_function(head: &str) -> bool {
    let text = head.split('#').next().unwrap_or_default().trim_end();
    let has_end = text.contains("):") || text.contains(") ->");
    text.contains("def ") && has_end && !text.ends_with([':', ',', '(', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_line_that_adds_to_nothing_is_corrected() {
        let source = "class Cache:\n    def get(self, key):\n        found = self.items.get(key)\n        if found is None:\n\
                      \x20           found = self.items[key] = make()\n        self.count += 1\n        return found\n\
                      def other(items):\n    items[1] = 1\n    items[2] = 2\n    return items\n";
        let file: Arc<str> = "cache.py".into();
        let mut sources =
            Sources { pid: 0, texts: BTreeMap::from([(Arc::clone(&file), Some(source.to_owned()))]) };
        let mut line = |function: &str, line| {
            let at = CodeLine { function: function.into(), file: Arc::clone(&file), line: Some(line) };
            sources.only_adding_line(&at, "items")
        };
        assert_eq!(line("Cache.get", 3), Some(5));
        assert_eq!(line("Cache.get", 5), None, "it adds itself");
        assert_eq!(line("Cache.get", 6), None, "it adds to something");
        assert_eq!(line("other", 11), None, "two lines add");
        assert_eq!((line("<module>", 7), line("get", 0), line("get", 99)), (None, None, None));
    }

    #[test]
    fn line_is_within_the_function() {
        let source = "CACHE = {}\n\n@decorated\ndef get(key):\n    return CACHE[key]\n\n\
                      async def put(\n    key,\n):\n    # first\n\n    CACHE[key] = 1\n    CACHE[key] = 2\n\
                      put = lambda k: CACHE.setdefault(k, 1)\n\
                      def add(key) -> None: CACHE[key] = 3\nCACHE[0] = 1\n";
        let line = |first| {
            function_lines(source, first).find(|(_, line)| adds(line, "CACHE")).map(|(number, _)| number)
        };
        assert_eq!((line(3), line(4), line(7), line(14)), (None, None, Some(12), Some(14)));
        assert_eq!(line(15), Some(15));
        assert_eq!((line(0), line(99)), (None, None));
    }
}
