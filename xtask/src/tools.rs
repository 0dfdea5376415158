//! The commands that have arguments to document.

use clap::CommandFactory;

/// The definition of each tool that is built; those that only say `not built yet` have none.
#[must_use]
pub fn commands() -> Vec<clap::Command> {
    vec![memmon::cli::Args::command(), memplot::cli::Args::command(), memdiff::cli::Args::command()]
}
