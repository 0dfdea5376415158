//! Identifies the language or runtime of a process without CPython, by its files.

/// Beginnings of the names of mapped files, and the runtime that each belongs to.
const BY_FILE: &[(&str, &str)] = &[
    ("libpypy", PYPY),
    ("pypy", PYPY),
    ("graalpy", "GraalPy, a Python whose objects are laid out in another way"),
    ("libjvm.so", "a Java program"),
    ("node", "a Node.js program"),
    ("libnode.so", "a Node.js program"),
    ("deno", "a Deno program"),
    ("bun", "a Bun program"),
    ("libruby", "a Ruby program"),
    ("ruby", "a Ruby program"),
    ("libperl.so", "a Perl program"),
    ("perl", "a Perl program"),
    ("php", "a PHP program"),
    ("libcoreclr.so", "a .NET program"),
    ("libmonosgen", "a Mono program"),
    ("beam.smp", "an Erlang program"),
    ("lua", "a Lua program"),
    ("bash", "a shell"),
    ("dash", "a shell"),
    ("zsh", "a shell"),
    ("busybox", "a tool of BusyBox"),
];

const PYPY: &str = "PyPy, a Python whose objects are laid out in another way";

/// Sections that only the linker of a language writes, and the language.
const BY_SECTION: &[(&str, &str)] = &[(".go.buildinfo", "a Go program"), (".gopclntab", "a Go program")];

/// The runtime of a process with the files `files`, and an executable that has the sections for which `sections` is true.
pub fn identify<'a>(
    files: impl IntoIterator<Item = &'a str>,
    mut sections: impl FnMut(&str) -> bool,
) -> Option<&'static str> {
    files
        .into_iter()
        .find_map(by_name)
        .or_else(|| BY_SECTION.iter().find(|(section, _)| sections(section)).map(|(_, what)| *what))
}

fn by_name(name: &str) -> Option<&'static str> {
    let (_, what) = BY_FILE.iter().find(|(start, _)| {
        // Whole, or with a version behind it: `node`, `node22`, `pypy3.10`, `libperl.so.5.36`; not `nodemon`.
        name.strip_prefix(start).is_some_and(|behind| !behind.starts_with(|c: char| c.is_ascii_alphabetic()))
    })?;
    Some(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_sections_identify_runtime() {
        let identify_files = |files: &[&str]| identify(files.iter().copied(), |_| false);
        assert_eq!(identify_files(&["libc.so.6", "libjvm.so"]), Some("a Java program"));
        assert_eq!(identify_files(&["libpypy3.10-c.so"]), Some(PYPY));
        assert_eq!(identify_files(&["pypy3.10"]), Some(PYPY));
        assert_eq!(identify_files(&["node"]), Some("a Node.js program"));
        assert_eq!(identify_files(&["nodemon", "bashful", "libc.so.6"]), None);
        assert_eq!(identify(["server"], |section| section == ".gopclntab"), Some("a Go program"));
    }
}
