//! Names that tell members apart, as short as they can be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::buffer::{SeriesBuffer, SeriesKey};

/// Programs that run a program: its name says more than theirs.
const INTERPRETERS: [&str; 10] =
    ["python", "pypy", "node", "ruby", "perl", "java", "bash", "sh", "dash", "zsh"];

fn is_interpreter(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&stem)
}

/// The script of an interpreter's command line, and what follows it.
fn script(cmdline: &str) -> Option<(&str, &str)> {
    let (_, mut rest) = cmdline.split_once(' ')?;
    loop {
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "" | "-c" | "-e" => return None,
            "-m" => rest = tail,
            _ if word.starts_with('-') => rest = tail,
            _ => {
                let name = Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word);
                return Some((name, tail));
            }
        }
    }
}

/// The short name of a process: that of its script, if it runs one.
#[must_use]
pub fn process_name(pid: u32, name: &Arc<str>, cmdline: Option<&Arc<str>>) -> String {
    match cmdline.filter(|_| is_interpreter(name)).and_then(|line| script(line)) {
        Some((script, _)) => script.to_owned(),
        None if name.is_empty() && pid == 0 => String::new(),
        None if name.is_empty() => format!("pid {pid}"),
        None => name.to_string(),
    }
}

/// The short name of a member.
#[must_use]
pub fn short_name(member: &SeriesBuffer) -> String {
    match &member.key {
        SeriesKey::Process { pid, .. } => process_name(*pid, &member.name, member.cmdline.as_ref()),
        SeriesKey::Named { .. } => member.name.to_string(),
    }
}

/// The short name and the arguments.
fn name_with_arguments(member: &SeriesBuffer) -> String {
    let short = short_name(member);
    let line = member.cmdline.as_deref().unwrap_or_default();
    let arguments = match script(line).filter(|_| is_interpreter(&member.name)) {
        Some((_, arguments)) => arguments,
        None => line.split_once(' ').map_or("", |(_, arguments)| arguments),
    };
    if arguments.is_empty() { short } else { format!("{short} {arguments}") }
}

/// A name for each member that no other has: of types with their process, of processes with their arguments, of both with their input
/// and number, each only where it is needed.
#[must_use]
pub fn unique_names(members: &[&SeriesBuffer], inputs: &[String]) -> Vec<String> {
    let mut names: Vec<String> = members.iter().map(|member| short_name(member)).collect();
    let with = |names: &mut Vec<String>, better: &dyn Fn(usize, &SeriesBuffer) -> Option<String>| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in names.iter() {
            *counts.entry(name).or_default() += 1;
        }
        let shared: Vec<bool> =
            names.iter().map(|name| counts.get(name.as_str()).is_some_and(|n| *n > 1)).collect();
        for (place, (member, name)) in members.iter().zip(names).enumerate() {
            if shared.get(place) == Some(&true)
                && let Some(better) = better(place, member)
            {
                *name = better;
            }
        }
    };
    with(&mut names, &|_, member| {
        (!member.key.role().is_empty()).then(|| format!("{} in {}", member.name, member.key.role()))
    });
    if inputs.len() > 1 {
        let before = names.clone();
        with(&mut names, &|place, member| {
            let input = inputs.get(member.key.input())?;
            Some(format!("{}: {}", log_name(input), before.get(place)?))
        });
    }
    with(&mut names, &|_, member| {
        matches!(member.key, SeriesKey::Process { .. }).then(|| name_with_arguments(member))
    });
    let before = names.clone();
    with(&mut names, &|place, member| match member.key {
        SeriesKey::Process { pid, .. } => Some(format!("{} ({pid})", before.get(place)?)),
        SeriesKey::Named { .. } => None,
    });
    names
}

/// The name of a file without folders and ending.
#[must_use]
pub fn log_name(input: &str) -> String {
    let name = Path::new(input).file_name().and_then(|name| name.to_str()).unwrap_or(input);
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    name.strip_suffix(".jsonl").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str, cmdline: &str) -> SeriesBuffer {
        SeriesBuffer {
            key: SeriesKey::Process { input: 0, pid, start: 1 },
            name: name.into(),
            cmdline: Some(cmdline.into()),
            wanted: true,
            parts: Vec::new(),
            greatest: 0.0,
        }
    }

    fn named(members: &[SeriesBuffer]) -> Vec<String> {
        unique_names(&members.iter().collect::<Vec<_>>(), &["log.jsonl".to_owned()])
    }

    #[test]
    fn script_names_replace_interpreters() {
        for (name, cmdline, expected) in [
            ("python3.12", "python3.12 -u /srv/bot.py --x", "bot.py"),
            ("python3", "python3 -m celery worker", "celery"),
            ("python3", "python3 -c print(1)", "python3"),
            ("python3", "python3", "python3"),
            ("nginx", "nginx -g daemon", "nginx"),
            ("", "", "pid 7"),
        ] {
            assert_eq!(short_name(&process(7, name, cmdline)), expected, "{cmdline}");
        }
    }

    #[test]
    fn equal_process_names_get_arguments() {
        let members = [
            process(1, "python3", "python3 w.py --queue a"),
            process(2, "python3", "python3 w.py --queue b"),
            process(3, "sleep", "sleep 5"),
            process(4, "sleep", "sleep 5"),
            process(5, "nginx", "nginx -g x"),
        ];
        let expected = ["w.py --queue a", "w.py --queue b", "sleep 5 (3)", "sleep 5 (4)", "nginx"];
        assert_eq!(named(&members), expected);
    }

    #[test]
    fn equal_names_get_their_log() {
        let member = |input: usize, name: &str| SeriesBuffer {
            key: SeriesKey::Named { input, role: "".into(), name: name.into() },
            ..process(0, name, "")
        };
        let members = [member(0, "dict"), member(1, "dict"), member(1, "str")];
        let inputs = ["logs/a.jsonl".to_owned(), "logs/b.jsonl.gz".to_owned()];
        assert_eq!(unique_names(&members.iter().collect::<Vec<_>>(), &inputs), ["a: dict", "b: dict", "str"]);
    }
}
