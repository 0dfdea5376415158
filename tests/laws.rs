//! Laws of the architecture, checked on the sources. `docs/architecture.md` lists them.
//!
//! Each law is a function from text to the list of its breaches, and each is tested on text that breaks it.

mod circles;
mod imports;
mod layers;
mod manifests;
mod text;
mod tokens;
mod versions;

use crate::support::workspace::{self, File};

/// The longest source file, in lines. A longer one has more than one subject.
const MAX_LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[
    (
        "memobj/cpython/src/layout/fields.rs",
        "written by `cargo xtask layouts`: a struct for each of CPython's",
    ),
    ("memobj/cpython/src/layout/tables/", "written by `cargo xtask layouts`: constants"),
];

fn sources() -> Vec<File> {
    let rust: Vec<File> = workspace::files().into_iter().filter(|file| file.path.ends_with(".rs")).collect();
    assert!(rust.len() > 20, "the sources were not found: {rust:?}");
    rust
}

/// The manifest of every package.
fn manifests() -> Vec<(String, toml::Table)> {
    let manifests: Vec<(String, toml::Table)> = workspace::files()
        .into_iter()
        .filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
        .map(|file| (file.path, file.text.parse().unwrap()))
        .collect();
    assert!(manifests.len() >= 7, "the packages were not found");
    manifests
}

#[track_caller]
fn assert_none(law: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{law}:\n  {}", breaches.join("\n  "));
}

#[test]
fn tools_meet_only_on_stdin_and_stdout() {
    let breaches: Vec<String> =
        manifests().iter().flat_map(|(path, manifest)| manifests::other_tools(path, manifest)).collect();
    assert_none("a tool, or what tools share, depends on a tool", &breaches);
}

#[test]
fn modules_import_only_from_above() {
    let files = sources();
    let mut breaches = Vec::new();
    for (path, _) in manifests() {
        let folder = path.strip_suffix("Cargo.toml").unwrap();
        if files.iter().any(|file| file.path == format!("{folder}src/lib.rs")) {
            breaches.extend(layers::breaches(&format!("{folder}src/"), &files));
        }
    }
    assert_none("the table of layers in lib.rs is not kept", &breaches);
}

#[test]
fn files_form_no_circles() {
    let files = sources();
    let mut breaches = Vec::new();
    for (path, _) in manifests() {
        let src = format!("{}src/", path.strip_suffix("Cargo.toml").unwrap());
        if files.iter().any(|file| file.path == format!("{src}lib.rs")) {
            breaches.extend(circles::circles(&src, &files));
        }
    }
    assert_none("files that use each other", &breaches);
}

#[test]
fn only_layout_compares_versions() {
    let of_memobj = |file: &&File| file.path.starts_with("memobj/");
    let in_layout = |file: &&File| file.path.starts_with("memobj/cpython/src/layout/");
    let files = sources();
    let layout = files.iter().filter(in_layout).flat_map(versions::comparisons);
    assert!(layout.count() > 10, "encodings compare versions");
    let breaches: Vec<String> = files
        .iter()
        .filter(|file| of_memobj(file) && !in_layout(file))
        .flat_map(versions::comparisons)
        .collect();
    assert_none("versions are compared outside of memobj/cpython/src/layout/", &breaches);
}

#[test]
fn there_is_no_unsafe_code() {
    let breaches: Vec<String> = sources().iter().flat_map(|file| tokens::words(file, &["unsafe"])).collect();
    assert_none("unsafe code", &breaches);
    let breaches: Vec<String> =
        manifests().iter().flat_map(|(path, manifest)| manifests::lints_not_kept(path, manifest)).collect();
    assert_none("the workspace's lints do not hold everywhere", &breaches);
}

#[test]
fn nothing_is_left_unfinished() {
    let breaches: Vec<String> = sources()
        .iter()
        .flat_map(|file| tokens::macros(file, &["todo", "unimplemented", "dbg"]))
        .chain(workspace::files().iter().flat_map(text::unfinished))
        .collect();
    assert_none("something is unfinished", &breaches);
}

#[test]
fn silenced_lints_have_reasons() {
    let breaches: Vec<String> = sources().iter().flat_map(tokens::exceptions_without_reason).collect();
    assert_none("a lint is silenced without a reason", &breaches);
}

#[test]
fn no_source_file_is_too_long() {
    assert_none("files are too long, or need no exception", &text::too_long(&sources(), MAX_LINES, LONGER));
}

#[test]
fn module_names_are_specific() {
    assert_none("a module's name says nothing", &text::drawers(&sources()));
}

#[test]
fn files_have_no_machine_traces() {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let breaches: Vec<String> =
        workspace::files().iter().flat_map(|file| text::machine_traces(file, &host)).collect();
    assert_none("a path or name of some machine", &breaches);
}

#[test]
fn walk_finds_what_git_lists() {
    let Some(listed) = workspace::listed_by_git(workspace::root()) else {
        crate::skip!("no git here to compare with");
    };
    let walked = workspace::walked(workspace::root());
    let exists = |path: &&String| workspace::root().join(path).exists();
    let missing: Vec<&String> = listed.iter().filter(exists).filter(|path| !walked.contains(path)).collect();
    assert!(missing.is_empty() && !listed.is_empty(), "{missing:?}");
}
