//! The command line.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use common::time::Stamp;
use common::units;

/// The default threshold of growth for the exit code.
///
/// The kernel's RSS is off by some pages for each processor, and that of an idle interpreter varies by some hundred KiB: with 0 every comparison
/// would "grow".
pub const DEFAULT_THRESHOLD_BYTES: u64 = 4 << 20;

/// Compare two moments of a program's memory, or find what grows in a whole log.
///
/// One log: its first moment with its last. Two logs: the last moment of each. A pipe: each record with the one before it,
/// as they come. With --trend: the trend of every process, type and module over all moments, with its rate and confidence.
/// Reads logs of memmon, memobj, and the older Python tool, also compressed with gzip or zstd.
#[derive(Debug, Parser)]
#[command(name = "memdiff", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// One log, or an earlier and a later one; - is the standard input; a quoted pattern, 'log-*.jsonl', is one log in several files
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,

    /// Compare this moment: an iteration (12), a time of day (14:25) or a date and time (2026-11-24T14:25); give it twice for
    /// both sides
    #[arg(long, value_name = "MOMENT", value_parser = MomentArg::parse, conflicts_with_all = ["every", "trend"], help_heading = "What")]
    pub at: Vec<MomentArg>,

    /// Compare every Nth record of each process with the Nth before it; with --trend, print the verdicts so far every N records
    #[arg(long, value_name = "N", help_heading = "What")]
    pub every: Option<NonZeroUsize>,

    /// Judge the trend of every series: growing, steady, shrinking, saw-tooth, or too short to judge
    #[arg(long, help_heading = "What")]
    pub trend: bool,

    /// Count growth only above SIZE or PERCENT (1M, 10%); if both are given, above both [default: 4M, with --trend 0]
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = Threshold::parse, help_heading = "Limits")]
    pub threshold: Vec<Threshold>,

    /// The condition for exit code 1 [default: growing with --trend, grown without]
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Limits")]
    pub fail_on: Option<FailOn>,

    /// The most rows of each table, in text and markdown
    #[arg(short, long, value_name = "ROWS", default_value = "20", help_heading = "Output")]
    pub limit: NonZeroUsize,

    /// Show all rows, also unchanged ones and steady series
    #[arg(long, conflicts_with = "limit", help_heading = "Output")]
    pub all: bool,

    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    pub format: Format,
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people
    Text,
    /// One `diff` record a line
    Jsonl,
    /// One row for each value
    Csv,
    /// Tables for issues and pull requests
    Markdown,
}

/// A condition for exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Growth beyond the threshold between two moments
    Grown,
    /// A growing series (with --trend)
    Growing,
    /// None
    Never,
}

/// A bound that growth must exceed to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// In bytes.
    Bytes(u64),
    /// As a share of the size before; 0.1 is a tenth.
    Ratio(f64),
}

impl Threshold {
    /// Reads `1M` or `10%`.
    ///
    /// # Errors
    /// Text that is neither a size nor a percentage of 0 or more.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            return units::parse_bytes(text).map(Self::Bytes).map_err(|error| error.to_string());
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(Self::Ratio(percent / 100.0)),
            _ => Err(format!("'{text}' is not a percentage: write a number, as 10% or 0.5%")),
        }
    }
}

/// A moment that the user names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MomentArg {
    /// The iteration of this number.
    Iteration(u64),
    /// A time of day in this machine's zone, on the last day of the log that has it.
    Clock(jiff::civil::Time),
    /// A date and time.
    Moment(jiff::Timestamp),
}

impl MomentArg {
    /// Reads `12`, `14:25`, `14:25:30`, `2026-11-24T14:25` (in this machine's zone) or `2026-11-24T14:25+01:00`.
    ///
    /// # Errors
    /// Other text, or a local time that does not exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let local = || {
            let local: jiff::civil::DateTime = text.parse().ok().filter(|_| text.contains('-'))?;
            jiff::tz::TimeZone::system().to_timestamp(local).ok()
        };
        let iteration = text.parse().ok().map(Self::Iteration);
        let moment = || text.parse().ok().or_else(local).map(Self::Moment);
        let time = || text.parse().ok().filter(|_| !text.contains('-')).map(Self::Clock);
        iteration.or_else(moment).or_else(time).ok_or_else(|| {
            format!(
                "'{text}' is not a moment: write an iteration (12), a time (14:25) or a date and time (2026-11-24T14:25)"
            )
        })
    }
}

impl fmt::Display for MomentArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iteration(number) => number.fmt(f),
            Self::Clock(time) => time.fmt(f),
            Self::Moment(moment) => f.write_str(&Stamp::local(*moment).format("%F %T")),
        }
    }
}

const USAGE: &str = "\
memdiff [OPTIONS] <LOG>
       memdiff [OPTIONS] <EARLIER> <LATER>
       <COMMAND> | memdiff [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  memdiff log.jsonl                         the first moment with the last
  memdiff before.jsonl after.jsonl          the last moment of each
  memdiff --at 3 --at 14:25 log.jsonl       iteration 3 with the moment at 14:25
  memobj -i 10 -p 1234 | memdiff            each record with the one before
  memdiff --trend log.jsonl                 what grows, how fast, how sure
  memdiff --threshold 10% a.jsonl b.jsonl   exit code 1 if it grew 10 % and 4M
";

const NOTES: &str = "\
Matching: the same pid and start time on both sides are the same process. Other processes are
matched by role: roots with roots, and below each pair of roots children with the same command
line (numbers in it may differ), or the same name if a command line is unknown. Several with the
same command line are matched in the order of their start. The rest is new or gone. The table shows
the pids of both sides.

Unknown values: a log may list the largest types only. A type that is on one side only is new or
gone if the list of the other side is complete, and unknown (?) if it is truncated. A value that was
not measured is empty, never 0.

Trend: a series is the RSS or PSS of a process, their sum over a tree, the number of its open file
descriptors or threads, the size of a type, module, holder or cache, of all Python objects of a
process, or of its resident memory outside them. A series belongs to one process in one run: a
reused pid and another run in the same log begin another series. At most 10,000 series are followed;
above it the smallest are dropped and counted.

Threshold: growth counts if it is more than SIZE (default 4M) and, if a PERCENT is given, more than
this share of the size before. --threshold 0 counts any growth: RSS differs by some hundred KiB from
one reading to the next. With --trend it is the growth from the end of the warm-up to the end of the
log, and SIZE is 0 by default.

Moments: times without an offset are in this machine's time zone. --at takes the nearer of the two
moments around the time, and the last one if several runs or days have it. The standard input is
compared record by record, a file first with last; with --every 1 a file is compared like a pipe.

Exit status: 0 no growth beyond the threshold (with --trend: no growing series); 1 growth; 2 errors,
such as an unreadable file or nothing to compare.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"memdiff").chain(args))
    }

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert!(parse(&["--at", "3", "--trend", "x"]).is_err() && parse(&["--every", "0"]).is_err());
        assert_eq!(parse(&["-", "b"]).unwrap().logs, [PathBuf::from("-"), PathBuf::from("b")]);
    }

    #[test]
    fn threshold_is_size_or_percentage() {
        assert_eq!(Threshold::parse("1M"), Ok(Threshold::Bytes(1 << 20)));
        assert_eq!(Threshold::parse("10%"), Ok(Threshold::Ratio(0.1)));
        assert_eq!(Threshold::parse("0.5 %"), Ok(Threshold::Ratio(0.005)));
        assert!(Threshold::parse("10x").unwrap_err().contains("'x'"));
        for wrong in ["", "%", "-1%", "inf%", "NaN%", "ten"] {
            assert!(Threshold::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn moment_is_number_time_or_date() {
        let time = |hour, minute, second| MomentArg::Clock(jiff::civil::time(hour, minute, second, 0));
        assert_eq!(MomentArg::parse("12"), Ok(MomentArg::Iteration(12)));
        assert_eq!(MomentArg::parse("14:25"), Ok(time(14, 25, 0)));
        assert_eq!(MomentArg::parse("00:00:07"), Ok(time(0, 0, 7)));
        let there = jiff::Timestamp::from_millisecond(1_795_526_700_000).unwrap();
        assert_eq!(MomentArg::parse("2026-11-24T14:25+01:00"), Ok(MomentArg::Moment(there)));
        assert!(matches!(MomentArg::parse("2026-11-24T14:25"), Ok(MomentArg::Moment(_))));
        for wrong in ["", "25:00", "14:65", "noon", "-3", "2026-13-01T00:00", "1.5"] {
            assert!(MomentArg::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
        assert_eq!(MomentArg::parse("14:25").unwrap().to_string(), "14:25:00");
    }
}
