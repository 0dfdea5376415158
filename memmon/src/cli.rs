//! Command line arguments.
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use common::cli::{Repeat, parse_pid};
use common::record::Metric;
use common::time::parse_duration;
use common::units::parse_bytes;

/// Watch the memory of a process and all its children, from outside.
///
/// Samples are text on a terminal, and JSON lines in a pipe or file. memmon reads only what the system reports about processes:
/// it installs nothing in them and never pauses them.
#[derive(Debug, Parser)]
#[command(name = TOOL, version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Watch process PID and all processes below it (repeatable)
    #[arg(short, long, value_name = "PID", value_parser = parse_pid, conflicts_with = "command", help_heading = "Target")]
    pub pid: Vec<u32>,

    /// Watch all processes named NAME; interpreters also match by the name of their script
    #[arg(short, long, value_name = "NAME", conflicts_with = "command", help_heading = "Target")]
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

    /// Output format [default: that of the ending of FILE (.csv, .prom), else text on a terminal, jsonl otherwise]
    #[arg(long, value_enum, help_heading = "Output")]
    pub format: Option<Format>,

    /// Append to FILE instead of stdout; a launched command keeps its stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "watch", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Show the tree on a live screen with bars and history (needs a terminal)
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    pub watch: bool,

    /// When to read PSS and USS
    #[arg(long, value_enum, default_value_t = Pss::Auto, help_heading = "What")]
    pub pss: Pss,

    /// Save the history as text and JSONL in DIR [default: data/memory_diagnostics]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "data/memory_diagnostics", conflicts_with = "no_save", help_heading = "Output")]
    pub save: Option<PathBuf>,

    /// Do not save the history that is saved by default on a terminal
    #[arg(long, help_heading = "Output")]
    pub no_save: bool,

    /// Warn when a process grows by more than SIZE between two samples
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = parse_bytes, help_heading = "Limits")]
    pub warn_growth: u64,

    /// Warn when the RSS of a process rises above SIZE
    #[arg(long, value_name = "SIZE", default_value = "1000M", value_parser = parse_bytes, help_heading = "Limits")]
    pub warn_rss: u64,

    /// Exit with status 1 above a limit: SIZE or total:SIZE (RSS of the tree), rss:SIZE (RSS of one process), pss:SIZE (PSS of the tree), fds:N or threads:N (of one process)
    #[arg(long, value_name = "LIMIT", value_parser = Limit::parse, help_heading = "Limits")]
    pub fail_above: Vec<Limit>,

    /// Run the command of --run when a condition becomes true: rss:SIZE (one process), SIZE or total:SIZE (tree), 80% (of the memory limit), growth:100M/10m, fds:N or threads:N (one process), pressure:20% (time that tasks wait for memory)
    #[arg(long, value_name = "CONDITION", value_parser = Trigger::parse, requires = "run", conflicts_with = "command", help_heading = "Limits")]
    pub at: Vec<Trigger>,

    /// The command of --at, for a shell: {pid} is the process, {root} the root of its tree
    #[arg(long, value_name = "COMMAND", requires = "at", help_heading = "Limits")]
    pub run: Option<String>,

    /// Run it at most once in this time for each condition
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration, requires = "at", help_heading = "Limits")]
    pub every: Duration,

    /// Prefix each line of the command's output with the command's name
    #[arg(long, requires = "command", conflicts_with_all = ["pid", "name"], help_heading = "Output")]
    pub prefix: bool,

    /// Also write the command's output as `output` records (implies --prefix)
    #[arg(long, requires = "command", conflicts_with_all = ["pid", "name"], help_heading = "Output")]
    pub record_output: bool,

    /// Leave out command lines (they may contain secrets)
    #[arg(long, help_heading = "Output")]
    pub no_cmdline: bool,

    /// Where to read processes: /proc of Linux, or sysinfo as on other systems [default: linux on Linux]
    #[arg(long, value_enum, hide = true)]
    pub source: Option<SourceKind>,

    /// Do not subscribe to the kernel's process events even if permitted
    #[arg(long, hide = true)]
    pub no_connector: bool,
}

impl Args {
    /// The format that the user chose, by name or by the ending of the file.
    #[must_use]
    pub fn chosen_format(&self) -> Option<Format> {
        let name = self.output.as_deref().map(|path| path.to_string_lossy().into_owned());
        let has = |ending: &str| {
            name.as_deref().is_some_and(|name| name.strip_suffix(".gz").unwrap_or(name).ends_with(ending))
        };
        let by_ending = || match () {
            () if has(".csv") => Some(Format::Csv),
            () if has(".prom") => Some(Format::Openmetrics),
            () => None,
        };
        self.format.or_else(by_ending)
    }
}

/// The format of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Jsonl,
    /// Text for people
    Text,
    /// One row for each process and sample
    Csv,
    /// The newest values for Prometheus; with -o, FILE is replaced at every sample
    Openmetrics,
}

/// When PSS and USS are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pss {
    /// In turn, for at most 0.05 % of the time
    Auto,
    /// All processes at every sample, whatever it costs
    Always,
    /// Never
    Never,
}

/// Where processes are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// `/proc` with open descriptors
    Linux,
    /// The sysinfo crate
    Sysinfo,
}

/// A limit for `--fail-above`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The value that it applies to.
    pub metric: Metric,
    /// The limit is crossed above this: bytes, or a number of descriptors or threads.
    pub value: u64,
}

impl Limit {
    /// Parses `500M`, `total:500M`, `rss:500M`, `pss:500M`, `fds:1000` or `threads:200`.
    ///
    /// ```
    /// use common::record::Metric;
    /// use memmon::cli::Limit;
    ///
    /// assert_eq!(Limit::parse("rss:2K"), Ok(Limit { metric: Metric::Rss, value: 2048 }));
    /// ```
    ///
    /// # Errors
    /// The metric is unknown, or no size follows.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (metric, size) = match text.split_once(':') {
            None | Some(("total", _)) => (Metric::Total, text.strip_prefix("total:").unwrap_or(text)),
            Some(("rss", size)) => (Metric::Rss, size),
            Some(("pss", size)) => (Metric::Pss, size),
            Some(("fds", number)) => return Self::count(Metric::Fds, number),
            Some(("threads", number)) => return Self::count(Metric::Threads, number),
            Some((other, _)) => {
                return Err(format!("unknown metric '{other}': use total, rss, pss, fds or threads"));
            }
        };
        let value = parse_bytes(size).map_err(|error| error.to_string())?;
        Ok(Self { metric, value })
    }

    fn count(metric: Metric, number: &str) -> Result<Self, String> {
        let value = number.parse().map_err(|_| format!("'{number}' is not a number: write {metric}:1000"))?;
        Ok(Self { metric, value })
    }
}

/// A condition of `--at`, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The condition as it was written.
    pub text: String,
    /// Its meaning.
    pub condition: Condition,
}

/// What `--at` waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    /// A value is above a limit.
    Above(Limit),
    /// More than this percentage of the memory limit is in use.
    Percentage(u64),
    /// The RSS of one process grew by more than `bytes` within the time.
    Growth {
        /// The growth.
        bytes: u64,
        /// The time.
        within: Duration,
    },
    /// Tasks waited for memory for more than this share of the last 10 seconds.
    Pressure {
        /// All of them at once, not some.
        full: bool,
        /// The share, from 0 to 1.
        ratio: f64,
    },
}

impl Trigger {
    /// Parses `2G` and `total:2G` (RSS of the tree), `rss:2G` (RSS of one process), `80%` (of the memory limit), `growth:100M/10m`,
    /// `fds:1000`, `threads:200`, and `pressure:20%`, which is `pressure:some:20%`, or `pressure:full:5%`.
    ///
    /// ```
    /// use memmon::cli::Trigger;
    ///
    /// assert_eq!(Trigger::parse("80%").unwrap().text, "80%");
    /// assert!(Trigger::parse("growth:100M").is_err());
    /// ```
    ///
    /// # Errors
    /// It is none of these, or has no size, percentage or time.
    pub fn parse(text: &str) -> Result<Self, String> {
        let condition = if let Some(pressure) = text.strip_prefix("pressure:") {
            parse_pressure(pressure)?
        } else if let Some(percent) = text.strip_suffix('%') {
            match percent.parse() {
                Ok(percent @ 1..=99) => Condition::Percentage(percent),
                _ => return Err(format!("'{text}' is not between 1% and 99%")),
            }
        } else if let Some(growth) = text.strip_prefix("growth:") {
            let (bytes, within) =
                growth.split_once('/').ok_or("give a size and a time, as in growth:100M/10m")?;
            Condition::Growth {
                bytes: parse_bytes(bytes).map_err(|error| error.to_string())?,
                within: parse_duration(within).map_err(|error| error.to_string())?,
            }
        } else {
            let limit = Limit::parse(text)
                .map_err(|error| if text.contains(':') { error.replace("pss", "growth") } else { error })?;
            if limit.metric == Metric::Pss {
                return Err("PSS takes too long to be read every 100 ms: use total or rss".to_owned());
            }
            Condition::Above(limit)
        };
        Ok(Self { text: text.to_owned(), condition })
    }
}

/// Parses `20%`, `some:20%` or `full:5%`.
fn parse_pressure(text: &str) -> Result<Condition, String> {
    let (full, share) = match text.split_once(':') {
        None => (false, text),
        Some(("some", share)) => (false, share),
        Some(("full", share)) => (true, share),
        Some((other, _)) => return Err(format!("unknown pressure '{other}': use some or full")),
    };
    match share.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok()) {
        Some(percent) if percent > 0.0 && percent < 100.0 => {
            Ok(Condition::Pressure { full, ratio: percent / 100.0 })
        }
        _ => Err(format!("'{share}' is not between 0% and 100%: write pressure:20%")),
    }
}

/// The name of the tool.
pub const TOOL: &str = "memmon";

const USAGE: &str = "\
memmon [OPTIONS] -p <PID>
       memmon [OPTIONS] -n <NAME>
       memmon [OPTIONS] -- <COMMAND> [ARG]...";

const EXAMPLES: &str = "\
Examples:
  memmon -p 1234                          watch a process and its children
  memmon -p 1234 | tee log.jsonl          the same as a log
  memmon -n celery -i 1s --watch          all processes of that name, live
  memmon -- bot.py                        start it with its .venv, and watch it
  memmon --fail-above 500M -- pytest      fail if the tests need more
  memmon -n bot.py -o log-%Y%m%d.jsonl.gz a log file for each day, compressed
  memmon -n bot.py -o bot.prom            metrics for Prometheus
  memmon -p 1234 -o log.jsonl --at 80% --run 'memobj --leaks -p {pid}'
                                          find the leak before the OOM kill
";

const NOTES: &str = "\
Totals: RSS is the memory of a process that is in RAM. Pages that several processes share (forked workers!) count in \
each of them, so a total by RSS can be many times too large. PSS divides shared pages among the processes that share \
them, so a total by PSS is right.

Cost of PSS: the kernel walks the page tables of the process, about 14 ms per GB, and delays the process's own memory \
mapping calls meanwhile. With --pss auto these readings take at most 0.05 % of the time, one process after the other, \
and skip processes where one reading would take more than 20 ms. --pss always reads every process at every sample.

Launching: the command's output goes to memmon's stderr (with -o FILE the command keeps stdin, stdout and stderr). \
memmon ends when the command ends, with the command's status, or 128 + N after signal N. When --count or --duration \
is reached, memmon stops recording and waits for the command. --fail-above ends the command: SIGTERM, after 5 s SIGKILL.

Limits: with --fail-above memmon reads sizes every 100 ms, whatever the interval; PSS, descriptors and threads at each \
sample. When a launched command ends, memmon \
also checks the largest size that the kernel recorded.

At a condition: with --at memmon reads sizes every 100 ms. 80% is a share of the cgroup's limit, or of the machine's memory \
without one; page cache does not count. growth:100M/10m is the growth of one process within 10 minutes, without its first \
2 seconds. pressure:20% is the share of the last 10 seconds in which some tasks waited for memory (PSI), of the cgroup where \
it has that file, else of the machine; pressure:full:5% is that of all tasks at once. The command of --run gets MEMMON_PID, \
MEMMON_ROOT_PID, MEMMON_NAME, MEMMON_CONDITION and MEMMON_VALUE (bytes, a number, or a share from 0 to 1). One \
command runs at a time. With -o log.jsonl its output is kept beside it, as log-20261129T203010-1234.txt; without -o \
it goes to stderr. memmon waits for its end. \
With a launched command, watch the command from a second memmon. Before an OOM kill a process may grow faster than memobj \
copies it: --run 'memobj --save-snapshot last.mem --stop-first -p {pid}' pauses it before that.

Exit status: 0 the target ended or the user stopped memmon; 1 a limit of --fail-above was crossed; 2 an error; for a \
launched command its own status, 126 if it cannot be executed, 127 if it is not found.

Files: on a terminal the history is saved under $XDG_STATE_HOME/memtools (~/.local/state/memtools); the last line shows \
the path. \
-o appends to FILE. %Y, %m, %d and other conversions of strftime(3) in its name begin a new file when the name changes; %% is \
a percent sign. A FILE.gz is compressed in blocks of up to a minute. Several processes can append to one FILE. A FILE.prom, or \
one with --format openmetrics, is replaced at every sample.
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
    fn ending_chooses_the_format() {
        let chosen = |args: &[&str]| parse(&[&["-p", "1"], args].concat()).unwrap().chosen_format();
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&["-o", "a.jsonl"]), None);
        assert_eq!(chosen(&["-o", "log-%Y.csv"]), Some(Format::Csv));
        assert_eq!(chosen(&["-o", "log.csv.gz"]), Some(Format::Csv));
        assert_eq!(chosen(&["-o", "bot.prom"]), Some(Format::Openmetrics));
        assert_eq!(chosen(&["-o", "bot.prom", "--format", "jsonl"]), Some(Format::Jsonl));
    }

    #[test]
    fn save_folder_is_optional() {
        assert_eq!(parse(&["-p", "1"]).unwrap().save, None);
        assert_eq!(parse(&["--save", "-p", "1"]).unwrap().save, Some("data/memory_diagnostics".into()));
        assert_eq!(parse(&["--save", "dir", "-p", "1"]).unwrap().save, Some("dir".into()));
    }

    #[test]
    fn limit_names_its_metric() {
        let limit = |metric, value| Ok(Limit { metric, value });
        assert_eq!(Limit::parse("500M"), limit(Metric::Total, 500 << 20));
        assert_eq!(Limit::parse("total:1K"), limit(Metric::Total, 1024));
        assert_eq!(Limit::parse("rss:1G"), limit(Metric::Rss, 1 << 30));
        assert_eq!(Limit::parse("pss:2G"), limit(Metric::Pss, 2 << 30));
        assert!(Limit::parse("uss:2G").unwrap_err().contains("uss"));
        assert_eq!(Limit::parse("fds:1000"), limit(Metric::Fds, 1000));
        assert_eq!(Limit::parse("threads:200"), limit(Metric::Threads, 200));
        assert!(Limit::parse("rss:").is_err() && Limit::parse("fds:1k").is_err());
    }

    #[test]
    fn conditions_are_parsed() {
        let condition = |text: &str| Trigger::parse(text).map(|trigger| trigger.condition);
        assert_eq!(condition("80%"), Ok(Condition::Percentage(80)));
        let total = Limit { metric: Metric::Total, value: 2 << 30 };
        assert_eq!(condition("2G"), Ok(Condition::Above(total)));
        let growth = Condition::Growth { bytes: 100 << 20, within: Duration::from_secs(600) };
        assert_eq!(condition("growth:100M/10m"), Ok(growth));
        assert_eq!(condition("fds:9"), Ok(Condition::Above(Limit { metric: Metric::Fds, value: 9 })));
        for (text, full, ratio) in [("20%", false, 0.2), ("some:20%", false, 0.2), ("full:0.5%", true, 0.005)]
        {
            assert_eq!(condition(&format!("pressure:{text}")), Ok(Condition::Pressure { full, ratio }));
        }
        for text in ["", "20", "0%", "100%", "all:20%", "some:", "NaN%"] {
            assert!(condition(&format!("pressure:{text}")).is_err(), "{text}");
        }
        for text in
            ["0%", "100%", "-1%", "x%", "", "pss:1G", "growth:1G", "growth:/1m", "growth:1M/0", "uss:1G", ""]
        {
            assert!(condition(text).is_err(), "{text}");
        }
    }
}
