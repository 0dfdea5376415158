//! The licences of everything that is linked into the programs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use serde_json::Value;

use crate::command::{cargo, output};
use crate::workspace;

/// A line of the Apache License. Each package has its text once.
const APACHE: &str = "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION";
/// A line between two texts.
const RULER: &str = "------------------------------------------------------------------------------";

/// All licences but the texts of the Apache License and the LGPL, which each Debian has already.
///
/// # Errors
/// A licence cannot be read, or cargo fails.
pub fn all(target: &str) -> io::Result<String> {
    let read = |name: &str| fs::read_to_string(workspace::root().join(name));
    Ok(format!(
        "memtools is licensed under the MIT licence or the Apache License 2.0, at your choice. On Debian the text of the latter is in\n\
         /usr/share/common-licenses/Apache-2.0, and that of the licence of the GNU C Library in /usr/share/common-licenses/LGPL-2.1.\n\n{}\n{RULER}\n\nThe font in the programs:\n\n{}\n{RULER}\n\n{}",
        read("LICENSE-MIT")?,
        read("LICENSE-DEJAVU")?,
        third_party(target)?,
    ))
}

/// The licences of the libraries, and the text of the LGPL: for packages outside of Debian.
///
/// # Errors
/// A licence cannot be read, or cargo fails.
pub fn third_party_with_lgpl(target: &str) -> io::Result<String> {
    Ok(format!("{}\n{RULER}\n\n{}", third_party(target)?, lgpl()?))
}

/// The text of the licence of the GNU C Library, which goes with each copy of a program that contains it.
///
/// # Errors
/// It cannot be read.
pub fn lgpl() -> io::Result<String> {
    fs::read_to_string(workspace::root().join("packaging/LGPL-2.1"))
}

/// The libraries in the programs, with their versions and licences, and the text of each licence once.
fn third_party(target: &str) -> io::Result<String> {
    let mut text = "The programs contain the standard library of Rust (MIT OR Apache-2.0) and parts of the GNU C Library \
         (LGPL-2.1-or-later, https://www.gnu.org/software/libc/); memtools' source builds them with another version of it.\n\
         They are built with these libraries of Rust:\n\n"
        .to_owned();
    let linked = linked(target)?;
    let args = ["metadata", "--format-version", "1", "--filter-platform", target];
    let metadata = output(Command::new(cargo()).args(args).current_dir(workspace::root()))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(io::Error::other)?;
    let mut licences = BTreeSet::new();
    let packages = metadata.get("packages").and_then(Value::as_array);
    for package in packages.into_iter().flatten() {
        let field = |name: &str| package.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} v{}", field("name"), field("version"));
        // Ours have no source.
        if field("source").is_empty() || !linked.contains(&name) {
            continue;
        }
        text += &format!("{name}: {}\n", field("license"));
        let Some(home) = Path::new(field("manifest_path")).parent() else { continue };
        let mut files = 0;
        for entry in fs::read_dir(home)? {
            let entry = entry?;
            if is_licence(&entry.file_name().to_string_lossy()) && entry.file_type()?.is_file() {
                files += 1;
                let text = fs::read_to_string(entry.path())?;
                if !text.contains(APACHE) {
                    licences.insert(text.trim().to_owned());
                }
            }
        }
        if files == 0 {
            let authors = package.get("authors").and_then(Value::as_array);
            let authors: Vec<&str> = authors.into_iter().flatten().filter_map(Value::as_str).collect();
            text += &format!("  without a file of its licence; authors: {}\n", authors.join(", "));
        }
    }
    for licence in licences {
        text += &format!("\n{RULER}\n\n{licence}\n");
    }
    Ok(text)
}

/// The names and versions of the packages that are linked into the programs.
fn linked(target: &str) -> io::Result<BTreeSet<String>> {
    let args = ["tree", "--package", "memtools", "--edges", "normal", "--prefix", "none", "--target", target];
    let tree =
        output(Command::new(cargo()).args(args).args(["--format", "{p}"]).current_dir(workspace::root()))?;
    // `name v1.2.3 (proc-macro)`, with the folder for ours.
    Ok(tree.lines().map(|line| line.split(" (").next().unwrap_or(line).to_owned()).collect())
}

fn is_licence(name: &str) -> bool {
    let name = name.to_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::machine::MACHINES;

    #[test]
    fn packages_outside_of_debian_have_the_lgpl() {
        let target = MACHINES[0].target;
        let (wheel, debian) = (third_party_with_lgpl(target).unwrap(), all(target).unwrap());
        let text = "GNU LESSER GENERAL PUBLIC LICENSE\n                       Version 2.1";
        assert!(wheel.contains(text) && wheel.contains("clap v"));
        assert!(!debian.contains(text) && debian.contains("/usr/share/common-licenses/LGPL-2.1"));
    }
}
