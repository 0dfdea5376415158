//! The command line, and how it becomes a configuration.

mod help;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Parser};
use common::cli::{Failure, parse_interval, parse_pid};
use common::record::Scope;
use common::time::{DurationError, parse_duration};
use common::units::{parse_bytes, thousands};
use memobj_cpython::runtime::LocateMethod;

use self::help::{EXAMPLES, NOTES, USAGE};
use crate::config::{
    CacheOptions, CensusOptions, Config, ExportFile, ExportFormat, Format, HeapFile, HolderOptions,
    MAX_PAUSE, NICE, StopPolicy, Targets, TextOptions, WatchOptions,
};
use crate::leaks::MIN_CENSUSES;
use crate::named_processes;
use crate::survivors::MAX_CENSUSES;

/// The default interval of repeated censuses.
const INTERVAL: Duration = Duration::from_secs(10);

/// The default length of a search for leaks, and its number of intervals.
const LEAK_SEARCH: Duration = Duration::from_secs(60);
const LEAK_STEPS: u32 = 6;

/// Count every object of a running Python program, from outside.
///
/// Counts and sizes by type and module, with threads and the garbage collector: one JSON line per census, or tables on a
/// terminal. No code runs in the program. It is paused only while its memory is copied, and the pause is reported.
#[derive(Debug, Parser)]
#[command(name = "memobj", version, group = ArgGroup::new("observes").args(["leaks", "watch_adds"]), override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Count the objects of process PID (can be repeated)
    #[arg(short, long, value_name = "PID", value_parser = parse_pid, help_heading = "Target")]
    pub pid: Vec<u32>,

    /// Count the objects of the process named NAME, or whose Python script has that name (can be repeated)
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["core", "snapshot"], help_heading = "Target")]
    pub name: Vec<String>,

    /// Include all Python processes in the tree below PID; with -n, of all processes of that name
    #[arg(long, help_heading = "Target")]
    pub tree: bool,

    /// Count the objects in a core file of gcore or the kernel
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pid", "snapshot"], help_heading = "Target")]
    pub core: Option<PathBuf>,

    /// Count the objects in a snapshot from --save-snapshot
    #[arg(long, value_name = "FILE", conflicts_with = "pid", help_heading = "Target")]
    pub snapshot: Option<PathBuf>,

    /// Start this command and count its objects; a .py file runs with the project's interpreter
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["pid", "name", "core", "snapshot"])]
    pub command: Vec<OsString>,

    /// Repeat at this interval: 10, 0.5, 500ms, 2s, 1m [default: once; every 10s with a command]
    #[arg(short, long, value_name = "TIME", value_parser = parse_interval, allow_hyphen_values = true, conflicts_with_all = ["core", "snapshot"], help_heading = "When")]
    pub interval: Option<Duration>,

    /// Stop after N censuses (every 10s without -i; with --leaks, N within its time); with --watch-adds, after N additions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["core", "snapshot"], help_heading = "When")]
    pub count: Option<u64>,

    /// Stop after this time (every 10s without -i)
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, conflicts_with_all = ["core", "snapshot"], help_heading = "When")]
    pub duration: Option<Duration>,

    /// Which objects to count
    #[arg(long, value_enum, default_value_t = Scope::Reachable, help_heading = "What")]
    pub scope: Scope,

    /// Show who holds the objects: by place in the program and by owner, who holds the open file descriptors, and unreachable objects
    #[arg(long, help_heading = "What")]
    pub holders: bool,

    /// Show retained sizes: the bytes that would be freed without each type and each holder; memplot draws them
    #[arg(long, help_heading = "What")]
    pub retained: bool,

    /// Show the paths to root that keep objects of TYPE alive (can be repeated)
    #[arg(long, value_name = "TYPE", help_heading = "What")]
    pub why: Vec<String>,

    /// Find the program's caches: entries, sizes, limits, hit ratios and problems
    #[arg(long, help_heading = "What")]
    pub caches: bool,

    /// With --caches, count entries larger than SIZE
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "1M", requires = "caches", help_heading = "What")]
    pub max_item: u64,

    /// Compare several censuses and report leaks: what grows, how fast, and who holds it
    #[arg(long, conflicts_with_all = ["core", "snapshot", "duration", "scope", "holders", "retained", "why", "memory", "caches", "save_snapshot", "export", "diff_every"], help_heading = "What")]
    pub leaks: bool,

    /// Watch a container, named as --leaks and --holders print it: which lines add to it and remove from it, until Ctrl-C
    #[arg(long, value_name = "HOLDER", conflicts_with_all = ["core", "snapshot", "command", "tree", "leaks", "interval", "duration", "scope", "holders", "retained", "why", "memory", "caches", "save_snapshot", "export", "diff_every"], help_heading = "What")]
    pub watch_adds: Option<String>,

    /// How long to observe with --leaks [default: 60s] or --watch-adds
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, requires = "observes", help_heading = "When")]
    pub observe: Option<Duration>,

    /// Read memory while the process runs, without a copy or a pause, and count torn reads
    #[arg(long, conflicts_with_all = ["core", "snapshot", "max_pause"], help_heading = "When")]
    pub no_stop: bool,

    /// Pause the process for at most TIME, and read it while it runs if a copy takes longer; 0 pauses no thread at all [default: 250ms]
    #[arg(long, value_name = "TIME", value_parser = parse_pause, conflicts_with_all = ["core", "snapshot"], help_heading = "When")]
    pub max_pause: Option<Duration>,

    /// Pause only threads that run, none that waits in a system call; if that does not suffice, read the process while it runs
    #[arg(long, conflicts_with_all = ["core", "snapshot", "no_stop", "save_snapshot"], help_heading = "When")]
    pub no_interrupt: bool,

    /// With --save-snapshot, pause the process before memory for the copy is prepared: a longer pause, but it does not grow meanwhile
    #[arg(long, requires = "save_snapshot", conflicts_with = "core", help_heading = "When")]
    pub stop_first: bool,

    /// Account for the whole resident set: objects, allocators, stacks, files (makes the pause a little longer)
    #[arg(long, help_heading = "What")]
    pub memory: bool,

    /// Save the counted memory to FILE; it contains the program's data, so only its owner can read it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tree", "command", "snapshot", "interval", "count", "duration", "no_stop", "max_pause"], help_heading = "What")]
    pub save_snapshot: Option<PathBuf>,

    /// Write the objects to FILE for another tool, by its ending: .heapsnapshot (Chrome DevTools, memlab), .pb.gz (pprof, Pyroscope), .speedscope.json, or .csv (types, for spreadsheets); no values of the program
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(parse_export), conflicts_with_all = ["tree", "command", "interval", "count", "duration"], help_heading = "What")]
    pub export: Option<ExportFile>,

    /// Rows per table
    #[arg(short, long, value_name = "ROWS", default_value = "20", help_heading = "Output")]
    pub limit: usize,

    /// In text, show changes at every Nth census; 0 never does
    #[arg(long, value_name = "N", default_value = "3", help_heading = "Output")]
    pub diff_every: u64,

    /// Output format [default: by the ending of FILE, .jsonl or .prom; else text on a terminal, jsonl otherwise]
    #[arg(long, value_enum, help_heading = "Output")]
    pub format: Option<Format>,

    /// Append text to FILE and records to FILE.jsonl instead of stdout; only records to a FILE that ends with .jsonl, only --format to FILE with it; a command keeps its stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Leave out command lines and paths of programs (they may contain secrets)
    #[arg(long, help_heading = "Output")]
    pub no_cmdline: bool,

    /// Nice value of the analysis, 0 to 19: a higher one leaves more processor time to the program
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=19), default_value_t = NICE, help_heading = "When")]
    pub nice: u8,

    /// Locate the interpreter by this method only
    #[arg(long, value_parser = locate_methods(), hide = true)]
    pub locate: Option<LocateMethod>,
}

/// Parses the longest pause, which may be 0.
fn parse_pause(text: &str) -> Result<Duration, DurationError> {
    match parse_duration(text) {
        Err(DurationError::NotPositive(text)) if !text.trim().starts_with('-') => Ok(Duration::ZERO),
        parsed => parsed,
    }
}

/// Finds the format of an export by the ending of its name.
fn parse_export(path: OsString) -> Result<ExportFile, String> {
    let name = path.to_string_lossy();
    let known = ExportFormat::ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
    let Some(&(_, format)) = known else {
        let endings = ExportFormat::ENDINGS.map(|(ending, _)| ending);
        return Err(format!("the ending of the name is the format: {}", endings.join(", ")));
    };
    Ok(ExportFile { format, path: path.into() })
}

/// Parses the name of a method of finding the interpreter.
fn locate_methods() -> impl TypedValueParser<Value = LocateMethod> {
    PossibleValuesParser::new(LocateMethod::ALL.map(LocateMethod::as_str))
        .try_map(|name| name.parse().map_err(|()| format!("unknown method: {name}")))
}

impl Args {
    /// Replaces the names of processes by their pids.
    ///
    /// # Errors
    /// No process has a name, or several have one and not all of them are wanted.
    pub fn find_processes(&mut self) -> Result<(), Failure> {
        let names = std::mem::take(&mut self.name);
        if !names.is_empty() {
            let below = named_processes::Below { included: self.tree || self.leaks, all: self.tree };
            self.pid.extend(named_processes::find(&names, below, !self.no_cmdline)?);
        }
        Ok(())
    }

    /// Resolves the arguments into the configuration of a run.
    ///
    /// # Errors
    /// A combination makes no sense, with a hint.
    pub fn into_config(self) -> Result<Config, Failure> {
        let targets = match (self.core, self.snapshot) {
            (Some(core), _) => Targets::File(HeapFile::Core(core)),
            (None, Some(snapshot)) => Targets::File(HeapFile::Snapshot(snapshot)),
            (None, None) if !self.command.is_empty() => Targets::Command(self.command),
            (None, None) => Targets::Processes(self.pid),
        };
        match &targets {
            Targets::Processes(pids) if pids.is_empty() && self.tree => {
                return Err(Failure::new(
                    "--tree needs a running process",
                    "give -p PID, -n NAME or -- COMMAND",
                ));
            }
            Targets::Processes(pids) if pids.is_empty() => {
                return Err(Failure::new(
                    "nothing to count",
                    "give -p PID, -n NAME, --core FILE, --snapshot FILE, or -- COMMAND; see memobj --help",
                ));
            }
            Targets::Processes(pids) if pids.len() > 1 && self.save_snapshot.is_some() => {
                return Err(Failure::new("a snapshot is of one process", "give one -p PID"));
            }
            Targets::Processes(pids) if pids.len() > 1 && self.export.is_some() => {
                return Err(Failure::new("an export is of one process", "give one -p PID"));
            }
            Targets::Processes(pids) if pids.len() > 1 && self.watch_adds.is_some() => {
                return Err(Failure::new("a container is of one process", "give one -p PID"));
            }
            Targets::File(_) if self.tree => {
                return Err(Failure::new(
                    "--tree needs a running process",
                    "give -p PID, -n NAME or -- COMMAND",
                ));
            }
            _ => {}
        }
        let observed = self.observe.unwrap_or(LEAK_SEARCH);
        let repeats = (self.count.is_some() || self.duration.is_some()) && self.watch_adds.is_none();
        let interval = match &targets {
            _ if self.leaks => {
                let steps = self.count.map_or(LEAK_STEPS, |count| {
                    u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX).max(1)
                });
                Some(self.interval.unwrap_or(observed / steps))
            }
            Targets::Command(_) => Some(self.interval.unwrap_or(INTERVAL)),
            _ => self.interval.or(repeats.then_some(INTERVAL)),
        };
        // With an interval and a number, these two alone decide, unless a time was given too.
        let timed = self.observe.is_some() || self.interval.is_none();
        let max_censuses = match interval {
            Some(interval) if self.leaks => {
                let steps = observed.as_nanos() / interval.as_nanos().max(1);
                let fit = u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1);
                check_leak_search(self.count.map_or(fit, |count| if timed { count.min(fit) } else { count }))?
            }
            _ if self.watch_adds.is_some() => 1,
            _ => self.count.unwrap_or(u64::MAX),
        };
        let holders = self.holders || self.retained || !self.why.is_empty();
        let by_ending = self.output.as_deref().and_then(Format::of_file);
        Ok(Config {
            targets,
            tree: self.tree,
            children: self.leaks && !self.tree,
            census: CensusOptions {
                scope: self.scope,
                stop: match self.no_stop {
                    true => StopPolicy::Never,
                    false if self.stop_first => StopPolicy::AtOnce,
                    // A snapshot needs a copy, however long that takes.
                    false if self.save_snapshot.is_some() => {
                        StopPolicy::IfAwake { at_most: None, interrupts: true }
                    }
                    false => StopPolicy::IfAwake {
                        at_most: Some(self.max_pause.unwrap_or(MAX_PAUSE)),
                        interrupts: !self.no_interrupt,
                    },
                },
                locate: self.locate,
                // The search for leaks uses the account to explain a growing resident set. It needs a stop.
                memory: self.memory || self.leaks && !self.no_stop,
                save: self.save_snapshot,
                export: self.export,
                holders: holders.then_some(HolderOptions { retained: self.retained, why: self.why }),
                watch: self.watch_adds.clone(),
                caches: self.caches.then_some(CacheOptions { max_item_bytes: self.max_item }),
                cmdline: !self.no_cmdline,
                nice: self.nice,
            },
            interval,
            max_censuses,
            duration: self.duration,
            leaks: self.leaks,
            search_time: Some(observed).filter(|_| self.leaks && timed),
            watch: self.watch_adds.map(|_| WatchOptions { duration: self.observe, additions: self.count }),
            output: self.output,
            format: self.format.or(by_ending),
            text: TextOptions { limit: self.limit, diff_every: self.diff_every, memory: self.memory },
        })
    }
}

/// The number of censuses, if a search for leaks can use it.
fn check_leak_search(censuses: u64) -> Result<u64, Failure> {
    if censuses < MIN_CENSUSES as u64 {
        let what = format!(
            "that makes {censuses} censuses in all; a search for leaks needs at least {MIN_CENSUSES}"
        );
        return Err(Failure::new(what, "give a longer --for, or a shorter -i"));
    }
    if censuses > MAX_CENSUSES as u64 {
        let what =
            format!("that makes {} censuses; at most {MAX_CENSUSES} can be compared", thousands(censuses));
        return Err(Failure::new(what, "give a shorter --for, or a longer -i"));
    }
    Ok(censuses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"memobj").chain(args))
    }

    fn config(args: &[&str]) -> Config {
        parse(args).unwrap().into_config().unwrap()
    }

    #[test]
    fn clap_definition_is_valid() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn repeats_only_when_asked() {
        let repeat = |args: &[&str]| config(args).interval;
        assert_eq!(repeat(&["-p", "1"]), None);
        assert_eq!(repeat(&["--core", "core"]), None);
        assert_eq!(repeat(&["-p", "1", "-i", "2"]), Some(Duration::from_secs(2)));
        for args in [&["-p", "1", "--count", "3"][..], &["-p", "1", "--duration", "1m"], &["--", "python"]] {
            assert_eq!(repeat(args), Some(INTERVAL), "{args:?}");
        }
        assert!(parse(&["-i", "9ms", "-p", "1"]).is_err() && parse(&["-i", "-1", "-p", "1"]).is_err());
    }

    #[test]
    fn ending_chooses_the_format() {
        let format = |args: &[&str]| config(&[&["-p", "1"], args].concat()).format;
        assert_eq!(format(&["-o", "night"]), None);
        assert_eq!(format(&["-o", "night.txt.gz"]), None);
        assert_eq!(format(&["-o", "night-%Y.jsonl"]), Some(Format::Jsonl));
        assert_eq!(format(&["-o", "night.jsonl.gz"]), Some(Format::Jsonl));
        assert_eq!(format(&["-o", "bot.prom"]), Some(Format::Openmetrics));
        assert_eq!(format(&["-o", "bot.jsonl", "--format", "text"]), Some(Format::Text));
    }

    #[test]
    fn leak_search_defaults_to_one_minute() {
        let plan = |args: &[&str]| {
            let config = config(args);
            (config.interval.unwrap().as_millis(), config.max_censuses)
        };
        assert_eq!(plan(&["--leaks", "-p", "1"]), (10_000, 7));
        assert_eq!(plan(&["--leaks", "-p", "1", "--for", "3s", "-i", "0.5"]), (500, 7));
        assert_eq!(plan(&["--leaks", "-p", "1", "--for", "10m"]), (100_000, 7));
        assert_eq!(plan(&["--leaks", "-p", "1", "-i", "20"]), (20_000, 4));
        assert_eq!(plan(&["--leaks", "-p", "1", "--count", "4"]), (20_000, 4));
        assert_eq!(plan(&["--leaks", "-p", "1", "--count", "40", "-i", "10"]), (10_000, 40));
        assert_eq!(plan(&["--leaks", "-p", "1", "--count", "40", "-i", "10", "--for", "1m"]), (10_000, 7));
        let time = |args: &[&str]| config(args).search_time.map(|time| time.as_secs());
        assert_eq!(time(&["--leaks", "-p", "1", "--for", "10m"]), Some(600));
        assert_eq!(time(&["--leaks", "-p", "1", "-i", "20"]), None);
        assert_eq!(time(&["-p", "1"]), None);
        let too_few = parse(&["--leaks", "-p", "1", "--count", "2"]).unwrap().into_config().unwrap_err();
        assert!(too_few.message.contains("at least 3"), "{too_few:?}");
        let census = |args: &[&str]| config(args).census;
        let (leaks, plain) = (config(&["-p", "1", "--leaks"]), config(&["-p", "1"]));
        assert!(leaks.leaks && leaks.census.memory && !plain.leaks && !plain.census.memory);
        assert!(!census(&["-p", "1", "--leaks", "--no-stop"]).memory, "an account needs a stop");
        for args in [
            &["--for", "1m", "-p", "1"][..],
            &["--leaks", "--duration", "3s", "-p", "1"],
            &["--leaks", "--core", "x"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn conflicting_options_are_refused() {
        for args in [
            &["-p", "1", "--", "python"][..],
            &["--core", "a", "--snapshot", "b"],
            &["--core", "a", "-p", "1"],
            &["--snapshot", "a", "-i", "1"],
            &["-p", "1", "--no-stop", "--max-pause", "1ms"],
            &["-p", "1", "--save-snapshot", "x", "-i", "1"],
            &["-p", "1", "--tree", "--save-snapshot", "x"],
            &["-p", "1", "--max-pause", "1ms", "--save-snapshot", "x"],
            &["-p", "1", "--tree", "--export", "x.heapsnapshot"],
            &["-p", "1", "-i", "1", "--export", "x.heapsnapshot"],
            &["-p", "1", "--leaks", "--export", "x.heapsnapshot"],
            &["-p", "1", "--export", "x.heap"],
            &["-p", "0"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
        assert_eq!(
            parse(&["--", "prog", "-p", "--tree", "--"]).unwrap().command,
            ["prog", "-p", "--tree", "--"]
        );
    }

    #[test]
    fn watch_takes_its_bounds() {
        let watch = |args: &[&str]| config(&[&["-p", "1", "--watch-adds", "bot.CACHE"], args].concat());
        assert_eq!(watch(&[]).watch, Some(WatchOptions { duration: None, additions: None }));
        assert_eq!((watch(&[]).interval, watch(&[]).census.watch.as_deref()), (None, Some("bot.CACHE")));
        let bounded = watch(&["--for", "5s", "--count", "9"]);
        let expected = WatchOptions { duration: Some(Duration::from_secs(5)), additions: Some(9) };
        assert_eq!((bounded.watch, bounded.interval), (Some(expected), None));
        for args in [&["--leaks"][..], &["--tree"], &["-i", "1"], &["--why", "x"]] {
            assert!(parse(&[&["-p", "1", "--watch-adds", "x"], args].concat()).is_err(), "{args:?}");
        }
        let two = parse(&["-p", "1", "-p", "2", "--watch-adds", "x"]).unwrap().into_config();
        assert!(two.is_err_and(|failure| failure.message.contains("one process")));
    }

    #[test]
    fn options_reach_the_config() {
        let census = |args: &[&str]| config(args).census;
        let plain = census(&["-p", "1"]);
        assert_eq!((plain.scope, plain.stop, plain.locate), (Scope::Reachable, StopPolicy::default(), None));
        assert_eq!(census(&["-p", "1", "--no-stop"]).stop, StopPolicy::Never);
        let limited = census(&["-p", "1", "--max-pause", "50ms", "--scope", "tracked", "--locate", "cookie"]);
        assert_eq!(
            limited.stop,
            StopPolicy::IfAwake { at_most: Some(Duration::from_millis(50)), interrupts: true }
        );
        let gentle = census(&["-p", "1", "--no-interrupt"]).stop;
        assert_eq!(gentle, StopPolicy::IfAwake { at_most: Some(MAX_PAUSE), interrupts: false });
        let never = census(&["-p", "1", "--max-pause", "0"]).stop;
        assert!(parse(&["-p", "1", "--max-pause=-1"]).is_err());
        assert_eq!(never, StopPolicy::IfAwake { at_most: Some(Duration::ZERO), interrupts: true });
        assert_eq!((limited.scope, limited.locate), (Scope::Tracked, Some(LocateMethod::Cookie)));
        let saving = census(&["-p", "1", "--save-snapshot", "x"]);
        assert_eq!(
            (saving.save, saving.stop),
            (Some("x".into()), StopPolicy::IfAwake { at_most: None, interrupts: true })
        );
        assert_eq!((&plain.holders, plain.caches), (&None, None));
        let caching = |bytes| Some(CacheOptions { max_item_bytes: bytes });
        assert_eq!(census(&["-p", "1", "--caches"]).caches, caching(1 << 20));
        assert_eq!(census(&["-p", "1", "--caches", "--max-item", "4K"]).caches, caching(4096));
        assert!(parse(&["-p", "1", "--max-item", "4K"]).is_err());
        assert_eq!(census(&["-p", "1", "--holders"]).holders, Some(HolderOptions::default()));
        let why = census(&["-p", "1", "--why", "Session", "--why", "dict", "--retained"]).holders;
        let expected = HolderOptions { retained: true, why: vec!["Session".into(), "dict".into()] };
        assert_eq!(why, Some(expected));
    }
}
