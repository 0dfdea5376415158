//! The documents are true: manual pages are current, the README's commands run, links and names resolve.

use std::path::Path;

use clap::Parser;

use crate::support::workspace::{self, File};
use crate::support::{Tool, bin};

/// The documents in Markdown.
fn documents() -> Vec<File> {
    let documents: Vec<File> =
        workspace::files().into_iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(documents.iter().any(|file| file.path == "README.md") && documents.len() >= 4, "{documents:?}");
    documents
}

/// The blocks whose fence is exactly ```` ```KIND ````, as their lines.
pub fn blocks<'a>(document: &'a str, kind: &str) -> Vec<Vec<&'a str>> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(fence) = lines.next() {
        let Some(info) = fence.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if info == kind {
            blocks.push(block);
        }
    }
    blocks
}

/// The commands of a console block, each with the lines it is said to print. A command goes on behind a `\` at the end.
fn commands(block: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut continued = false;
    for line in block {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (None, Some((command, _))) if continued => *command += &format!("\n{line}"),
            (Some(command), _) => found.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push((*line).to_owned()),
            (None, None) => panic!("a console block begins with a command: {line}"),
        }
        continued = line.ends_with('\\') && (continued || line.starts_with("$ "));
    }
    found
}

/// Whether `lines` are what is expected, where `…` (or `...`) stands for any text, and alone on a line for any lines.
fn lines_match(expected: &[String], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if is_ellipsis(first.trim()) => {
            (0..=lines.len()).any(|skipped| lines_match(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines.split_first().is_some_and(|(line, others)| {
            text_matches(&first.replace("...", "…"), line) && lines_match(rest, others)
        }),
    }
}

fn is_ellipsis(text: &str) -> bool {
    matches!(text, "…" | "...")
}

fn text_matches(expected: &str, text: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        // The earliest place leaves the most for what follows.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn readme_commands_print_what_it_shows() {
    let tools = bin("memmon").parent().unwrap().to_owned();
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&old))).unwrap();
    let readme = workspace::read("README.md");
    let blocks = blocks(&readme, "console");
    assert!(!blocks.is_empty());
    for block in blocks {
        let folder = tempfile::tempdir().unwrap();
        for (command, expected) in commands(&block) {
            // Both streams, in their order, as on a terminal.
            let script = format!("exec 2>&1\n{command}");
            let tool = Tool::new("sh").args(["-c", &script]).dir(folder.path());
            let run = tool.env("PATH", &path).env("HOME", folder.path()).run().expect_code(0);
            let out = run.out();
            let lines: Vec<&str> = out.lines().collect();
            assert!(
                lines_match(&expected, &lines),
                "$ {command}\nexpected:\n{}\ngot:\n{out}",
                expected.join("\n")
            );
        }
    }
}

/// The arguments of `tool` in a line of shell, up to a pipe or comment; `None` if it is another command.
fn arguments_of(tool: &str, line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line).trim_start();
    let piped = || Some(line.split_once(&format!("| {tool}"))?.1);
    let rest = line.strip_prefix(tool).or_else(piped).filter(|rest| rest.is_empty() || rest.starts_with(' '));
    let run = format!("--bin {tool} -- ");
    let rest = rest.or_else(|| Some(line.strip_prefix("cargo run")?.split_once(&run)?.1))?;
    let arguments = rest
        .split_ascii_whitespace()
        .take_while(|word| !matches!(*word, "|" | "#" | "&" | ">" | ">>" | "2>"));
    Some(arguments.map(|word| word.replace("$$", "1")).collect())
}

#[test]
fn documented_arguments_exist() {
    assert!(assert_arguments("memmon", |args| memmon::cli::Args::try_parse_from(args).map(|_| ())) >= 2);
    assert!(assert_arguments("memobj", |args| memobj::cli::Args::try_parse_from(args).map(|_| ())) >= 2);
    assert!(assert_arguments("memdiff", |args| memdiff::cli::Args::try_parse_from(args).map(|_| ())) >= 2);
    assert!(assert_arguments("memplot", |args| memplot::cli::Args::try_parse_from(args).map(|_| ())) >= 2);
}

/// How many commands of `tool` the documents have, all of which it understands.
#[track_caller]
fn assert_arguments(tool: &str, parse: impl Fn(Vec<String>) -> Result<(), clap::Error>) -> usize {
    let mut seen = 0;
    for file in documents() {
        for kind in ["sh", "console", "console unchecked"] {
            for line in blocks(&file.text, kind).concat() {
                let Some(arguments) = arguments_of(tool, line) else { continue };
                seen += 1;
                let parsed = parse(std::iter::once(tool.to_owned()).chain(arguments).collect());
                let shown = |error: &clap::Error| !error.use_stderr();
                assert!(
                    parsed.as_ref().is_ok() || parsed.as_ref().is_err_and(shown),
                    "{}: {line}: {parsed:?}",
                    file.path
                );
            }
        }
    }
    seen
}

#[test]
fn readme_names_the_test_command() {
    let command = format!("cargo {}", xtask::ci::TESTS.join(" "));
    let readme = workspace::read("README.md");
    assert!(
        blocks(&readme, "sh").concat().iter().any(|line| line.split('#').next().unwrap().trim() == command)
    );
    assert!(workspace::read(".ci/run").contains("cargo xtask ci"));
}

#[test]
fn manual_pages_are_up_to_date() {
    let pages = xtask::man::pages().unwrap();
    assert!(!pages.is_empty());
    let folder = workspace::root().join("docs/man");
    for page in &pages {
        let committed = std::fs::read(folder.join(&page.name)).unwrap_or_default();
        assert!(
            committed == page.text,
            "docs/man/{} is not what `cargo xtask man` makes now: run it",
            page.name
        );
    }
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name();
        assert!(
            pages.iter().any(|page| page.name.as_str() == name),
            "docs/man/{} is of no tool",
            name.display()
        );
    }
}

#[test]
fn completions_exist_for_every_shell() {
    let folder = tempfile::tempdir().unwrap();
    let files = xtask::completions::write(&folder.path().join("new")).unwrap();
    assert_eq!(files.len(), 5 * xtask::tools::commands().len());
    let bash = files.iter().find(|file| file.extension().is_some_and(|e| e == "bash")).unwrap();
    assert!(std::fs::read_to_string(bash).unwrap().contains("--fail-above"));
}

/// Links to files: `[text](docs/schema.md#laws)`; not those to the web or within a page.
fn links(document: &str) -> Vec<&str> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.map(|target| target.split('#').next().unwrap_or_default()).collect()
}

#[test]
fn links_between_documents_resolve() {
    for file in documents() {
        let path = workspace::root().join(&file.path);
        let folder = path.parent().unwrap_or(Path::new(""));
        for link in links(&file.text) {
            assert!(folder.join(link).exists(), "{}: {link} does not exist", file.path);
        }
    }
}

/// Names of tests in backticks: `laws::there_is_no_unsafe_code`, as module, which may be within another, and function.
fn named_tests(document: &str) -> Vec<(&str, &str)> {
    let quoted = document.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|word| word.rsplit_once("::"));
    let modules = ["laws", "schema", "records", "docs", "harness"];
    names
        .filter(|(path, _)| path.split("::").next().is_some_and(|module| modules.contains(&module)))
        .collect()
}

#[test]
fn tests_named_by_architecture_exist() {
    let document = workspace::read("docs/architecture.md");
    let named = named_tests(&document);
    assert!(named.len() >= 5, "{named:?}");
    for (module, test) in named {
        let source = workspace::read(&format!("tests/{}.rs", module.replace("::", "/")));
        assert!(source.contains(&format!("fn {test}(")), "docs/architecture.md names {module}::{test}");
    }
}

mod the_checks_themselves {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn blocks_are_selected_by_whole_fence() {
        let text = "a\n```console\n$ x\n```\n```console unchecked\n$ y\n```\n```sh\nz\n```\n```console\n$ v\nw\n```\n";
        assert_eq!(blocks(text, "console"), [vec!["$ x"], vec!["$ v", "w"]]);
        assert_eq!(blocks(text, "sh"), [["z"]]);
    }

    #[test]
    fn block_splits_into_commands_and_output() {
        let found = commands(&["$ a \\", "  b", "out", "$ c", "$ d", "x", "y\\", "z"]);
        let expected = [("a \\\n  b", vec!["out"]), ("c", vec![]), ("d", vec!["x", "y\\", "z"])];
        assert_eq!(found, expected.map(|(command, output)| (command.to_owned(), owned(&output))));
    }

    #[test]
    fn ellipses_match_any_output() {
        for (expected, lines, matches) in [
            (&["a b"][..], &["a b"][..], true),
            (&["a b"], &["a c"], false),
            (&["a"], &["a b"], false),
            (&["b"], &["a b"], false),
            (&["a … d"], &["a b c d"], true),
            (&["a...d"], &["abcd"], true),
            (&["…d…f"], &["abcdef"], true),
            (&["a…b…c"], &["acb"], false),
            (&["ab…ba"], &["aba"], false),
            (&[], &[], true),
            (&[], &["x"], false),
            (&["x"], &[], false),
            (&["…", "c"], &["a", "b", "c"], true),
            (&["a", "…", "c"], &["a", "c"], true),
            (&["a", "...", "c"], &["a", "b"], false),
            (&["…"], &[], true),
        ] {
            assert_eq!(lines_match(&owned(expected), lines), matches, "{expected:?} against {lines:?}");
        }
    }

    #[test]
    fn arguments_are_found_in_shell_lines() {
        let arguments = |line: &str| arguments_of("memmon", line).map(|words| words.join(" "));
        assert_eq!(arguments("$ memmon -p $$ | head"), Some("-p 1".into()));
        assert_eq!(arguments("cargo run --release --bin memmon -- -i 1s -- x"), Some("-i 1s -- x".into()));
        assert_eq!(
            arguments_of("memdiff", "$ memmon -p 1 | memdiff --trend | cat"),
            Some(vec!["--trend".into()])
        );
        assert_eq!(arguments_of("memdiff", "memobj -p 1 | memdiff"), Some(Vec::new()));
        assert_eq!(arguments("memmon-old -p 1"), None);
        assert_eq!(arguments("cargo test"), None);
    }

    #[test]
    fn links_and_names_are_found() {
        assert_eq!(links("[a](b.md) [c](https://x.org) [d](e/f.md#g) [h](#i)"), ["b.md", "e/f.md"]);
        assert_eq!(named_tests("`laws::a`, `std::fs` and `schema::b`"), [("laws", "a"), ("schema", "b")]);
    }
}
