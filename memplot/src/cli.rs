//! Command-line arguments.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::clock::TimeBound;

/// Plot a log of memmon, memobj or the older tool.
///
/// Reads JSONL from files or stdin (gzip and zstd too). Draws on a terminal, writes SVG to a pipe, and SVG, PNG, text or an HTML
/// page with zoom to a file. Keeps every peak, however long the log is.
#[derive(Debug, Parser)]
#[command(name = "memplot", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Logs, all on one time axis; `-` or none for stdin; a quoted pattern, 'log-*.jsonl', is one log in several files
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Values to draw [default: heap for one moment with a tree of holders; types if the log has any; else processes]
    #[arg(short, long, value_enum, help_heading = "What")]
    pub what: Option<Quantity>,

    /// Number of series to draw, highest peaks first, for processes largest areas; the rest is combined
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=500), help_heading = "What")]
    pub top: u32,

    /// Draw only names that match REGEX
    #[arg(short, long, value_name = "REGEX", help_heading = "What")]
    pub grep: Option<String>,

    /// Memory size of a process
    #[arg(long, value_enum, default_value_t = Metric::Rss, help_heading = "What")]
    pub metric: Metric,

    /// Stack the series [default: for the processes of one log]
    #[arg(long, overrides_with = "no_stack", conflicts_with_all = ["delta", "log_scale"], help_heading = "Appearance")]
    pub stack: bool,

    /// Draw lines instead of a stack
    #[arg(long, help_heading = "Appearance")]
    pub no_stack: bool,

    /// Draw the change since the beginning
    #[arg(long, conflicts_with = "log_scale", help_heading = "What")]
    pub delta: bool,

    /// Use a logarithmic value axis
    #[arg(long, help_heading = "Appearance")]
    pub log_scale: bool,

    /// Start: a clock time (14:25), a duration before the end of the log (-2h), or a date (2026-11-24 14:25, RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = TimeBound::parse, allow_hyphen_values = true, help_heading = "When")]
    pub since: Option<TimeBound>,

    /// End, in the same formats
    #[arg(long, value_name = "WHEN", value_parser = TimeBound::parse, allow_hyphen_values = true, help_heading = "When")]
    pub until: Option<TimeBound>,

    /// Add trend lines from the output of `memdiff --trend --format jsonl`
    #[arg(long, value_name = "FILE", help_heading = "What")]
    pub trend: Option<PathBuf>,

    /// Write to FILE in the format of its extension [without a name: memory_analysis_plot.png]
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, default_missing_value = DEFAULT_OUTPUT, help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Output format, whatever the file extension is [default: text on a terminal, else svg]
    #[arg(short, long, value_enum, help_heading = "Output")]
    pub format: Option<Format>,

    /// Same as --format html
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    pub html: bool,

    /// Leave the machine's name, folders and the command's arguments out of a page with a verdict
    #[arg(long, help_heading = "Output")]
    pub no_host: bool,

    /// Width and height in pixels at 96 dpi; a PNG has 150 dpi, so more pixels
    #[arg(long, value_name = "WxH", default_value = "1344x768", value_parser = Size::parse, help_heading = "Appearance")]
    pub size: Size,

    /// Background; auto follows the viewer of the SVG or page, or the terminal
    #[arg(long, value_enum, default_value_t = Theme::Auto, help_heading = "Appearance")]
    pub theme: Theme,

    /// Title [default: the values drawn and their process]
    #[arg(long, value_name = "TEXT", help_heading = "Appearance")]
    pub title: Option<String>,
}

/// The file of `-o` without a name, as in the older tool.
pub const DEFAULT_OUTPUT: &str = "memory_analysis_plot.png";

/// The values to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Quantity {
    /// Bytes of Python objects by type
    Types,
    /// Bytes of Python objects by module
    Modules,
    /// Bytes of Python objects by holder, from a log of `memobj --holders`
    Holders,
    /// Bytes of the program's caches, from a log of `memobj --caches`
    Caches,
    /// Memory of each process
    Processes,
    /// Totals of the process tree and of all Python objects
    Total,
    /// Number of Python objects by type
    Counts,
    /// Number of threads
    Threads,
    /// Who holds the heap at one moment, or what changed between two, from `memobj --retained`
    Heap,
    /// The same as nested areas: SVG, PNG or a page
    Treemap,
}

/// The memory size of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Resident: shared pages count in each process
    Rss,
    /// Proportional: shared pages are divided; adds up to the memory of the tree
    Pss,
    /// Unique: memory that only this process uses
    Uss,
    /// Swapped out
    Swap,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A vector graphic
    Svg,
    /// A bitmap of 150 dpi
    Png,
    /// One page that needs no network: zoom, values under the mouse, switchable series, a table
    Html,
    /// Characters, as on a terminal
    Text,
}

/// The background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Dark if the viewer prefers it, else light
    Auto,
    /// Light
    Light,
    /// Dark
    Dark,
}

/// Width and height in pixels at 96 dpi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Size {
    /// Parses `1400x800`.
    ///
    /// # Errors
    /// If the text is not two numbers, or if they are too small or too large.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let pair = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((number(w)?, number(h)?)));
        let (width, height) =
            pair.ok_or_else(|| format!("'{text}' is not a size: write WIDTHxHEIGHT, such as 1400x800"))?;
        if !(320..=10_000).contains(&width) || !(200..=10_000).contains(&height) {
            return Err(format!("'{text}' is not between 320x200 and 10000x10000"));
        }
        Ok(Self { width, height })
    }
}

const USAGE: &str = "\
memplot [OPTIONS] [FILE]...
       memmon … | memplot [OPTIONS] > plot.svg";

const EXAMPLES: &str = "\
Examples:
  memplot log.jsonl                         a plot on the terminal
  memplot log.jsonl > plot.svg              the same as SVG
  memplot log.jsonl -o plot.png             the same as PNG
  memplot log.jsonl --html -o plot.html     the same as a page with zoom
  memplot -t 20 < log.jsonl > plot.svg      the twenty largest series
  memplot --what total a.jsonl b.jsonl -o   two logs on one axis, as a PNG
  memobj --leaks -p 1234 | memplot --html -o leak.html   a leak, as a page
  memobj --retained -p 1234 | memplot > heap.svg         who holds what, drawn
  memplot --what heap a.jsonl b.jsonl -o difference.svg  what grew between two
  memplot --what treemap log.jsonl -o heap.png           the same as nested areas
  memplot --since -2h --grep worker log.jsonl > plot.svg
";

const NOTES: &str = "\
Process trees: areas are stacked, and the line on top is their sum. The root is always drawn. Small processes of one \
command, three or more, are one area with their number: task.py ×47. With RSS, pages that several processes share count \
in each of them; --metric pss divides them, where memmon has read it.

Types and modules: if a list is truncated, the values of missing names are unknown and drawn as a gap, not as zero.

Leaks: the curves of a log of memobj --leaks are the totals of its censuses. A page begins with the verdict in words: the \
cause, the holder, the line of code that adds, the advice, the account of RSS, the versions. --no-host leaves the \
machine's name out.

Heap: each block is as wide as the bytes that it holds; its parts are below it, from module to holder to type. Of one \
log with several censuses, the first and the last are compared; of several logs, the last of the first and of the last \
log. Blocks below a thousandth of the heap are not in the log. Several processes are side by side; --grep chooses them \
by name. A treemap has the same blocks: parts are inside their block, as large as their bytes.

Gaps: nothing is drawn where nothing was measured: the process exited, a sample failed, or more than 2.5 intervals \
passed. Runs of the tool are not connected.

Time: the local time zone (TZ) is used. A clock time for --since is the last one before the end of the log; for \
--until it is the first one after --since.

Exit status: 0 if a plot was written; 2 if there was nothing to draw, or reading or writing failed.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"memplot").chain(args))
    }

    #[test]
    fn clap_definition_is_valid() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn bare_output_uses_default_name() {
        assert_eq!(parse(&["a.jsonl"]).unwrap().output, None);
        assert_eq!(parse(&["a.jsonl", "-o"]).unwrap().output, Some(DEFAULT_OUTPUT.into()));
        assert_eq!(parse(&["-o", "x.svg", "a.jsonl"]).unwrap().output, Some("x.svg".into()));
    }

    #[test]
    fn sizes_and_times_parse() {
        let size = |width, height| Ok(Size { width, height });
        assert_eq!(Size::parse("1400x800"), size(1400, 800));
        assert_eq!(Size::parse("1400×800"), size(1400, 800));
        for text in ["", "1400", "x", "-1x5", "10x10", "99999x800"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert_eq!(parse(&["--since", "-2h"]).unwrap().since, Some(TimeBound::BeforeEnd(7_200_000)));
        assert_eq!(parse(&["--since=-30m"]).unwrap().since, Some(TimeBound::BeforeEnd(1_800_000)));
    }

    #[test]
    fn conflicting_options_are_refused() {
        assert!(parse(&["--stack", "--delta"]).is_err() && parse(&["--stack", "--log-scale"]).is_err());
        assert!(parse(&["--delta", "--log-scale"]).is_err() && parse(&["--top", "0"]).is_err());
    }
}
