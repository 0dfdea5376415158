//! `cargo xtask`: the project's chores.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The project's chores
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Write the manual pages of the tools to docs/man/
    Man,
    /// Write completions for bash, elvish, fish, PowerShell and zsh into DIR
    Completions {
        /// The folder; made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Write anew the pictures and tables that tests compare with; look at the changes before you commit them
    Goldens,
    /// Write the table of docs/support.md from the results of the exactness tests in target/support
    Support,
    /// Write the table of docs/leaks.md from the results of the leak tests: all shapes on all Pythons with MEMTOOLS_LONG=1
    Leaks,
    /// Write memobj's tables of CPython's structs from the debug information of every interpreter found
    Layouts {
        /// Read one table's interpreters alone, or one interpreter, and keep all other tables: `cp313`, `cp313t`, `cp39d`, or a path
        #[arg(long, value_name = "TABLE|PYTHON", conflicts_with_all = ["check", "compare"])]
        only: Option<String>,
        /// Write nothing: say what in the tables is not what the interpreters give, and fail if there is anything
        #[arg(long)]
        check: bool,
        /// Write nothing: say which members of structs came and went between two interpreters, such as 'Debian 3.14.10' and 'Debian 3.15.2'
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "check")]
        compare: Option<Vec<String>>,
    },
    /// Build the packages into target/dist: wheel, Debian package, image, crates, with their checksums
    Dist {
        /// Compile each crate from its archive too, as crates.io gets it: some ten minutes more
        #[arg(long)]
        verify: bool,
    },
    /// Check everything: format, lints, documentation, tests
    Ci,
}

fn main() -> ExitCode {
    match run(Chore::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> io::Result<bool> {
    match chore {
        Chore::Man => {
            let folder = xtask::workspace::root().join("docs/man");
            std::fs::create_dir_all(&folder)?;
            for page in xtask::man::pages()? {
                std::fs::write(folder.join(&page.name), page.text)?;
                writeln!(io::stdout(), "docs/man/{}", page.name)?;
            }
        }
        Chore::Completions { folder } => {
            for file in xtask::completions::write(&folder)? {
                writeln!(io::stdout(), "{}", file.display())?;
            }
        }
        Chore::Goldens => return xtask::goldens::write(),
        Chore::Support => {
            let interpreters = xtask::support::write()?;
            writeln!(io::stdout(), "{}: {interpreters} interpreters", xtask::support::PAGE)?;
        }
        Chore::Leaks => {
            let programs = xtask::shapes::write()?;
            writeln!(io::stdout(), "docs/leaks.md: {programs} programs")?;
        }
        Chore::Layouts { compare: Some(names), .. } => {
            let [old, new] = names.as_slice() else { return Ok(false) };
            let found = xtask::layouts::interpreters::found();
            say(&xtask::layouts::compare(old, new, &found).map_err(io::Error::other)?)?;
        }
        Chore::Layouts { check: false, only, .. } => match xtask::layouts::write(only.as_deref()) {
            Ok(notes) => say(&notes)?,
            Err(faults) => {
                say(&faults)?;
                return Ok(false);
            }
        },
        Chore::Layouts { check: true, .. } => {
            let checked = xtask::layouts::check(&xtask::layouts::interpreters::found());
            let checked = checked.map_err(io::Error::other)?;
            say(&checked.left_out)?;
            say(&checked.wrong)?;
            return Ok(checked.wrong.is_empty());
        }
        Chore::Dist { verify } => {
            for file in xtask::dist::build(verify)? {
                writeln!(io::stdout(), "{}", file.display())?;
            }
        }
        Chore::Ci => return xtask::ci::run(),
    }
    Ok(true)
}

fn say(lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(io::stdout(), "{line}"))
}
