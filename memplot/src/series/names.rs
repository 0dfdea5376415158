//! Short names that distinguish the series of a plot.

use std::path::Path;
use std::sync::Arc;

use super::buffer::{SeriesBuffer, SeriesKey};

/// Programs that run a script. Its name is more useful than theirs.
const INTERPRETERS: [&str; 10] =
    ["python", "pypy", "node", "ruby", "perl", "java", "bash", "sh", "dash", "zsh"];

fn is_interpreter(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&stem)
}

/// The name of the script in an interpreter's command line, and its arguments.
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

/// The short name of a process: that of its script if it runs one.
pub fn process_name(pid: u32, name: &Arc<str>, cmdline: Option<&Arc<str>>) -> String {
    match cmdline.filter(|_| is_interpreter(name)).and_then(|line| script(line)) {
        Some((script, _)) => script.to_owned(),
        None if name.is_empty() && pid == 0 => String::new(),
        None if name.is_empty() => format!("pid {pid}"),
        None => name.to_string(),
    }
}

/// The short name of a series.
pub fn short_name(series: &SeriesBuffer) -> String {
    match &series.key {
        SeriesKey::Process { pid, .. } => process_name(*pid, &series.name, series.cmdline.as_ref()),
        SeriesKey::Named { .. } => series.name.to_string(),
    }
}

/// The short name and the arguments.
fn name_with_arguments(series: &SeriesBuffer) -> String {
    let short = short_name(series);
    let line = series.cmdline.as_deref().unwrap_or_default();
    let arguments = match script(line).filter(|_| is_interpreter(&series.name)) {
        Some((_, arguments)) => arguments,
        None => line.split_once(' ').map_or("", |(_, arguments)| arguments),
    };
    if arguments.is_empty() { short } else { format!("{short} {arguments}") }
}

/// A different name for each series. Equal names get their process, arguments or pid; with several logs all get their log.
pub fn unique_names(series: &[&SeriesBuffer], inputs: &[String]) -> Vec<String> {
    let mut names: Vec<String> = series.iter().map(|one| short_name(one)).collect();
    refine(&mut names, series, |_, one| {
        (!one.key.role().is_empty()).then(|| format!("{} in {}", one.name, one.key.role()))
    });
    // With several logs each name says where it is from, also one that only one of them has.
    if inputs.len() > 1 {
        for (name, one) in names.iter_mut().zip(series) {
            if let Some(input) = inputs.get(one.key.input()) {
                *name = format!("{}: {name}", log_name(input));
            }
        }
    }
    refine(&mut names, series, |name, one| {
        let short = short_name(one);
        let before = name.strip_suffix(&*short)?;
        matches!(one.key, SeriesKey::Process { .. }).then(|| format!("{before}{}", name_with_arguments(one)))
    });
    refine(&mut names, series, |name, one| match one.key {
        SeriesKey::Process { pid, .. } => Some(format!("{name} ({pid})")),
        SeriesKey::Named { .. } => None,
    });
    names
}

/// Replaces names that several series have.
fn refine(
    names: &mut [String],
    series: &[&SeriesBuffer],
    better: impl Fn(&str, &SeriesBuffer) -> Option<String>,
) {
    let before = names.to_vec();
    for (name, one) in names.iter_mut().zip(series) {
        if before.iter().filter(|other| *other == name).count() > 1
            && let Some(better) = better(name, one)
        {
            *name = better;
        }
    }
}

/// The name of a log without folders and extensions.
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
    fn names_get_their_log() {
        let member = |input: usize, name: &str| SeriesBuffer {
            key: SeriesKey::Named { input, role: "".into(), name: name.into() },
            ..process(0, name, "")
        };
        let members = [member(0, "dict"), member(1, "dict"), member(1, "str")];
        let inputs = ["logs/a.jsonl".to_owned(), "logs/b.jsonl.gz".to_owned()];
        assert_eq!(
            unique_names(&members.iter().collect::<Vec<_>>(), &inputs),
            ["a: dict", "b: dict", "b: str"]
        );
    }
}
