//! Laws about files as text: their length, their names, what they must not mention.

use crate::support::workspace::File;

/// Files of more than `limit` lines without an exception, and exceptions that nothing needs.
pub fn too_long(files: &[File], limit: usize, exceptions: &[(&str, &str)]) -> Vec<String> {
    let long: Vec<(&str, usize)> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.lines().count()))
        .filter(|&(_, lines)| lines > limit)
        .collect();
    // A folder stands with its `/`, for all that is in it.
    let meant = |exception: &str, path: &str| {
        exception == path || exception.ends_with('/') && path.starts_with(exception)
    };
    let excepted = |path: &str| exceptions.iter().any(|&(p, reason)| meant(p, path) && !reason.is_empty());
    let mut breaches: Vec<String> = long
        .iter()
        .filter(|(path, _)| !excepted(path))
        .map(|(path, lines)| format!("{path}: {lines} lines, more than {limit}"))
        .collect();
    let unneeded = exceptions.iter().filter(|(path, _)| !long.iter().any(|(p, _)| meant(path, p)));
    breaches.extend(unneeded.map(|(path, _)| format!("{path}: needs no exception")));
    breaches
}

/// Modules and packages with names under which anything could be put.
pub fn drawers(files: &[File]) -> Vec<String> {
    let vague = ["util", "utils", "misc", "helper", "helpers", "words", "tell", "told"];
    let is_vague = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| vague.contains(&part));
    files.iter().filter(|file| is_vague(&file.path)).map(|file| file.path.clone()).collect()
}

/// Marks of work put off.
pub fn unfinished(file: &File) -> Vec<String> {
    // Put together here, or this file would break its own law.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let has_mark = |line: &str| {
        line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| marks.iter().any(|mark| mark == word))
    };
    lines_where(file, has_mark)
}

/// Paths of the machine somebody worked on, and its name.
pub fn machine_traces(file: &File, host: &str) -> Vec<String> {
    let places: [String; 3] = ["root", "home", "work"].map(|place| format!("/{place}"));
    // A name like `debian` or `localhost` is a word; one with a digit is given to one machine.
    let telling = host.len() > 3 && host.bytes().any(|b| b.is_ascii_digit());
    lines_where(file, |line| {
        places.iter().any(|place| begins_path(line, place)) || (telling && line.contains(host))
    })
}

/// Whether an absolute path in `line` begins with the folder `place`. `/proc/PID/root` and `$HOME/work` do not.
fn begins_path(line: &str, place: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '~' | '/' | '}' | ')' | '*');
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + place.len()..].chars().next();
        !before.is_some_and(is_path) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn lines_where(file: &File, matches: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| matches(line));
    lines.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn long_files_need_a_reasoned_exception() {
        let files = [file("a.rs", "1\n2\n3\n"), file("b.rs", "1\n2")];
        assert!(too_long(&files, 3, &[]).is_empty());
        assert_eq!(too_long(&files, 2, &[]), ["a.rs: 3 lines, more than 2"]);
        assert!(too_long(&files, 2, &[("a.rs", "constants")]).is_empty());
        assert_eq!(too_long(&files, 2, &[("a.rs", "")]).len(), 1);
        assert_eq!(too_long(&files, 3, &[("b.rs", "was long once")]), ["b.rs: needs no exception"]);
        let within = [file("made/a.rs", "1\n2\n3\n"), file("made.rs", "1\n2\n3\n")];
        assert_eq!(too_long(&within, 2, &[("made/", "constants")]), ["made.rs: 3 lines, more than 2"]);
    }

    #[test]
    fn vague_names_are_found() {
        let files = ["a/src/utils.rs", "a/src/util/x.rs", "common/src/units.rs", "b/src/misc/mod.rs"];
        let found = drawers(&files.map(|path| file(path, "")));
        assert_eq!(found, ["a/src/utils.rs", "a/src/util/x.rs", "b/src/misc/mod.rs"]);
    }

    #[test]
    fn unfinished_marks_are_found() {
        let mark = ["TO", "DO"].concat();
        assert_eq!(
            unfinished(&file("a", &format!("fine\n// {mark}: later\n"))),
            [format!("a:2: // {mark}: later")]
        );
        assert_eq!(unfinished(&file("a", &format!("({mark})"))).len(), 1);
        assert!(unfinished(&file("a", &format!("{mark}S mas{mark} todo"))).is_empty());
    }

    #[test]
    fn machine_paths_and_names_are_found() {
        let slash = "/";
        for text in [
            format!("\"{slash}root/x\""),
            format!("see {slash}home/someone"),
            format!("({slash}work)"),
            format!("PATH={slash}work/bin"),
        ] {
            assert_eq!(machine_traces(&file("a", &text), "").len(), 1, "{text}");
        }
        for text in ["/proc/PID/root", "$HOME/work/x", "https://example.org/home", "/workers", "target/root"]
        {
            assert!(machine_traces(&file("a", text), "").is_empty(), "{text}");
        }
        assert_eq!(machine_traces(&file("a", "on build-7f2 only"), "build-7f2").len(), 1);
        assert!(machine_traces(&file("a", "a debian machine"), "debian").is_empty());
    }
}
