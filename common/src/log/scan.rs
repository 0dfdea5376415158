//! The fast path: samples and censuses in exactly the form in which our tools write them, read without building their records.
//!
//! It takes in a line only if every byte of it is what that form has at that place; then serde takes it in too, and both find the
//! same. Everything else (white space, other orders, fields of a later version, damage) is `None` and is read by serde.

mod census;

use std::collections::HashSet;
use std::sync::Arc;

use super::line::{self, Head, Line, moment};
use super::moment::{Moment, Process, Tree, What};
use super::token::Cursor;

/// What a scanner may keep of lines it has read; beyond that it forgets everything.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// Reads lines one after the other, and keeps the names they have in common.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Names, each once.
    names: HashSet<Arc<str>>,
    /// Who stood in each place of the sample before.
    places: Vec<Place>,
    kept_bytes: usize,
}

/// A process of the sample before, and the text that says who it is. The next sample has mostly the same there.
#[derive(Debug, Default)]
struct Place {
    text: Vec<u8>,
    who: Option<Who>,
}

#[derive(Debug, Clone)]
struct Who {
    pid: u32,
    start: u64,
    name: Arc<str>,
    cmdline: Option<Arc<str>>,
}

impl Scanner {
    /// The moment of a line, if it has the common form. The line has no line end.
    pub(super) fn scan(&mut self, line: &[u8]) -> Option<Line> {
        let mut cursor = Cursor::new(std::str::from_utf8(line).ok()?);
        if self.kept_bytes > MAX_KEPT_BYTES {
            *self = Self::default();
        }
        let moment = if cursor.has(br#"{"type":"process","#) {
            self.sample(&mut cursor)?
        } else if cursor.has(br#"{"type":"census","#) {
            self.census(&mut cursor)?
        } else {
            return None;
        };
        cursor.at_end().then(|| Line::Moment(Box::new(moment)))
    }

    fn header(&mut self, c: &mut Cursor<'_>) -> Option<Head> {
        c.literal(br#""schema":"#)?;
        c.integer32()?;
        c.literal(br#","timestamp":"#)?;
        let unix_ms = c.stamp()?;
        c.literal(br#","host":"#)?;
        let host = self.name(&c.text()?);
        c.literal(br#","run":"#)?;
        let run = self.name(&c.text()?);
        c.literal(br#","iteration":"#)?;
        Some(Head { unix_ms, host, run, iteration: c.integer()? })
    }

    fn sample(&mut self, c: &mut Cursor<'_>) -> Option<Moment> {
        let header = self.header(c)?;
        c.literal(br#","interval_seconds":"#)?;
        let interval = c.float()?;
        c.literal(br#","elapsed_seconds":"#)?;
        let elapsed = c.float()?;
        c.literal(br#","late_seconds":"#)?;
        c.number()?;
        c.literal(br#","missed_ticks":"#)?;
        let missed_ticks = c.integer()?;
        c.literal(br#","sample_seconds":"#)?;
        c.number()?;
        c.literal(b",")?;
        // As many as in the sample before, and one more that would show that there are more.
        let mut processes = Vec::with_capacity(self.places.len() + 1);
        processes.push(self.process(c, 0, Turn::Null)?);
        c.literal(br#","children":"#)?;
        c.array(|c| {
            c.literal(b"{")?;
            processes.push(self.process(c, processes.len(), Turn::Absent)?);
            c.literal(b"}")
        })?;
        c.literal(br#","children_count":"#)?;
        c.integer()?;
        c.literal(br#","short_lived_count":"#)?;
        c.nullable(Cursor::integer)?;
        c.literal(br#","children_rss_bytes":"#)?;
        c.integer()?;
        c.literal(br#","total_rss_bytes":"#)?;
        let total_rss_bytes = c.integer()?;
        c.literal(br#","total_pss_bytes":"#)?;
        let total_pss_bytes = c.nullable(Cursor::integer)?;
        c.literal(br#","total_pss_age_seconds":"#)?;
        c.nullable(Cursor::number)?;
        c.literal(br#","cgroup":"#)?;
        let (current, limit) = c.nullable(cgroup)?.unwrap_or_default();
        c.literal(br#","pressure":"#)?;
        c.nullable(pressure)?;
        c.literal(br#","system":"#)?;
        let system = c.nullable(system)?;
        c.literal(b"}")?;
        let what = What::Tree(Tree {
            processes,
            total_rss_bytes,
            total_pss_bytes,
            cgroup_limit_bytes: limit,
            cgroup_current_bytes: current,
            system_total_bytes: system.map(|(total, _)| total),
            system_available_bytes: system.and_then(|(_, available)| available),
        });
        Some(moment(header, Some((elapsed, interval)), missed_ticks, what))
    }

    /// The fields of one process, from `"pid"` to `"fds"`, in the given place of the sample.
    fn process(&mut self, c: &mut Cursor<'_>, place: usize, turn: Turn) -> Option<Process> {
        let who = self.who(c, place)?;
        let rss_bytes = c.nullable(Cursor::integer)?;
        c.literal(br#","vms_bytes":"#)?;
        c.nullable(Cursor::integer)?;
        c.literal(br#","pss_bytes":"#)?;
        let pss_bytes = c.nullable(Cursor::integer)?;
        c.literal(br#","uss_bytes":"#)?;
        let uss_bytes = c.nullable(Cursor::integer)?;
        c.literal(br#","memory_ratio":"#)?;
        c.nullable(Cursor::number)?;
        c.literal(br#","cgroup_ratio":"#)?;
        c.nullable(Cursor::number)?;
        turn.field(c, br#","state":"#, Cursor::string)?;
        let swap_bytes = turn.field(c, br#","swap_bytes":"#, Cursor::integer)?;
        turn.field(c, br#","rss_peak_bytes":"#, Cursor::integer)?;
        turn.field(c, br#","rss_anon_bytes":"#, Cursor::integer)?;
        turn.field(c, br#","rss_file_bytes":"#, Cursor::integer)?;
        turn.field(c, br#","rss_shmem_bytes":"#, Cursor::integer)?;
        turn.field(c, br#","cpu_ratio":"#, Cursor::number)?;
        let threads = turn.field(c, br#","threads":"#, Cursor::integer)?;
        turn.field(c, br#","fds":"#, Cursor::integer)?;
        let Who { pid, start, name, cmdline } = who;
        Some(Process { pid, start, name, cmdline, rss_bytes, pss_bytes, uss_bytes, swap_bytes, threads })
    }

    /// Who a process is: the text from `"pid":` to `"rss_bytes":`, which seldom differs from that of the sample before.
    fn who(&mut self, c: &mut Cursor<'_>, place: usize) -> Option<Who> {
        if let Some(Place { text, who: Some(who) }) = self.places.get(place)
            && c.passage(text).is_some()
        {
            return Some(who.clone());
        }
        let begin = c.rest();
        c.literal(br#""pid":"#)?;
        let pid = c.integer32()?;
        c.literal(br#","name":"#)?;
        let name = self.name(&c.text()?);
        c.literal(br#","ppid":"#)?;
        c.nullable(Cursor::integer32)?;
        c.literal(br#","start_time":"#)?;
        let start_time = c.nullable(Cursor::string)?;
        c.literal(br#","start_ticks":"#)?;
        let start_ticks = c.nullable(Cursor::integer)?;
        c.literal(br#","cmdline":"#)?;
        let cmdline = self.cmdline(c)?;
        c.literal(br#","rss_bytes":"#)?;
        let who = Who { pid, start: line::start(start_ticks, start_time), name, cmdline };
        let text = begin.get(..begin.len() - c.rest().len())?;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, Place::default);
        }
        let kept = self.places.get_mut(place)?;
        self.kept_bytes = (self.kept_bytes + size_of::<Place>() + text.len()).saturating_sub(kept.text.len());
        *kept = Place { text: text.to_vec(), who: Some(who.clone()) };
        Some(who)
    }

    fn cmdline(&mut self, c: &mut Cursor<'_>) -> Option<Option<Arc<str>>> {
        let words = c.nullable(|c| {
            let mut words = Vec::new();
            c.array(|c| {
                words.push(c.text()?);
                Some(())
            })?;
            Some(words)
        })?;
        Some(words.map(|words| self.name(&words.join(" "))))
    }

    /// A name as one that others share.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.kept_bytes += name.len() + 4 * size_of::<Arc<str>>();
        self.names.insert(Arc::clone(&new));
        new
    }
}

/// How a field looks that was not read this time.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// `null`, as in a root.
    Null,
    /// It is not there, as in a child.
    Absent,
}

impl Turn {
    fn field<'a, const N: usize, T>(
        self,
        c: &mut Cursor<'a>,
        key: &[u8; N],
        read: impl FnOnce(&mut Cursor<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self {
            Self::Null => {
                c.literal(key)?;
                c.nullable(read)
            }
            Self::Absent if c.has(key) => read(c).map(Some),
            Self::Absent => Some(None),
        }
    }
}

/// What a control group uses, and its limit.
fn cgroup(c: &mut Cursor<'_>) -> Option<(Option<u64>, Option<u64>)> {
    c.literal(br#"{"version":"#)?;
    c.integer32()?;
    c.literal(br#","path":"#)?;
    c.string()?;
    c.literal(br#","current_bytes":"#)?;
    let current = c.nullable(Cursor::integer)?;
    c.literal(br#","limit_bytes":"#)?;
    let limit = c.nullable(Cursor::integer)?;
    let keys: [&[u8]; 6] = [
        br#","peak_bytes":"#,
        br#","oom_kills":"#,
        br#","anon_bytes":"#,
        br#","file_bytes":"#,
        br#","kernel_bytes":"#,
        br#","shmem_bytes":"#,
    ];
    for key in keys {
        c.passage(key)?;
        c.nullable(Cursor::integer)?;
    }
    c.literal(b"}")?;
    Some((current, limit))
}

fn pressure(c: &mut Cursor<'_>) -> Option<()> {
    let keys: [&[u8]; 8] = [
        br#"{"some_avg10_ratio":"#,
        br#","some_avg60_ratio":"#,
        br#","some_avg300_ratio":"#,
        br#","some_total_seconds":"#,
        br#","full_avg10_ratio":"#,
        br#","full_avg60_ratio":"#,
        br#","full_avg300_ratio":"#,
        br#","full_total_seconds":"#,
    ];
    for key in keys {
        c.passage(key)?;
        c.number()?;
    }
    c.literal(b"}")
}

/// The machine's memory, and what of it is available.
fn system(c: &mut Cursor<'_>) -> Option<(u64, Option<u64>)> {
    c.literal(br#"{"total_bytes":"#)?;
    let total = c.integer()?;
    c.literal(br#","available_bytes":"#)?;
    let available = c.nullable(Cursor::integer)?;
    c.literal(b"}")?;
    Some((total, available))
}
