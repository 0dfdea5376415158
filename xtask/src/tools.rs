//! The commands that have arguments to document.

use clap::CommandFactory;

/// The definition of each tool.
#[must_use]
pub fn commands() -> Vec<clap::Command> {
    vec![
        memmon::cli::Args::command(),
        #[cfg(feature = "memobj")]
        memobj::cli::Args::command(),
        memplot::cli::Args::command(),
        memdiff::cli::Args::command(),
    ]
}
