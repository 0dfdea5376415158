//! What the user types.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use common::cli::{Failure, parse_interval, parse_time};
use common::units::{parse_bytes, thousands};
use memobj_cpython::runtime::LocateMethod;

use crate::config::{
    CacheOptions, CensusOptions, Config, Format, HeapFile, HolderOptions, Scope, StopPolicy, Targets,
    TextOptions,
};
use crate::leaks::MIN_CENSUSES;
use crate::survivors::MAX_CENSUSES;

/// The default interval of repeated censuses.
const INTERVAL: Duration = Duration::from_secs(10);

/// The default length of a search for leaks, and its number of intervals.
const LEAK_SEARCH: Duration = Duration::from_secs(60);
const LEAK_STEPS: u32 = 4;

/// Count every object of a running Python program, from outside.
///
/// What each object is and weighs, by type and module, with threads and the garbage collector: one JSON line for each census,
/// on a terminal tables for people. No code runs in the program; it stands still only while its memory is copied, and how long
/// that took is said.
#[derive(Debug, Parser)]
#[command(name = "memobj", version, override_usage = USAGE, after_help = EXAMPLES, after_long_help = NOTES, max_term_width = 100)]
pub struct Args {
    /// Count the objects of the process PID (may be given several times)
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Vec<u32>,

    /// And of every Python process below it
    #[arg(long)]
    pub tree: bool,

    /// Count the objects in a core file: gcore's, or the kernel's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pid", "snapshot"])]
    pub core: Option<PathBuf>,

    /// Count the objects in a snapshot that --save-snapshot made
    #[arg(long, value_name = "FILE", conflicts_with = "pid")]
    pub snapshot: Option<PathBuf>,

    /// Start this command and count its objects; a .py file is run by the project's interpreter
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["pid", "core", "snapshot"])]
    pub command: Vec<OsString>,

    /// Repeat, with this time from one census to the next: 10, 0.5, 500ms, 2s, 1m [default: once; a command every 10s]
    #[arg(short, long, value_name = "TIME", value_parser = parse_interval, allow_hyphen_values = true, conflicts_with_all = ["core", "snapshot"])]
    pub interval: Option<Duration>,

    /// Stop after N censuses (every 10s unless -i says otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["core", "snapshot"])]
    pub count: Option<u64>,

    /// Stop after this time (every 10s unless -i says otherwise)
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true, conflicts_with_all = ["core", "snapshot"])]
    pub duration: Option<Duration>,

    /// Which objects to count
    #[arg(long, value_enum, default_value_t = Scope::Reachable)]
    pub scope: Scope,

    /// Say who holds the objects: by place in the program, by owner, and what nothing reaches
    #[arg(long)]
    pub holders: bool,

    /// Say what would be freed without each type and each holder
    #[arg(long)]
    pub retained: bool,

    /// Say by which ways the objects of TYPE are reached (may be given several times)
    #[arg(long, value_name = "TYPE")]
    pub why: Vec<String>,

    /// Find the program's caches: what they hold and weigh, their limits and hits, and what is wrong with them
    #[arg(long)]
    pub caches: bool,

    /// With --caches: count the entries of each that are larger than SIZE
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "1M", requires = "caches")]
    pub max_item: u64,
    /// Take several censuses, and say what leaks, how fast, and who holds it [5 within a minute, see --for and -i]
    #[arg(long, conflicts_with_all = ["core", "snapshot", "count", "duration", "scope", "holders", "retained", "why", "memory", "caches", "save_snapshot", "diff_every"])]
    pub leaks: bool,

    /// With --leaks, look for so long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true, requires = "leaks")]
    pub observe: Option<Duration>,

    /// Do not stop the process: read its memory as it runs, and count what was torn
    #[arg(long, conflicts_with_all = ["core", "snapshot", "max_pause"])]
    pub no_stop: bool,

    /// Read the process as it runs if it would stand still for longer than TIME
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["core", "snapshot"])]
    pub max_pause: Option<Duration>,

    /// Account for the whole resident set, too: objects, allocators, stacks, files; needs a stop, and makes it a little longer
    #[arg(long)]
    pub memory: bool,

    /// Save the memory that was counted to FILE; it holds the program's data, so only its owner may read it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tree", "command", "snapshot", "interval", "count", "duration", "no_stop", "max_pause"])]
    pub save_snapshot: Option<PathBuf>,

    /// Rows of each table
    #[arg(short, long, value_name = "ROWS", default_value = "20")]
    pub limit: usize,

    /// In text, show what changed at every Nth census since the last time; 0: never
    #[arg(long, value_name = "N", default_value = "3")]
    pub diff_every: u64,

    /// How to print [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_enum, conflicts_with = "output")]
    pub format: Option<Format>,

    /// Add the text to FILE and the records to FILE.jsonl, instead of stdout; a launched command keeps its stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Leave command lines and paths of programs out (they may hold secrets)
    #[arg(long)]
    pub no_cmdline: bool,

    /// Look for the interpreter in this way alone
    #[arg(long, value_parser = locate_methods(), hide = true)]
    pub locate: Option<LocateMethod>,
}

/// Parses the name of a method of finding the interpreter.
fn locate_methods() -> impl TypedValueParser<Value = LocateMethod> {
    PossibleValuesParser::new(LocateMethod::ALL.map(LocateMethod::as_str))
        .try_map(|name| name.parse().map_err(|()| format!("unknown method: {name}")))
}

impl Args {
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
                return Err(Failure::new("--tree needs a running process", "give -p PID or -- COMMAND"));
            }
            Targets::Processes(pids) if pids.is_empty() => {
                return Err(Failure::new(
                    "nothing to count",
                    "give -p PID, --core FILE, --snapshot FILE, or -- COMMAND; see memobj --help",
                ));
            }
            Targets::Processes(pids) if pids.len() > 1 && self.save_snapshot.is_some() => {
                return Err(Failure::new("a snapshot is of one process", "give one -p PID"));
            }
            Targets::File(_) if self.tree => {
                return Err(Failure::new("--tree needs a running process", "give -p PID or -- COMMAND"));
            }
            _ => {}
        }
        let observed = self.observe.unwrap_or(LEAK_SEARCH);
        let repeats = self.count.is_some() || self.duration.is_some();
        let interval = match &targets {
            _ if self.leaks => Some(self.interval.unwrap_or(observed / LEAK_STEPS)),
            Targets::Command(_) => Some(self.interval.unwrap_or(INTERVAL)),
            _ => self.interval.or(repeats.then_some(INTERVAL)),
        };
        let max_censuses = match interval {
            Some(interval) if self.leaks => {
                let steps = observed.as_nanos() / interval.as_nanos().max(1);
                check_leak_search(u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1))?
            }
            _ => self.count.unwrap_or(u64::MAX),
        };
        let holders = self.holders || self.retained || !self.why.is_empty();
        Ok(Config {
            targets,
            tree: self.tree,
            census: CensusOptions {
                scope: self.scope,
                stop: match (self.no_stop, self.max_pause) {
                    (true, _) => StopPolicy::Never,
                    (false, Some(most)) => StopPolicy::AtMost(most),
                    (false, None) => StopPolicy::Always,
                },
                locate: self.locate,
                // The search for leaks uses the account to explain a growing resident set. It needs a stop.
                memory: self.memory || self.leaks && !self.no_stop,
                save: self.save_snapshot,
                holders: holders.then_some(HolderOptions { retained: self.retained, why: self.why }),
                caches: self.caches.then_some(CacheOptions { max_item_bytes: self.max_item }),
                cmdline: !self.no_cmdline,
            },
            interval,
            max_censuses,
            duration: self.duration,
            leaks: self.leaks,
            output: self.output,
            format: self.format,
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

const USAGE: &str = "\
memobj [OPTIONS] -p <PID>
       memobj [OPTIONS] --core <FILE> | --snapshot <FILE>
       memobj [OPTIONS] -- <COMMAND> [ARG]...";

const EXAMPLES: &str = "\
Examples:
  memobj -p 1234                          what every object is and weighs, once
  memobj -i 10 -p 1234 | memdiff          what changes from census to census
  memobj -i 1m -p 1234 -o objects         tables in objects, records in objects.jsonl
  memobj --tree -p 1234                   every Python process at or below 1234
  memobj --leaks -p 1234                  what leaks, how fast, and who holds it
  memobj --why Session -p 1234            who holds the objects of a type
  memobj --caches -p 1234                 the caches in it, those that are ill first
  memobj -- python bot.py                 start a program and count every 10 s
  memobj --max-pause 50ms -p 1234         stop it for 50 ms at most
  memobj --save-snapshot bug.mem -p 1234  keep what was counted; later: memobj --snapshot bug.mem
";

const NOTES: &str = "\
What is counted: --scope tracked counts what the garbage collector lists, as gc.get_objects() does. reachable adds all that \
can be reached from there: strings, numbers, dicts and tuples without a tracked object in them, what running functions hold, \
and what the collector itself cannot see. heap adds what the allocator holds besides; where that has no list of objects \
(all builds but free-threaded ones) it is an estimate.

Sizes are those of sys.getsizeof. What an object owns beside that is overhead, in a column of its own. A size with ≥ is of a \
type of which only a part of its memory is known from outside.

Caches: functools.lru_cache, cachetools, Django's and aiocache's local memory, weak dictionaries; any dict that is called a \
cache (or memo, LRU) or belongs to something that is; and dicts whose entries have times in them. SIZE is all that a cache \
leads to but over modules, types and functions, each object once; SHARED is what of that others hold, too. Small caches are \
no news: no limit is said from 1,000 entries or 1 MiB on, few hits from 100 lookups on.

What it costs: the program stands still for the copy, about 0.2 ms for each MB. A system call in which it waits may end \
with EINTR, as it may by any stop; Python itself tries such calls again, code in C may not. (signal.sigtimedwait alone, if its \
time runs out meanwhile, returns a signal that never came.) With --no-stop it does not stand \
still, and what changes while it is read is torn and counted as such. Its memory is never written to, and no code of ours \
runs in it.

Coverage: of the bytes in use in Python's own allocator, how many belong to objects that were counted; and what all counted \
objects are of the resident memory. What is missing is in C libraries, in free memory that Python keeps, and in code.

Permission: the program must be of the same user, and the kernel must let us trace it: as root, or with \
kernel.yama.ptrace_scope=0; in a container with --cap-add SYS_PTRACE.

Launching: what the command prints goes to memobj's stderr (with -o FILE the command keeps stdin, stdout and stderr). \
The first census is taken when the interpreter is up. memobj ends when the command ends, with its status, or 128 + N if \
signal N ended it. When --count or --duration is reached, memobj stops counting and waits for the command.

Records list every type with at least 0.01 % of all objects or bytes and every type listed before; types_omitted has the \
rest. Text lists the largest; every third census shows what grew and what shrank since the last time.

Leaks: --leaks takes 5 censuses within a minute and compares who holds what. What there is more of each time, at the end as \
before, and does not leave again, leaks. --for 10m finds slower leaks; at least 3 censuses are needed. Ctrl-C ends the search \
with the verdict on what was seen till then.

Exit status: 0 the target ended, the user did, or all was counted; 2 trouble; in a launch the command's, 126 if it cannot \
be executed, 127 if it is not found. With --leaks 1 if something leaks, 0 if nothing does, 2 if there is no verdict.
";

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
    fn leak_search_defaults_to_one_minute() {
        let plan = |args: &[&str]| {
            let config = config(args);
            (config.interval.unwrap().as_millis(), config.max_censuses)
        };
        assert_eq!(plan(&["--leaks", "-p", "1"]), (15_000, 5));
        assert_eq!(plan(&["--leaks", "-p", "1", "--for", "3s", "-i", "0.5"]), (500, 7));
        assert_eq!(plan(&["--leaks", "-p", "1", "--for", "10m"]), (150_000, 5));
        assert_eq!(plan(&["--leaks", "-p", "1", "-i", "20"]), (20_000, 4));
        let census = |args: &[&str]| config(args).census;
        let (leaks, plain) = (config(&["-p", "1", "--leaks"]), config(&["-p", "1"]));
        assert!(leaks.leaks && leaks.census.memory && !plain.leaks && !plain.census.memory);
        assert!(!census(&["-p", "1", "--leaks", "--no-stop"]).memory, "an account needs a stop");
        for args in [
            &["--for", "1m", "-p", "1"][..],
            &["--leaks", "--count", "3", "-p", "1"],
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
            &["-p", "1", "-o", "x", "--format", "text"],
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
    fn options_reach_the_config() {
        let census = |args: &[&str]| config(args).census;
        let plain = census(&["-p", "1"]);
        assert_eq!((plain.scope, plain.stop, plain.locate), (Scope::Reachable, StopPolicy::Always, None));
        assert_eq!(census(&["-p", "1", "--no-stop"]).stop, StopPolicy::Never);
        let limited = census(&["-p", "1", "--max-pause", "50ms", "--scope", "tracked", "--locate", "cookie"]);
        assert_eq!(limited.stop, StopPolicy::AtMost(Duration::from_millis(50)));
        assert_eq!((limited.scope, limited.locate), (Scope::Tracked, Some(LocateMethod::Cookie)));
        assert_eq!(census(&["-p", "1", "--save-snapshot", "x"]).save, Some("x".into()));
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
