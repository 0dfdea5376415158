//! Scans samples and censuses in the form that our tools write, without building their records.
//!
//! The scanners come from the field lists of the records ([`crate::record`]); this file names the fields that a moment needs.
//! A line is accepted only if serde accepts it with the same result. Everything else (white space, another order, fields of a
//! later version, damage) is `None`, and serde parses it.

use std::collections::HashSet;
use std::sync::Arc;

use super::line::{self, Head, Line, moment};
use super::moment::{Cache, Census, Moment, MomentData, Process, Total, Tree};
use crate::record::cursor::Cursor;
use crate::record::{
    CacheTotalFields, CensusFields, CgroupFields, Fingerprints, HeaderFields, HeapNode, HeapNodeFields,
    HeapNodeKind, HolderTotalFields, IdentityFields, MemoryAccountFields, MemoryKind, MemoryRow,
    MemoryRowFields, ModuleTotalFields, ObjectSample, ObjectSampleFields, Omitted, OmittedFields,
    PythonThreadFields, RunFields, SeriesKind, SizeFields, SystemFields, TreeFields, TypeTotalFields,
};

/// The limit for kept names and identities. Beyond it, the scanner drops all of them.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// Overrides methods of a trait that scans fields: `field(self, cursor) => use of its value`.
macro_rules! read {
    ($($field:ident($this:ident, $cursor:ident) => $read:expr;)*) => {
        $(
            #[inline]
            fn $field(&mut $this, $cursor: &mut Cursor<'_>) -> Option<()> {
                $read;
                Some(())
            }
        )*
    };
}

/// Scans lines, and shares their names.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    names: Names,
    /// The processes of the previous sample, by position.
    known: Vec<KnownProcess>,
}

/// Shared names.
#[derive(Debug, Default)]
struct Names {
    known: HashSet<Arc<str>>,
    kept_bytes: usize,
}

/// A process, and the text of its identity, which the next sample mostly repeats at the same position.
#[derive(Debug, Default)]
struct KnownProcess {
    text: Vec<u8>,
    identity: Option<Identity>,
}

#[derive(Debug, Clone)]
struct Identity {
    pid: u32,
    start: u64,
    name: Arc<str>,
    cmdline: Option<Arc<str>>,
}

impl Scanner {
    /// Scans a line without its end.
    pub(super) fn scan(&mut self, line: &[u8]) -> Option<Line> {
        let mut cursor = Cursor::new(std::str::from_utf8(line).ok()?);
        if self.names.kept_bytes > MAX_KEPT_BYTES {
            *self = Self::default();
        }
        let moment = if cursor.has(br#"{"type":"process""#) {
            self.sample(&mut cursor)?
        } else if cursor.has(br#"{"type":"census""#) {
            self.census(&mut cursor)?
        } else {
            return None;
        };
        cursor.literal(b"}")?;
        cursor.at_end().then(|| Line::Moment(Box::new(moment)))
    }

    fn sample(&mut self, cursor: &mut Cursor<'_>) -> Option<Moment> {
        let head = self.names.head(cursor)?;
        let mut times = RunTimes::default();
        times.scan(cursor, b',')?;
        // As many as in the previous sample, and one for growth.
        let mut processes = Vec::with_capacity(self.known.len() + 1);
        processes.push(self.process(cursor, 0, b',')?);
        let mut reader = TreeReader { scanner: self, tree: Tree { processes, ..Tree::default() } };
        reader.scan(cursor, b',')?;
        let data = MomentData::Tree(reader.tree);
        Some(moment(head, Some((times.elapsed_seconds, times.interval_seconds)), times.missed_ticks, data))
    }

    /// The fields of the process at `position` of the sample.
    fn process(&mut self, cursor: &mut Cursor<'_>, position: usize, separator: u8) -> Option<Process> {
        let Identity { pid, start, name, cmdline } = self.identity(cursor, position, separator)?;
        let mut process = Process { pid, start, name, cmdline, ..Process::default() };
        process.scan(cursor, b',')?;
        Some(process)
    }

    fn identity(&mut self, cursor: &mut Cursor<'_>, position: usize, separator: u8) -> Option<Identity> {
        let begin = cursor.rest();
        if let Some(KnownProcess { text, identity: Some(identity) }) = self.known.get(position)
            && begin.get(text.len()) == Some(&b',')
            && cursor.passage(text).is_some()
        {
            return Some(identity.clone());
        }
        let mut reader = IdentityReader::new(&mut self.names);
        reader.scan(cursor, separator)?;
        let identity = reader.identity()?;
        let text = begin.get(..begin.len() - cursor.rest().len())?;
        if self.known.len() <= position {
            self.known.resize_with(position + 1, KnownProcess::default);
        }
        let kept = self.known.get_mut(position)?;
        let bytes = self.names.kept_bytes + size_of::<KnownProcess>() + text.len();
        self.names.kept_bytes = bytes.saturating_sub(kept.text.len());
        *kept = KnownProcess { text: text.to_vec(), identity: Some(identity.clone()) };
        Some(identity)
    }

    fn census(&mut self, cursor: &mut Cursor<'_>) -> Option<Moment> {
        let head = self.names.head(cursor)?;
        let mut reader = CensusReader { names: &mut self.names, census: Census::default() };
        reader.scan(cursor, b',')?;
        Some(moment(head, None, 0, MomentData::Census(reader.census)))
    }
}

impl Names {
    /// Returns the shared copy of a name.
    fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.kept_bytes += name.len() + 4 * size_of::<Arc<str>>();
        self.known.insert(Arc::clone(&new));
        new
    }

    fn text(&mut self, cursor: &mut Cursor<'_>) -> Option<Arc<str>> {
        Some(self.share(&cursor.text()?))
    }

    /// The arguments of a process as one line.
    fn cmdline(&mut self, cursor: &mut Cursor<'_>) -> Option<Option<Arc<str>>> {
        let arguments = cursor.nullable(|cursor| {
            let mut arguments = Vec::new();
            cursor.array(|cursor| cursor.text().map(|argument| arguments.push(argument)))?;
            Some(arguments)
        })?;
        Some(arguments.map(|arguments| self.share(&arguments.join(" "))))
    }

    fn head(&mut self, cursor: &mut Cursor<'_>) -> Option<Head> {
        let mut reader = HeadReader { names: self, head: Head::default() };
        reader.scan(cursor, b',')?;
        Some(reader.head)
    }

    /// An array of rows, each with a name, a count and a size; `make` makes them.
    fn rows<T>(
        &mut self,
        cursor: &mut Cursor<'_>,
        scan: impl Fn(&mut RowReader<'_>, &mut Cursor<'_>) -> Option<()>,
        make: impl Fn(Arc<str>, u64, Option<u64>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut rows = Vec::new();
        cursor.array(|cursor| {
            let mut reader = RowReader { names: self, name: None, count: 0, size_bytes: None };
            cursor.object(|cursor| scan(&mut reader, cursor))?;
            rows.push(make(reader.name?, reader.count, reader.size_bytes)?);
            Some(())
        })?;
        Some(rows)
    }
}

/// A row whose size must be known.
fn total(name: Arc<str>, count: u64, size_bytes: Option<u64>) -> Option<Total> {
    Some(Total { name, count, size_bytes: size_bytes? })
}

struct HeadReader<'n> {
    names: &'n mut Names,
    head: Head,
}

impl HeaderFields for HeadReader<'_> {
    read! {
        timestamp(self, cursor) => self.head.unix_ms = cursor.stamp()?;
        host(self, cursor) => self.head.host = self.names.text(cursor)?;
        run(self, cursor) => self.head.run = self.names.text(cursor)?;
        iteration(self, cursor) => self.head.iteration = cursor.integer()?;
    }
}

#[derive(Default)]
struct RunTimes {
    interval_seconds: f64,
    elapsed_seconds: f64,
    missed_ticks: u64,
}

impl RunFields for RunTimes {
    read! {
        interval_seconds(self, cursor) => self.interval_seconds = cursor.float()?;
        elapsed_seconds(self, cursor) => self.elapsed_seconds = cursor.float()?;
        missed_ticks(self, cursor) => self.missed_ticks = cursor.integer()?;
    }
}

struct IdentityReader<'n> {
    names: &'n mut Names,
    pid: u32,
    name: Option<Arc<str>>,
    start_hash: Option<u64>,
    start_ticks: Option<u64>,
    cmdline: Option<Arc<str>>,
}

impl<'n> IdentityReader<'n> {
    fn new(names: &'n mut Names) -> Self {
        Self { names, pid: 0, name: None, start_hash: None, start_ticks: None, cmdline: None }
    }

    fn identity(self) -> Option<Identity> {
        let start = self.start_ticks.or(self.start_hash).unwrap_or(0);
        Some(Identity { pid: self.pid, start, name: self.name?, cmdline: self.cmdline })
    }
}

impl IdentityFields for IdentityReader<'_> {
    read! {
        pid(self, cursor) => self.pid = cursor.integer32()?;
        name(self, cursor) => self.name = Some(self.names.text(cursor)?);
        start_time(self, cursor) => self.start_hash = cursor.nullable(Cursor::text)?.map(|time| line::hash(&time));
        start_ticks(self, cursor) => self.start_ticks = cursor.nullable(Cursor::integer)?;
        cmdline(self, cursor) => self.cmdline = self.names.cmdline(cursor)?;
    }
}

impl SizeFields for Process {
    read! {
        rss_bytes(self, cursor) => self.rss_bytes = cursor.nullable(Cursor::integer)?;
        pss_bytes(self, cursor) => self.pss_bytes = cursor.nullable(Cursor::integer)?;
        uss_bytes(self, cursor) => self.uss_bytes = cursor.nullable(Cursor::integer)?;
        swap_bytes(self, cursor) => self.swap_bytes = cursor.nullable(Cursor::integer)?;
        threads(self, cursor) => self.threads = cursor.nullable(Cursor::integer)?;
        fds(self, cursor) => self.fds = cursor.nullable(Cursor::integer)?;
    }
}

struct TreeReader<'s> {
    scanner: &'s mut Scanner,
    tree: Tree,
}

impl TreeFields for TreeReader<'_> {
    read! {
        children(self, cursor) => cursor.array(|cursor| {
            let processes = &mut self.tree.processes;
            cursor.object(|cursor| {
                processes.push(self.scanner.process(cursor, processes.len(), b'{')?);
                Some(())
            })
        })?;
        total_rss_bytes(self, cursor) => self.tree.total_rss_bytes = cursor.integer()?;
        total_pss_bytes(self, cursor) => self.tree.total_pss_bytes = cursor.nullable(Cursor::integer)?;
        cgroup(self, cursor) => cursor.nullable(|cursor| {
            cursor.object(|cursor| CgroupFields::scan(&mut self.tree, cursor, b'{'))
        })?;
        system(self, cursor) => cursor.nullable(|cursor| {
            cursor.object(|cursor| SystemFields::scan(&mut self.tree, cursor, b'{'))
        })?;
    }
}

impl CgroupFields for Tree {
    read! {
        current_bytes(self, cursor) => self.cgroup_current_bytes = cursor.nullable(Cursor::integer)?;
        limit_bytes(self, cursor) => self.cgroup_limit_bytes = cursor.nullable(Cursor::integer)?;
    }
}

impl SystemFields for Tree {
    read! {
        total_bytes(self, cursor) => self.system_total_bytes = Some(cursor.integer()?);
        available_bytes(self, cursor) => self.system_available_bytes = cursor.nullable(Cursor::integer)?;
    }
}

struct CensusReader<'n> {
    names: &'n mut Names,
    census: Census,
}

impl CensusFields for CensusReader<'_> {
    read! {
        pid(self, cursor) => self.census.pid = cursor.integer32()?;
        start_ticks(self, cursor) => self.census.start = cursor.nullable(Cursor::integer)?.unwrap_or(0);
        root_pid(self, cursor) => self.census.root_pid = cursor.nullable(Cursor::integer32)?;
        name(self, cursor) => self.census.name = self.names.share(&cursor.nullable(Cursor::text)?.unwrap_or_default());
        cmdline(self, cursor) => self.census.cmdline = self.names.cmdline(cursor)?;
        total_objects(self, cursor) => self.census.total_objects = cursor.integer()?;
        total_size_bytes(self, cursor) => self.census.total_size_bytes = Some(cursor.integer()?);
        types(self, cursor) => self.census.types =
            self.names.rows(cursor, |row, cursor| TypeTotalFields::scan(row, cursor, b'{'), total)?;
        types_omitted(self, cursor) => self.census.types_cut = is_cut(cursor)?;
        modules(self, cursor) => self.census.modules =
            self.names.rows(cursor, |row, cursor| ModuleTotalFields::scan(row, cursor, b'{'), total)?;
        modules_omitted(self, cursor) => self.census.modules_cut = is_cut(cursor)?;
        threads(self, cursor) => self.census.threads = cursor.nullable(|cursor| {
            let mut threads = Vec::new();
            cursor.array(|cursor| {
                let mut reader = ThreadReader { names: self.names, name: None, native_id: None, alive: None };
                cursor.object(|cursor| reader.scan(cursor, b'{'))?;
                threads.extend(line::thread_name(reader.name, reader.native_id, reader.alive));
                Some(())
            })?;
            Some(threads)
        })?;
        rss_bytes(self, cursor) => self.census.rss_bytes = cursor.nullable(Cursor::integer)?;
        holders(self, cursor) => self.census.holders = cursor.nullable(|cursor| {
            self.names.rows(cursor, |row, cursor| HolderTotalFields::scan(row, cursor, b'{'), total)
        })?;
        holders_omitted(self, cursor) => self.census.holders_cut = is_cut(cursor)?;
        caches(self, cursor) => self.census.caches = cursor.nullable(|cursor| {
            self.names.rows(cursor, |row, cursor| CacheTotalFields::scan(row, cursor, b'{'), |name, entries, size_bytes| {
                Some(Cache { name, entries, size_bytes })
            })
        })?;
        caches_omitted(self, cursor) => self.census.caches_cut = is_cut(cursor)?;
        object_samples(self, cursor) => cursor.nullable(|cursor| cursor.array(|cursor| {
            let mut reader = SampleReader { names: self.names, kind: None, name: None, fingerprints: None };
            cursor.object(|cursor| reader.scan(cursor, b'{'))?;
            let SampleReader { kind, name, fingerprints, .. } = reader;
            let sample = ObjectSample { kind: kind?, name: name?, fingerprints: fingerprints? };
            self.census.object_samples.push(sample);
            Some(())
        }))?;
        memory(self, cursor) => cursor.nullable(|cursor| cursor.object(|cursor| {
            MemoryReader { names: self.names, rows: &mut self.census.memory_rows }.scan(cursor, b'{')
        }))?;
        heap_tree(self, cursor) => cursor.nullable(|cursor| cursor.array(|cursor| {
            let mut reader = HeapNodeReader { names: self.names, node: None, depth: 0, kind: HeapNodeKind::Unknown };
            cursor.object(|cursor| reader.scan(cursor, b'{'))?;
            self.census.heap_tree.push(reader.node?);
            Some(())
        }))?;
    }
}

/// Whether a list left rows out.
fn is_cut(cursor: &mut Cursor<'_>) -> Option<bool> {
    Some(omitted(cursor)?.is_some_and(|omitted| omitted.rows > 0))
}

/// What a list left out.
fn omitted(cursor: &mut Cursor<'_>) -> Option<Option<Omitted>> {
    cursor.nullable(|cursor| {
        let mut omitted = Omitted::default();
        cursor.object(|cursor| omitted.scan(cursor, b'{'))?;
        Some(omitted)
    })
}

impl OmittedFields for Omitted {
    read! {
        rows(self, cursor) => self.rows = cursor.integer()?;
        count(self, cursor) => self.count = cursor.integer()?;
        size_bytes(self, cursor) => self.size_bytes = cursor.integer()?;
    }
}

struct MemoryReader<'n> {
    names: &'n mut Names,
    rows: &'n mut Vec<MemoryRow>,
}

impl MemoryAccountFields for MemoryReader<'_> {
    read! {
        rows(self, cursor) => cursor.array(|cursor| {
            let (kind, detail) = (MemoryKind::Unknown, None);
            let row = MemoryRow { kind, detail, private_bytes: 0, shared_bytes: 0, swap_bytes: 0 };
            let mut reader = MemoryRowReader { names: self.names, row };
            cursor.object(|cursor| reader.scan(cursor, b'{'))?;
            self.rows.push(reader.row);
            Some(())
        })?;
    }
}

struct MemoryRowReader<'n> {
    names: &'n mut Names,
    row: MemoryRow,
}

impl MemoryRowFields for MemoryRowReader<'_> {
    read! {
        kind(self, cursor) => self.row.kind = MemoryKind::from(&*cursor.text()?);
        detail(self, cursor) => self.row.detail = cursor.nullable(Cursor::text)?.map(|detail| self.names.share(&detail));
        private_bytes(self, cursor) => self.row.private_bytes = cursor.integer()?;
        shared_bytes(self, cursor) => self.row.shared_bytes = cursor.integer()?;
        swap_bytes(self, cursor) => self.row.swap_bytes = cursor.integer()?;
    }
}

struct HeapNodeReader<'n> {
    names: &'n mut Names,
    node: Option<HeapNode>,
    depth: u32,
    kind: HeapNodeKind,
}

impl HeapNodeFields for HeapNodeReader<'_> {
    read! {
        depth(self, cursor) => self.depth = cursor.integer32()?;
        kind(self, cursor) => self.kind = HeapNodeKind::from(&*cursor.text()?);
        name(self, cursor) => {
            let (depth, kind, name) = (self.depth, self.kind, self.names.text(cursor)?);
            self.node = Some(HeapNode { depth, kind, name, count: 0, size_bytes: 0, omitted: None });
        };
        count(self, cursor) => self.node.as_mut()?.count = cursor.integer()?;
        size_bytes(self, cursor) => self.node.as_mut()?.size_bytes = cursor.integer()?;
        omitted(self, cursor) => self.node.as_mut()?.omitted = omitted(cursor)?;
    }
}

struct RowReader<'n> {
    names: &'n mut Names,
    name: Option<Arc<str>>,
    count: u64,
    size_bytes: Option<u64>,
}

macro_rules! read_rows {
    ($($fields:ident: $name:ident, $count:ident;)*) => {
        $(impl $fields for RowReader<'_> {
            read! {
                $name(self, cursor) => self.name = Some(self.names.text(cursor)?);
                $count(self, cursor) => self.count = cursor.integer()?;
                size_bytes(self, cursor) => self.size_bytes = cursor.nullable(Cursor::integer)?;
            }
        })*
    };
}

read_rows! {
    TypeTotalFields: name, count;
    ModuleTotalFields: module, count;
    HolderTotalFields: holder, count;
    CacheTotalFields: name, entries;
}

struct ThreadReader<'n> {
    names: &'n mut Names,
    name: Option<Arc<str>>,
    native_id: Option<u64>,
    alive: Option<bool>,
}

impl PythonThreadFields for ThreadReader<'_> {
    read! {
        name(self, cursor) => self.name = cursor.nullable(Cursor::text)?.map(|name| self.names.share(&name));
        native_id(self, cursor) => self.native_id = cursor.nullable(Cursor::integer)?;
        alive(self, cursor) => self.alive = cursor.nullable(Cursor::boolean)?;
    }
}

struct SampleReader<'n> {
    names: &'n mut Names,
    kind: Option<SeriesKind>,
    name: Option<Arc<str>>,
    fingerprints: Option<Fingerprints>,
}

impl ObjectSampleFields for SampleReader<'_> {
    read! {
        kind(self, cursor) => self.kind = Some(SeriesKind::from(&*cursor.text()?));
        name(self, cursor) => self.name = Some(self.names.text(cursor)?);
        fingerprints(self, cursor) => self.fingerprints = Some(Fingerprints::parse(&cursor.text()?)?);
    }
}
