//! Completions for the shells that clap knows. They are made when packaging, not committed.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap_complete::Shell;

use crate::tools;

/// Writes the completions of every built tool for every shell into `folder`, and names the files.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    for mut command in tools::commands() {
        let name = command.get_name().to_owned();
        for shell in Shell::value_variants() {
            files.push(clap_complete::generate_to(*shell, &mut command, &name, folder)?);
        }
    }
    Ok(files)
}
