//! What the user types.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use common::cli::{Repeat, parse_size};
use common::units;

/// Watch the memory of a process and all its children, from outside.
///
/// Piped, every sample is one JSON line; on a terminal, a block for people. The watched processes are only looked at:
/// nothing is installed in them and nothing stops them.
#[derive(Debug, Parser)]
#[command(name = "memmon", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Watch the process PID and everything below it (may be given several times)
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "command")]
    pub pid: Vec<u32>,

    /// Watch all processes named NAME; for an interpreter the script's name counts too
    #[arg(short, long, value_name = "NAME", conflicts_with = "command")]
    pub name: Vec<String>,

    /// Start this command and watch it; a .py file is run by the project's interpreter
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "its fields are documented; a text here would replace the section's in --help"
    )]
    pub repeat: Repeat,

    /// How to print samples [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Write to FILE instead of stdout (jsonl unless --format says otherwise); a launched command keeps its stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "watch")]
    pub output: Option<PathBuf>,

    /// Redraw one screen: the tree with bars and history (needs a terminal)
    #[arg(long, conflicts_with = "format")]
    pub watch: bool,

    /// When to read PSS and USS: within a small share of the time, at every sample, or not at all
    #[arg(long, value_enum, default_value_t = Pss::Auto)]
    pub pss: Pss,

    /// Save the history as text and JSONL in DIR [default: data/memory_diagnostics]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "data/memory_diagnostics", conflicts_with = "no_save")]
    pub save: Option<PathBuf>,

    /// Do not save the history by itself on a terminal
    #[arg(long)]
    pub no_save: bool,

    /// Warn when a process grew by more than SIZE from one sample to the next
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = parse_size)]
    pub warn_growth: u64,

    /// Warn when a process passes SIZE of RSS
    #[arg(long, value_name = "SIZE", default_value = "1000M", value_parser = parse_size)]
    pub warn_rss: u64,

    /// End with exit 1 above a limit: SIZE or total:SIZE (the tree by RSS), rss:SIZE (any one process), pss:SIZE (the tree by PSS)
    #[arg(long, value_name = "LIMIT", value_parser = Limit::parse)]
    pub fail_above: Vec<Limit>,

    /// Relay what the command prints line by line, marked with its source
    #[arg(long, requires = "command", conflicts_with_all = ["pid", "name"])]
    pub prefix: bool,

    /// Record what the command prints as `output` records too (implies --prefix)
    #[arg(long, requires = "command", conflicts_with_all = ["pid", "name"])]
    pub record_output: bool,

    /// Leave command lines out (they may hold secrets)
    #[arg(long)]
    pub no_cmdline: bool,

    /// How to look: the Linux fast path, or sysinfo as on other systems [default: the fast one where it works]
    #[arg(long, value_enum, hide = true)]
    pub source: Option<SourceKind>,

    /// Do not ask the kernel for process events even where that is permitted
    #[arg(long, hide = true)]
    pub no_connector: bool,
}

/// How samples are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Jsonl,
    /// Blocks for people
    Text,
    /// One row for each process and sample
    Csv,
}

/// When PSS and USS are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pss {
    /// In turn, within a small share of the time
    Auto,
    /// At every sample, whatever it costs
    Always,
    /// Not at all
    Never,
}

/// Which of the two ways to look at processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// `/proc` with kept descriptors
    Linux,
    /// The sysinfo crate
    Sysinfo,
}

/// What a limit is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The sum of resident sizes of the tree.
    Total,
    /// The resident size of any one process of the tree.
    Rss,
    /// The sum of proportional sizes of the tree.
    Pss,
}

impl Metric {
    /// The word before the colon, and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Rss => "rss",
            Self::Pss => "pss",
        }
    }
}

/// A limit for `--fail-above`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is held against it.
    pub metric: Metric,
    /// Above this it is crossed.
    pub bytes: u64,
}

impl Limit {
    /// Reads `500M`, `total:500M`, `rss:500M` or `pss:500M`.
    ///
    /// # Errors
    /// An unknown metric, or no size behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (metric, size) = match text.split_once(':') {
            None | Some(("total", _)) => (Metric::Total, text.strip_prefix("total:").unwrap_or(text)),
            Some(("rss", size)) => (Metric::Rss, size),
            Some(("pss", size)) => (Metric::Pss, size),
            Some((other, _)) => return Err(format!("'{other}' is no metric: use total, rss or pss")),
        };
        let bytes = units::parse_bytes(size).map_err(|error| error.to_string())?;
        Ok(Self { metric, bytes })
    }
}

const USAGE: &str = "\
memmon [OPTIONS] -p <PID>
       memmon [OPTIONS] -n <NAME>
       memmon [OPTIONS] -- <COMMAND> [ARG]...";

const EXAMPLES: &str = "\
Examples:
  memmon -p 1234                          watch a process and its children
  memmon -p 1234 | tee log.jsonl          the same as a log
  memmon -n celery -i 1s --watch          all processes of that name, live
  memmon -- python bot.py                 start a program and watch it
  memmon --fail-above 500M -- pytest      fail if the tests need more
";

const NOTES: &str = "\
Totals: RSS is what a process has in RAM; pages that several processes share (forked workers!) are counted in each, so \
the total by RSS can be many times too large. PSS divides shared pages among those who share them and adds up to the \
truth.

What PSS costs: the kernel walks the page tables of the process, about 14 ms for each GB, and holds up the process's \
own memory mapping calls meanwhile. With --pss auto such reads take at most 0.05 % of the time, one process after the \
other, and processes where one read would take more than 20 ms are left out; --pss always reads every process at every \
sample.

Launching: what the command prints goes to memmon's stderr (with -o FILE the command keeps stdin, stdout and stderr). \
memmon ends when the command ends, with its status, or 128 + N if signal N ended it. When --count or --duration is \
reached, memmon stops recording and waits for the command. --fail-above ends the command: SIGTERM, after 5 s SIGKILL.

Limits: with --fail-above sizes are looked at every 100 ms, whatever the interval; a launched command that ended is \
judged by the largest size the kernel saw, too.

Exit status: 0 the target ended, or the user did; 1 a limit of --fail-above was crossed; 2 trouble; in a launch the \
command's, 126 if it cannot be executed, 127 if it is not found.

Files: on a terminal the history is saved under $XDG_STATE_HOME/memtools (~/.local/state/memtools); the last line says \
where.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"memmon").chain(args))
    }

    #[test]
    fn argument_definition_is_valid() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn command_keeps_its_arguments() {
        let args = parse(&["-i", "1", "--", "prog", "-p", "--format", "x", "--"]).unwrap();
        assert_eq!(args.command, ["prog", "-p", "--format", "x", "--"]);
        assert!(parse(&["-p", "1", "--", "prog"]).is_err());
        // A conflict between -p and a command must not make the need for one void.
        assert!(parse(&["-p", "1", "--prefix"]).is_err() && parse(&["-n", "x", "--record-output"]).is_err());
        assert!(parse(&["-p", "0"]).is_err());
    }

    #[test]
    fn save_folder_is_optional() {
        assert_eq!(parse(&["-p", "1"]).unwrap().save, None);
        assert_eq!(parse(&["--save", "-p", "1"]).unwrap().save, Some("data/memory_diagnostics".into()));
        assert_eq!(parse(&["--save", "dir", "-p", "1"]).unwrap().save, Some("dir".into()));
    }

    #[test]
    fn limit_names_its_metric() {
        let limit = |metric, bytes| Ok(Limit { metric, bytes });
        assert_eq!(Limit::parse("500M"), limit(Metric::Total, 500 << 20));
        assert_eq!(Limit::parse("total:1K"), limit(Metric::Total, 1024));
        assert_eq!(Limit::parse("rss:1G"), limit(Metric::Rss, 1 << 30));
        assert_eq!(Limit::parse("pss:2G"), limit(Metric::Pss, 2 << 30));
        assert!(Limit::parse("uss:2G").unwrap_err().contains("uss"));
        assert!(Limit::parse("rss:").is_err());
    }
}
