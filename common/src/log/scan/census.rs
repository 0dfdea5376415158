//! Censuses in the form in which memobj writes them.

use super::super::line::{self, moment};
use super::super::moment::{Cache, Census, Moment, Total, What};
use super::super::token::Cursor;
use super::Scanner;
use crate::record::{Fingerprints, ObjectSample, PythonThread};

impl Scanner {
    pub(super) fn census(&mut self, c: &mut Cursor<'_>) -> Option<Moment> {
        let header = self.header(c)?;
        c.literal(br#","pid":"#)?;
        let pid = c.integer32()?;
        c.literal(br#","start_ticks":"#)?;
        let start_ticks = c.nullable(Cursor::integer)?;
        c.literal(br#","root_pid":"#)?;
        let root_pid = c.nullable(Cursor::integer32)?;
        c.literal(br#","name":"#)?;
        let name = c.nullable(Cursor::text)?;
        let name = self.name(&name.unwrap_or_default());
        c.literal(br#","cmdline":"#)?;
        let cmdline = self.cmdline(c)?;
        c.literal(br#","total_objects":"#)?;
        let total_objects = c.integer()?;
        c.literal(br#","total_size_bytes":"#)?;
        let total_size_bytes = Some(c.integer()?);
        c.literal(br#","types":"#)?;
        let types = self.types(c)?;
        c.literal(br#","types_omitted":"#)?;
        let types_cut = omitted(c)?;
        c.literal(br#","modules":"#)?;
        let modules = self.totals(c, br#"{"module":"#)?;
        c.literal(br#","modules_omitted":"#)?;
        let modules_cut = omitted(c)?;
        c.literal(br#","threads":"#)?;
        let threads = c.nullable(|c| {
            let mut threads = Vec::new();
            c.array(|c| {
                threads.extend(line::thread(&self.thread(c)?));
                Some(())
            })?;
            Some(threads)
        })?;
        c.literal(br#","rss_bytes":"#)?;
        let rss_bytes = c.nullable(Cursor::integer)?;
        let (mut holders, mut holders_cut, mut caches, mut caches_cut) = (None, false, None, false);
        // Censuses were written without these at first.
        if c.has(br#","holders":"#) {
            holders = c.nullable(|c| self.totals(c, br#"{"holder":"#))?;
            c.literal(br#","holders_omitted":"#)?;
            holders_cut = omitted(c)?;
            c.literal(br#","caches":"#)?;
            caches = c.nullable(|c| self.caches(c))?;
            c.literal(br#","caches_omitted":"#)?;
            caches_cut = omitted(c)?;
        }
        if c.has(br#","python":"#) {
            circumstances(c)?;
        }
        let mut object_samples = Vec::new();
        if !c.has(b"}") {
            self.owners(c)?;
            object_samples = self.object_samples(c)?;
            c.literal(b"}")?;
        }
        let start = line::start(start_ticks, None);
        let what = What::Census(Census {
            pid,
            start,
            root_pid,
            name,
            cmdline,
            total_objects,
            total_size_bytes,
            types,
            types_cut,
            modules,
            modules_cut,
            threads,
            rss_bytes,
            holders,
            holders_cut,
            caches,
            caches_cut,
            object_samples,
        });
        Some(moment(header, None, 0, what))
    }

    /// Types, which may have more to say than other rows.
    fn types(&mut self, c: &mut Cursor<'_>) -> Option<Vec<Total>> {
        self.rows(c, br#"{"type":"#, |c| {
            if c.has(br#","overhead_bytes":"#) {
                c.integer()?;
            }
            if c.has(br#","size_exact":"#) {
                c.boolean()?;
            }
            retained(c)
        })
    }

    /// What a census says of owners, of what is not reached, and of ways. A moment has none of it.
    fn owners(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        if c.has(br#","owners":"#) {
            self.totals(c, br#"{"owner":"#)?;
        }
        if c.has(br#","owners_omitted":"#) {
            omitted(c)?;
        }
        if c.has(br#","owner_modules":"#) {
            self.totals(c, br#"{"module":"#)?;
        }
        if c.has(br#","owner_modules_omitted":"#) {
            omitted(c)?;
        }
        if c.has(br#","unreachable":"#) {
            c.array(|c| {
                c.literal(br#"{"type":"#)?;
                c.text()?;
                c.literal(br#","cause":"#)?;
                c.text()?;
                integers(c, &[br#","count":"#, br#","size_bytes":"#])?;
                c.literal(b"}")
            })?;
        }
        if c.has(br#","paths":"#) {
            c.array(|c| {
                c.literal(br#"{"type":"#)?;
                c.text()?;
                c.literal(br#","path":"#)?;
                c.text()?;
                integers(c, &[br#","count":"#, br#","sampled":"#, br#","objects":"#])?;
                c.literal(b"}")
            })?;
        }
        Some(())
    }

    fn object_samples(&mut self, c: &mut Cursor<'_>) -> Option<Vec<ObjectSample>> {
        let mut samples = Vec::new();
        if c.has(br#","object_samples":"#) {
            c.array(|c| {
                c.literal(br#"{"kind":"#)?;
                let kind = self.name(&c.text()?);
                c.literal(br#","name":"#)?;
                let name = self.name(&c.text()?);
                c.literal(br#","fingerprints":"#)?;
                let fingerprints = Fingerprints::parse(&c.text()?)?;
                samples.push(ObjectSample { kind, name, fingerprints });
                c.literal(b"}")
            })?;
        }
        Some(samples)
    }

    /// An array of rows, each of which begins with `begin` and a name.
    fn totals<const N: usize>(&mut self, c: &mut Cursor<'_>, begin: &[u8; N]) -> Option<Vec<Total>> {
        self.rows(c, begin, retained)
    }

    /// The same with something behind the size.
    fn rows<const N: usize>(
        &mut self,
        c: &mut Cursor<'_>,
        begin: &[u8; N],
        rest: impl Fn(&mut Cursor<'_>) -> Option<()>,
    ) -> Option<Vec<Total>> {
        let mut totals = Vec::new();
        c.array(|c| {
            c.literal(begin)?;
            let name = self.name(&c.text()?);
            c.literal(br#","count":"#)?;
            let count = c.integer()?;
            c.literal(br#","size_bytes":"#)?;
            totals.push(Total { name, count, size_bytes: c.integer()? });
            if !c.has(b"}") {
                rest(c)?;
                c.literal(b"}")?;
            }
            Some(())
        })?;
        Some(totals)
    }

    fn caches(&mut self, c: &mut Cursor<'_>) -> Option<Vec<Cache>> {
        let mut caches = Vec::new();
        c.array(|c| {
            c.literal(br#"{"name":"#)?;
            let name = self.name(&c.text()?);
            c.literal(br#","entries":"#)?;
            let entries = c.integer()?;
            c.literal(br#","size_bytes":"#)?;
            caches.push(Cache { name, entries, size_bytes: c.nullable(Cursor::integer)? });
            for key in [&br#","max_entries":"#[..], br#","hits":"#, br#","misses":"#] {
                c.passage(key)?;
                c.nullable(Cursor::integer)?;
            }
            if !c.has(b"}") {
                about_cache(c)?;
                c.literal(b"}")?;
            }
            Some(())
        })?;
        Some(caches)
    }

    fn thread(&mut self, c: &mut Cursor<'_>) -> Option<PythonThread> {
        c.literal(br#"{"name":"#)?;
        let name = c.nullable(Cursor::text)?.map(|name| self.name(&name));
        c.literal(br#","ident":"#)?;
        let ident = c.nullable(Cursor::integer)?;
        c.literal(br#","native_id":"#)?;
        let native_id = c.nullable(Cursor::integer)?;
        c.literal(br#","daemon":"#)?;
        let daemon = c.nullable(Cursor::boolean)?;
        c.literal(br#","alive":"#)?;
        let alive = c.nullable(Cursor::boolean)?;
        c.literal(br#","main":"#)?;
        let main = c.nullable(Cursor::boolean)?;
        // Threads were written without what they run at first; a moment has no use for it.
        if c.has(br#","function":"#) {
            c.nullable(Cursor::text)?;
            c.literal(br#","file":"#)?;
            c.nullable(Cursor::text)?;
            c.literal(br#","line":"#)?;
            c.nullable(Cursor::integer32)?;
        }
        c.literal(b"}")?;
        let (function, file, line) = (None, None, None);
        Some(PythonThread { name, ident, native_id, daemon, alive, main, function, file, line })
    }
}

/// What else a census says of a cache. A moment has none of it.
fn about_cache(c: &mut Cursor<'_>) -> Option<()> {
    if c.has(br#","kind":"#) {
        c.text()?;
    }
    if c.has(br#","stdlib":"#) {
        c.boolean()?;
    }
    if c.has(br#","instances":"#) {
        c.integer()?;
    }
    if c.has(br#","fill_ratio":"#) {
        c.number()?;
    }
    if c.has(br#","hit_ratio":"#) {
        c.number()?;
    }
    if c.has(br#","shared_bytes":"#) {
        c.integer()?;
    }
    retained(c)?;
    if c.has(br#","average_entry_bytes":"#) {
        c.integer()?;
    }
    if c.has(br#","largest_entry_bytes":"#) {
        c.integer()?;
    }
    if c.has(br#","largest_entry_key":"#) {
        c.text()?;
    }
    if c.has(br#","large_entries":"#) {
        c.integer()?;
    }
    if c.has(br#","clock":"#) {
        c.text()?;
    }
    if c.has(br#","expired_entries":"#) {
        c.integer()?;
    }
    if c.has(br#","warnings":"#) {
        c.array(|c| c.text().map(|_| ()))?;
    }
    Some(())
}

/// What a row retains, where it says so. A moment has no use for it.
fn retained(c: &mut Cursor<'_>) -> Option<()> {
    if c.has(br#","retained_bytes":"#) {
        c.integer()?;
    }
    Some(())
}

/// Whether a list left rows out.
fn omitted(c: &mut Cursor<'_>) -> Option<bool> {
    let rows = c.nullable(|c| {
        c.literal(br#"{"rows":"#)?;
        let rows = c.integer()?;
        c.literal(br#","count":"#)?;
        c.integer()?;
        c.literal(br#","size_bytes":"#)?;
        c.integer()?;
        c.literal(b"}")?;
        Some(rows)
    })?;
    Some(rows.is_some_and(|rows| rows > 0))
}

/// What a census says of the Python, its scopes, its collector and how it was taken, from behind `"python":`. A moment has none of it.
fn circumstances(c: &mut Cursor<'_>) -> Option<()> {
    c.nullable(python)?;
    c.literal(br#","interpreters":"#)?;
    c.nullable(Cursor::integer)?;
    c.literal(br#","scope":"#)?;
    c.nullable(Cursor::text)?;
    let totals: [&[u8]; 9] = [
        br#","tracked_objects":"#,
        br#","tracked_size_bytes":"#,
        br#","permanent_objects":"#,
        br#","permanent_size_bytes":"#,
        br#","reachable_objects":"#,
        br#","reachable_size_bytes":"#,
        br#","heap_objects":"#,
        br#","heap_size_bytes":"#,
        br#","total_overhead_bytes":"#,
    ];
    integers(c, &totals)?;
    c.literal(br#","gc":"#)?;
    c.nullable(collector)?;
    c.literal(br#","coverage":"#)?;
    c.nullable(coverage)?;
    c.literal(br#","method":"#)?;
    c.nullable(Cursor::text)?;
    c.literal(br#","live_reason":"#)?;
    c.nullable(Cursor::text)?;
    c.literal(br#","attempts":"#)?;
    c.nullable(Cursor::integer)?;
    c.literal(br#","in_collection":"#)?;
    c.nullable(Cursor::boolean)?;
    c.literal(br#","pause_seconds":"#)?;
    c.nullable(Cursor::number)?;
    c.literal(br#","duration_seconds":"#)?;
    c.nullable(Cursor::number)?;
    integers(c, &[br#","torn_reads":"#, br#","rejected_reads":"#, br#","memobj_peak_bytes":"#])?;
    // Censuses were written without this at first.
    if c.has(br#","memory":"#) {
        c.nullable(memory)?;
    }
    Some(())
}

/// The account of the resident set.
fn memory(c: &mut Cursor<'_>) -> Option<()> {
    plain(c, &[br#"{"rss_bytes":"#, br#","explained_bytes":"#])?;
    c.literal(br#","explained_ratio":"#)?;
    c.number()?;
    let sizes: [&[u8]; 3] = [br#","private_bytes":"#, br#","shared_bytes":"#, br#","swap_bytes":"#];
    c.literal(br#","rows":"#)?;
    c.array(|c| {
        c.literal(br#"{"kind":"#)?;
        c.text()?;
        c.literal(br#","detail":"#)?;
        c.nullable(Cursor::text)?;
        plain(c, &sizes)?;
        c.literal(b"}")
    })?;
    c.literal(br#","types":"#)?;
    c.array(|c| {
        c.literal(br#"{"type":"#)?;
        c.text()?;
        plain(c, &sizes)?;
        c.literal(b"}")
    })?;
    c.literal(br#","types_omitted":"#)?;
    omitted(c)?;
    integers(c, &[br#","malloc_arenas":"#])?;
    plain(c, &[br#","trimmable_bytes":"#, br#","pinned_arenas":"#, br#","pinned_bytes":"#])?;
    c.literal(br#","pinned_types":"#)?;
    c.array(|c| {
        c.literal(br#"{"type":"#)?;
        c.text()?;
        plain(c, &[br#","blocks":"#, br#","pinned_bytes":"#])?;
        c.literal(b"}")
    })?;
    if c.has(br#","pinned_holders":"#) {
        c.array(|c| {
            c.literal(br#"{"holder":"#)?;
            c.text()?;
            plain(c, &[br#","objects":"#, br#","arenas":"#, br#","pinned_bytes":"#])?;
            c.literal(b"}")
        })?;
    }
    c.literal(br#","large_regions":"#)?;
    c.array(|c| {
        c.literal(br#"{"kind":"#)?;
        c.text()?;
        c.literal(br#","owner":"#)?;
        c.nullable(Cursor::text)?;
        plain(c, &[br#","resident_bytes":"#])?;
        c.literal(b"}")
    })?;
    plain(c, &[br#","huge_page_bytes":"#, br#","swap_bytes":"#, br#","hugetlb_bytes":"#])?;
    integers(c, &[br#","page_table_bytes":"#])?;
    c.literal(b"}")
}

/// Numbers that are never `null`.
fn plain(c: &mut Cursor<'_>, keys: &[&[u8]]) -> Option<()> {
    for key in keys {
        c.passage(key)?;
        c.integer()?;
    }
    Some(())
}

fn integers(c: &mut Cursor<'_>, keys: &[&[u8]]) -> Option<()> {
    for key in keys {
        c.passage(key)?;
        c.nullable(Cursor::integer)?;
    }
    Some(())
}

fn python(c: &mut Cursor<'_>) -> Option<()> {
    c.literal(br#"{"version":"#)?;
    c.text()?;
    c.literal(br#","implementation":"#)?;
    c.text()?;
    for key in [&br#","debug":"#[..], br#","free_threaded":"#, br#","shared":"#] {
        c.passage(key)?;
        c.nullable(Cursor::boolean)?;
    }
    for key in [&br#","executable":"#[..], br#","located_by":"#, br#","layout":"#] {
        c.passage(key)?;
        c.nullable(Cursor::text)?;
    }
    // Censuses were written without this at first.
    if c.has(br#","other_runtimes":"#) {
        c.nullable(Cursor::integer)?;
    }
    c.literal(b"}")
}

fn collector(c: &mut Cursor<'_>) -> Option<()> {
    c.literal(br#"{"enabled":"#)?;
    c.nullable(Cursor::boolean)?;
    c.literal(br#","generations":"#)?;
    c.array(|c| {
        let keys: [&[u8]; 6] = [
            br#"{"pending":"#,
            br#","threshold":"#,
            br#","collections":"#,
            br#","collected":"#,
            br#","uncollectable":"#,
            br#","objects":"#,
        ];
        integers(c, &keys)?;
        c.literal(b"}")
    })?;
    integers(c, &[br#","tracked":"#, br#","frozen":"#, br#","garbage":"#])?;
    c.literal(b"}")
}

fn coverage(c: &mut Cursor<'_>) -> Option<()> {
    c.literal(br#"{"objects_bytes":"#)?;
    c.integer()?;
    c.literal(br#","allocator":"#)?;
    c.nullable(Cursor::text)?;
    integers(c, &[br#","allocator_used_bytes":"#, br#","allocator_explained_bytes":"#])?;
    c.literal(br#","allocator_ratio":"#)?;
    c.nullable(Cursor::number)?;
    c.literal(br#","rss_ratio":"#)?;
    c.nullable(Cursor::number)?;
    c.literal(b"}")
}
