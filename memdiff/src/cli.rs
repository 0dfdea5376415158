//! What the user types.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use common::units;

/// What a process, type, module, holder or cache may grow by before the exit code tells of it, unless the user says otherwise.
///
/// Resident sizes are kept by the kernel for each processor and summed up carelessly, and an idle interpreter comes and goes by
/// some hundred KiB: with 0 every comparison of two real moments would "grow".
pub const DEFAULT_THRESHOLD_BYTES: u64 = 4 << 20;

/// Compare two moments of a program's memory, or judge what grows over a whole log.
///
/// One log: its first moment with its last. Two logs: the last moment of each. A pipe: each record with the one before, as
/// they come. With --trend: what every process, type and module does over all moments, how fast, and how sure that is.
/// Logs are those of memmon, memobj, and of the older Python tool; they may be compressed with gzip or zstd.
#[derive(Debug, Parser)]
#[command(name = "memdiff", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// One log, or an earlier and a later one; - is the standard input
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,

    /// Take this moment: an iteration (12), a time of day (14:25) or a date and time (2026-11-24T14:25); twice for both sides
    #[arg(long, value_name = "MOMENT", value_parser = MomentArg::parse, conflicts_with_all = ["every", "trend"])]
    pub at: Vec<MomentArg>,

    /// Print a comparison at every Nth record of each process, with the Nth before it; with --trend the verdicts so far
    #[arg(long, value_name = "N")]
    pub every: Option<NonZeroUsize>,

    /// Judge every series over all moments: growing, steady, shrinking, saw-tooth, or too short to say
    #[arg(long)]
    pub trend: bool,

    /// Count growth only beyond SIZE or PERCENT (1M, 10%); given both, both must be passed [default: 4M, with --trend 0]
    #[arg(long, value_name = "SIZE|PERCENT", value_parser = Threshold::parse)]
    pub threshold: Vec<Threshold>,

    /// What makes the exit code 1 [default: growing with --trend, grown without]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,

    /// Rows of each table, in text and markdown
    #[arg(short, long, value_name = "ROWS", default_value = "20")]
    pub limit: NonZeroUsize,

    /// Every row: unchanged ones and steady series too
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How differences are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people
    Text,
    /// One `diff` record a line
    Jsonl,
    /// One row for each value that is on a side
    Csv,
    /// Tables for an issue or a pull request
    Markdown,
}

/// What makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Something grew beyond the threshold from one moment to the other
    Grown,
    /// A verdict says that something grows (with --trend)
    Growing,
    /// Nothing does
    Never,
}

/// One bound that growth must pass to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// In bytes.
    Bytes(u64),
    /// As a share of what was there before; 0.1 is a tenth.
    Ratio(f64),
}

impl Threshold {
    /// Reads `1M` or `10%`.
    ///
    /// # Errors
    /// What is neither a size nor a percentage of 0 or more.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            return units::parse_bytes(text).map(Self::Bytes).map_err(|error| error.to_string());
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(Self::Ratio(percent / 100.0)),
            _ => Err(format!("'{text}' is no percentage: write a number, as 10% or 0.5%")),
        }
    }
}

/// A moment that the user names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MomentArg {
    /// The iteration of that number.
    Iteration(u64),
    /// A time of day in this machine's zone, in seconds since midnight: on the last day of the log that comes by it.
    Clock {
        /// Seconds since midnight.
        seconds: u32,
        /// As the user wrote it.
        text: String,
    },
    /// A moment, in milliseconds since 1970.
    Moment {
        /// Milliseconds since 1970.
        unix_ms: i64,
        /// As the user wrote it.
        text: String,
    },
}

impl MomentArg {
    /// Reads `12`, `14:25`, `14:25:30`, `2026-11-24T14:25` (here) or `2026-11-24T14:25+01:00` (there).
    ///
    /// # Errors
    /// What is none of these, or a local time that no clock showed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no moment: write an iteration (12), a time (14:25) or a date and time (2026-11-24T14:25)"
            )
        };
        if let Ok(iteration) = text.parse::<u64>() {
            return Ok(Self::Iteration(iteration));
        }
        let text = text.to_owned();
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Moment { unix_ms: moment.as_millisecond(), text });
        }
        if text.contains('-') {
            let local = text.parse::<jiff::civil::DateTime>().map_err(|_| wrong())?;
            let moment = jiff::tz::TimeZone::system().to_timestamp(local).map_err(|_| wrong())?;
            return Ok(Self::Moment { unix_ms: moment.as_millisecond(), text });
        }
        let time = text.parse::<jiff::civil::Time>().map_err(|_| wrong())?;
        let [hours, minutes, seconds] =
            [time.hour(), time.minute(), time.second()].map(|part| u32::try_from(part).unwrap_or(0));
        Ok(Self::Clock { seconds: hours * 3600 + minutes * 60 + seconds, text })
    }

    /// As the user wrote it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Iteration(number) => number.to_string(),
            Self::Clock { text, .. } | Self::Moment { text, .. } => text.clone(),
        }
    }
}

const USAGE: &str = "\
memdiff [OPTIONS] <LOG>
       memdiff [OPTIONS] <EARLIER> <LATER>
       <COMMAND> | memdiff [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  memdiff log.jsonl                         what changed from the first to the last moment
  memdiff before.jsonl after.jsonl          the last moment of each
  memdiff --at 3 --at 14:25 log.jsonl       iteration 3 with the moment at 14:25
  memobj -i 10 -p 1234 | memdiff            what changed since the record before, live
  memdiff --trend log.jsonl                 what grows, how fast, how sure
  memdiff --threshold 10% a.jsonl b.jsonl   exit 1 if something grew by more than a tenth (and 4M)
";

const NOTES: &str = "\
Matching: a process on both sides is known by its number and start. Others are matched by their
role: root with root, and below it a child with one of the same command line (numbers in it may
differ), or of the same name where a command line is not known; several of the same by order of
start. What is left on one side is new or gone. The pids of both sides stand in the table.

Unknown: a log may list only the largest types. What only one side lists is new or gone if the
other list was whole, and unknown (?) if it was cut: it may well have been there. What was not
measured is empty, never 0.

Trend: series are the resident and proportional size of each process, their sums over each tree,
the bytes of each type and module, and of each holder and cache where a log has them, all Python
objects of a process, and what of its resident size they do not explain. A series is of one
process in one run: a pid used again, and another run in the same log, begin another one. At most
10,000 are followed; of more, the smallest are dropped and counted.

Threshold: growth counts if it is more than SIZE (4M unless given) and, if a PERCENT is given,
more than that share of what was there before. --threshold 0 counts any growth: resident sizes
differ by some hundred KiB from one reading to the next. With --trend it is the growth over the
whole log, from behind the warm-up to the end, and SIZE is 0 unless given.

Moments: times without an offset are of this machine's zone. --at takes the nearer one of the two
moments around that time, and of several runs or days that have it, the last. A standard input is
compared record by record, a file first with last; --every 1 treats a file like a pipe.

Exit status: 0 nothing grew beyond the threshold (with --trend: nothing is growing); 1 something
did; 2 trouble, as a file that cannot be read or that has nothing to compare.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"memdiff").chain(args))
    }

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert!(parse(&["--at", "3", "--trend", "x"]).is_err() && parse(&["--every", "0"]).is_err());
        assert_eq!(parse(&["-", "b"]).unwrap().logs, [PathBuf::from("-"), PathBuf::from("b")]);
    }

    #[test]
    fn thresholds_are_sizes_or_shares() {
        assert_eq!(Threshold::parse("1M"), Ok(Threshold::Bytes(1 << 20)));
        assert_eq!(Threshold::parse("10%"), Ok(Threshold::Ratio(0.1)));
        assert_eq!(Threshold::parse("0.5 %"), Ok(Threshold::Ratio(0.005)));
        assert!(Threshold::parse("10x").unwrap_err().contains("'x'"));
        for wrong in ["", "%", "-1%", "inf%", "NaN%", "ten"] {
            assert!(Threshold::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn moments_are_numbers_times_or_dates() {
        assert_eq!(MomentArg::parse("12"), Ok(MomentArg::Iteration(12)));
        assert!(
            matches!(MomentArg::parse("14:25"), Ok(MomentArg::Clock { seconds, .. }) if seconds == 14 * 3600 + 25 * 60)
        );
        assert!(matches!(MomentArg::parse("00:00:07"), Ok(MomentArg::Clock { seconds: 7, .. })));
        let there = MomentArg::parse("2026-11-24T14:25+01:00").unwrap();
        assert!(matches!(&there, MomentArg::Moment { unix_ms: 1_795_526_700_000, .. }), "{there:?}");
        assert!(matches!(MomentArg::parse("2026-11-24T14:25"), Ok(MomentArg::Moment { .. })));
        for wrong in ["", "25:00", "14:65", "noon", "-3", "2026-13-01T00:00", "1.5"] {
            assert!(MomentArg::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
        assert_eq!(MomentArg::parse("14:25").unwrap().text(), "14:25");
    }
}
