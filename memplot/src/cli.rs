//! What the user types.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::clock::TimeBound;

/// Draw a log of memmon, memobj or the older tool as a picture.
///
/// Reads JSONL from files or stdin (gzip and zstd too). Draws in the terminal, or writes SVG to a pipe, and SVG, PNG, a page to zoom
/// into, or text to a file. Every peak is kept, however long the log is.
#[derive(Debug, Parser)]
#[command(name = "memplot", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Logs, on one time axis; `-` or none: stdin
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What to draw [default: object types if the log has any, else the process tree]
    #[arg(short, long, value_enum)]
    pub what: Option<Quantity>,

    /// Draw the N with the highest peaks one by one, the rest as one
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub top: u32,

    /// Only names that match REGEX
    #[arg(short, long, value_name = "REGEX")]
    pub grep: Option<String>,

    /// Which size of a process to draw
    #[arg(long, value_enum, default_value_t = Metric::Rss)]
    pub metric: Metric,

    /// Stack values on each other [default: for the process tree of one log]
    #[arg(long, overrides_with = "no_stack", conflicts_with_all = ["delta", "log_scale"])]
    pub stack: bool,

    /// Draw lines that all begin at the axis
    #[arg(long)]
    pub no_stack: bool,

    /// Draw what changed since the beginning
    #[arg(long, conflicts_with = "log_scale")]
    pub delta: bool,

    /// Draw values on a logarithmic axis
    #[arg(long)]
    pub log_scale: bool,

    /// Begin here: a clock time (14:25), a time before the log's end (-2h), or a date (2026-11-24 14:25, RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = TimeBound::parse, allow_hyphen_values = true)]
    pub since: Option<TimeBound>,

    /// End here
    #[arg(long, value_name = "WHEN", value_parser = TimeBound::parse, allow_hyphen_values = true)]
    pub until: Option<TimeBound>,

    /// Draw the verdicts of a log of `memdiff --trend --format jsonl` into the picture
    #[arg(long, value_name = "FILE")]
    pub trend: Option<PathBuf>,

    /// Write to FILE, in the format that its ending names [without a name: memory_analysis_plot.png]
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, default_missing_value = DEFAULT_OUTPUT)]
    pub output: Option<PathBuf>,

    /// The format, whatever the ending of the file [default: text on a terminal, else svg]
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,

    /// The same as --format html
    #[arg(long, conflicts_with = "format")]
    pub html: bool,

    /// Width and height in pixels at 96 dpi; PNG has 150 dpi and more pixels
    #[arg(long, value_name = "WxH", default_value = "1344x768", value_parser = Size::parse)]
    pub size: Size,

    /// The ground to draw on; auto: what the viewer of the SVG or page prefers, or the terminal tells
    #[arg(long, value_enum, default_value_t = Theme::Auto)]
    pub theme: Theme,

    /// The title, instead of what is drawn and of whom
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
}

/// Where pictures go that were given no name: as the older tool did.
pub const DEFAULT_OUTPUT: &str = "memory_analysis_plot.png";

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Quantity {
    /// Bytes of Python objects by type
    Types,
    /// Bytes of Python objects by module
    Modules,
    /// Bytes of Python objects by what holds them, of a log of `memobj --holders`
    Holders,
    /// Bytes of the program's caches, of a log of `memobj --caches`
    Caches,
    /// Memory of each process of the tree
    Processes,
    /// The sums: of the tree, of all Python objects
    Total,
    /// Numbers of Python objects by type
    Counts,
    /// Numbers of threads
    Threads,
}

/// Which size of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Resident: shared pages count in each process that shares them
    Rss,
    /// Proportional: adds up to what the tree uses
    Pss,
    /// Unique: what would be free without the process
    Uss,
    /// Swapped out
    Swap,
}

/// How the picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A vector picture with text as text
    Svg,
    /// Pixels, at 150 dpi
    Png,
    /// One page without a network: zoom, values under the mouse, series on and off, a table
    Html,
    /// Characters: what a terminal is shown
    Text,
}

/// The ground that is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Light, and dark where the viewer prefers that
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
    /// Reads `1400x800`.
    ///
    /// # Errors
    /// No two numbers, or a picture that is too small to hold anything or too large to be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let pair = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((number(w)?, number(h)?)));
        let (width, height) =
            pair.ok_or_else(|| format!("'{text}' is no size: write WIDTHxHEIGHT, as 1400x800"))?;
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
  memplot log.jsonl                         the best figure for the log, in the terminal
  memplot log.jsonl > plot.svg              the same as SVG
  memplot log.jsonl -o plot.png             the same as PNG
  memplot log.jsonl --html -o plot.html     the same as a page to zoom into
  memplot -t 20 < log.jsonl > plot.svg      the twenty largest one by one
  memplot --what total a.jsonl b.jsonl -o   two logs on one time axis, as memory_analysis_plot.png
  memplot --since -2h --grep worker log.jsonl > plot.svg
";

const NOTES: &str = "\
Process trees: areas stacked on each other, the line on top is their sum. By RSS pages that several processes share \
count in each of them; --metric pss divides them up, where memmon has read it.

Types and modules: of a list that was cut, what is not listed is unknown and drawn as a gap, never as zero.

Gaps: nothing is drawn where nothing was measured: a process is gone, a sample failed, or more than 2.5 intervals \
passed. Runs of the tool are not joined to each other.

Time: in the local time zone (TZ). A clock time for --since is the last one before the end of the log; for --until it \
is the first one after --since.

Exit status: 0 a figure was written; 2 trouble: nothing to draw, nothing could be read or written.
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
