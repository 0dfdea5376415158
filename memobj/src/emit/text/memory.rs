//! The text of the account of the resident set.
use common::columns::{Cell, Tone};
use common::record::{CaptureMethod, CensusRecord, MemoryAccount, MemoryKind, MemoryRow};
use common::stdio::escape_controls;
use common::table::Line;
use common::units::{Bytes, counted};
use common::verdict::memory_use;

use super::tables::{ANY_WIDTH, bytes, cut, more, name_cell, percent, share_cell, table, titled_table};
use crate::account::growth::{GrowthCause, compare};

/// An explained share below this is highlighted.
const LOW: f64 = 0.95;
/// Memory gets a line from one part in this many of the resident set on.
const NOTABLE: u64 = 20;

/// Free memory of malloc.
const FREE_OF_MALLOC: [MemoryKind; 3] =
    [MemoryKind::NativeCached, MemoryKind::NativeFree, MemoryKind::NativeTop];
/// Smaller changes of rows are not shown.
const MIN_CHANGE: u64 = 64 << 10;
/// Smaller growth gets no advice.
const MIN_GROWTH: u64 = 1 << 20;
/// Rows of a change that are shown.
const MAX_CHANGES: usize = 4;

/// The table of an account with at most `limit` rows, and notes on it.
pub(super) fn memory(account: &MemoryAccount, limit: usize) -> Vec<Line> {
    let mut table = table(&["RESIDENT", "SHARE", "SHARED", "SWAPPED"], &[("WHAT", ANY_WIDTH)]);
    let mut add = |row: &MemoryRow, tone: Tone, what: String| {
        let resident = row.resident_bytes();
        let some = |size: u64| if size > 0 { bytes(size) } else { String::new() };
        table.push([
            Cell::plain(bytes(resident)),
            share_cell(resident, account.rss_bytes),
            Cell::new(Tone::Dim, some(row.shared_bytes)),
            Cell::new(Tone::Dim, some(row.swap_bytes)),
            Cell::new(tone, what),
        ]);
    };
    let (shown, others) = cut(&account.rows, limit);
    for row in shown {
        let is_unknown = row.kind == MemoryKind::Unexplained;
        add(row, if is_unknown { Tone::Warning } else { Tone::Plain }, what(row));
    }
    if !others.is_empty() {
        let sum = |of: fn(&MemoryRow) -> u64| others.iter().map(of).fold(0, u64::saturating_add);
        let rest = MemoryRow {
            kind: MemoryKind::Unknown,
            detail: None,
            private_bytes: sum(|row| row.private_bytes),
            shared_bytes: sum(|row| row.shared_bytes),
            swap_bytes: sum(|row| row.swap_bytes),
        };
        add(&rest, Tone::Dim, more(others.len()));
    }
    let title = format!("resident memory ({})", Bytes(account.rss_bytes));
    let mut lines = titled_table(&title, table);
    let tone = if account.explained_ratio < LOW { Tone::Warning } else { Tone::Dim };
    lines.push(Line::whole(2, tone, format!("{} of it explained", percent(account.explained_ratio))));
    lines.extend(types(account, limit));
    lines.extend(notes(account).into_iter().map(|note| Line::whole(2, Tone::Plain, note)));
    lines
}

/// Private and shared memory by type, if a notable part is shared, as in forked workers.
fn types(account: &MemoryAccount, limit: usize) -> Vec<Line> {
    let shared = account.types.iter().map(|of| of.shared_bytes).fold(0, u64::saturating_add);
    if shared.saturating_mul(NOTABLE) < account.rss_bytes || shared == 0 {
        return Vec::new();
    }
    let mut table = table(&["PRIVATE", "SHARED"], &[("TYPE", ANY_WIDTH)]);
    for of in account.types.iter().take(limit) {
        table.push([
            Cell::plain(bytes(of.private_bytes)),
            Cell::plain(bytes(of.shared_bytes)),
            name_cell(&of.name),
        ]);
    }
    titled_table("resident memory by type", table)
}

/// The reason why there is no account.
pub(super) fn missing(record: &CensusRecord) -> Line {
    let why = match record.method {
        Some(CaptureMethod::Core) => "a core file does not say which pages were resident",
        Some(CaptureMethod::Snapshot) => "this snapshot has no page information: save it again",
        Some(CaptureMethod::Live) => "it was read while it ran, and the account needs a copy",
        _ => "the kernel does not report resident pages (/proc/PID/smaps, pagemap): run memobj as root",
    };
    Line::whole(2, Tone::Warning, format!("! no account of the resident set: {why}"))
}

/// Growth since the last account, with advice if it is not objects.
pub(super) fn since(before: &MemoryAccount, now: &MemoryAccount) -> Vec<Line> {
    let change = compare(before, now);
    let sign = |bytes: i64| format!("{}{}", if bytes < 0 { "-" } else { "+" }, Bytes(bytes.unsigned_abs()));
    let rows = change.rows.iter().filter(|growth| growth.bytes.unsigned_abs() >= MIN_CHANGE);
    let rows = rows.take(MAX_CHANGES).map(|growth| {
        let description = memory_use(growth.kind, growth.detail.as_deref());
        format!("{description} {}", sign(growth.bytes))
    });
    let rows: Vec<String> = rows.collect();
    let mut text = format!("since the last: {}", sign(change.rss_bytes));
    if !rows.is_empty() {
        text.push_str(": ");
        text.push_str(&rows.join(", "));
    }
    let mut lines = vec![Line::whole(2, Tone::Plain, text)];
    let is_much = change.rss_bytes.unsigned_abs() >= MIN_GROWTH;
    if let (Some(cause), true) = (change.cause().filter(|cause| *cause != GrowthCause::Objects), is_much) {
        let advice = cause.advice(now);
        lines.push(Line::whole(2, Tone::Warning, format!("{}, not objects: {advice}", cause.describe())));
    }
    lines
}

/// Notes with advice.
fn notes(account: &MemoryAccount) -> Vec<String> {
    let is_notable = |bytes: u64| bytes.saturating_mul(NOTABLE) >= account.rss_bytes && bytes > 0;
    let mut notes = Vec::new();
    if is_notable(account.trimmable_bytes) {
        notes.push(format!(
            "malloc_trim(0) in the program would return {} to the system",
            Bytes(account.trimmable_bytes)
        ));
    }
    let stuck = account.rows.iter().filter(|row| FREE_OF_MALLOC.contains(&row.kind));
    let stuck = stuck.map(MemoryRow::resident_bytes).fold(0, u64::saturating_add);
    let stuck = stuck.saturating_sub(account.trimmable_bytes);
    if is_notable(stuck) {
        notes.push(format!(
            "malloc keeps {} that malloc_trim cannot return: it is cached, or shares pages with used memory",
            Bytes(stuck)
        ));
    }
    if is_notable(account.pinned_bytes) {
        let who: Vec<String> = account
            .pinned_types
            .iter()
            .take(3)
            .map(|by| format!("{} ({})", escape_controls(&by.name), Bytes(by.pinned_bytes)))
            .collect();
        notes.push(format!(
            "{} of Python's allocator are nearly empty and keep {} of free memory, because of {}",
            if has_heaps(account) {
                counted(account.pinned_arenas, "page", "pages")
            } else {
                counted(account.pinned_arenas, "arena", "arenas")
            },
            Bytes(account.pinned_bytes),
            who.join(", ")
        ));
        let holders = account.pinned_holders.iter().flatten().take(3);
        let holders: Vec<String> = holders
            .map(|by| format!("{} ({})", escape_controls(&by.holder), Bytes(by.pinned_bytes)))
            .collect();
        if !holders.is_empty() {
            notes.push(format!("the objects in them are held by {}", holders.join(", ")));
        }
    }
    let owned = account
        .large_regions
        .iter()
        .filter_map(|large| Some((large.owner.as_deref()?, large.resident_bytes)));
    let owned: Vec<(&str, u64)> = owned.filter(|(_, bytes)| is_notable(*bytes)).take(3).collect();
    for (owner, bytes) in owned {
        notes.push(format!("one region of {} belongs to a {}", Bytes(bytes), escape_controls(owner)));
    }
    let additions = [
        (account.huge_page_bytes, "of it in huge pages"),
        (account.swap_bytes, "swapped out in addition"),
        (account.hugetlb_bytes, "in hugetlbfs in addition"),
    ];
    let additions = additions.iter().filter(|(bytes, _)| *bytes > 0);
    let additions: Vec<String> = additions.map(|(bytes, what)| format!("{} {what}", Bytes(*bytes))).collect();
    if !additions.is_empty() {
        notes.push(additions.join(", "));
    }
    notes
}

/// Whether Python has several heaps: those of mimalloc, which has pages for arenas.
fn has_heaps(account: &MemoryAccount) -> bool {
    let used = [MemoryKind::PythonUsed, MemoryKind::PythonFreeBlocks];
    account.rows.iter().any(|row| row.detail.is_some() && used.contains(&row.kind))
}

fn what(row: &MemoryRow) -> String {
    memory_use(row.kind, row.detail.as_deref())
}

#[cfg(test)]
mod tests {
    use common::record::{PinnedHolder, PinnedType};

    use super::*;

    fn row(kind: MemoryKind, detail: Option<&str>, private: u64, shared: u64) -> MemoryRow {
        MemoryRow {
            kind,
            detail: detail.map(Into::into),
            private_bytes: private,
            shared_bytes: shared,
            swap_bytes: 0,
        }
    }

    #[test]
    fn memory_table_gives_advice() {
        let account = MemoryAccount {
            rss_bytes: 100 << 20,
            explained_bytes: 90 << 20,
            explained_ratio: 0.9,
            rows: vec![
                row(MemoryKind::PythonFreePools, None, 50 << 20, 0),
                row(MemoryKind::PythonObjects, Some("pools"), 20 << 20, 20 << 20),
                row(MemoryKind::Unexplained, Some("anonymous"), 10 << 20, 0),
                row(MemoryKind::File, None, 0, 1 << 20),
            ],
            types: Vec::new(),
            types_omitted: None,
            malloc_arenas: Some(1),
            trimmable_bytes: 6 << 20,
            pinned_arenas: 50,
            pinned_bytes: 49 << 20,
            pinned_types: vec![PinnedType { name: "bytes".into(), blocks: 400, pinned_bytes: 49 << 20 }],
            pinned_holders: Some(vec![PinnedHolder {
                holder: "__main__.pins".into(),
                objects: 390,
                arenas: 50,
                pinned_bytes: 48 << 20,
            }]),
            large_regions: Vec::new(),
            huge_page_bytes: 0,
            swap_bytes: 4096,
            hugetlb_bytes: 0,
            page_table_bytes: None,
        };
        let mut text = String::new();
        for line in memory(&account, 3) {
            line.write(common::table::Style::default(), &mut text);
        }
        // A column without a word in it is left out.
        let expected = "
  resident memory (100.00 MiB)
   RESIDENT   SHARE     SHARED  WHAT
  50.00 MiB  50.0 %             free pools of Python
  40.00 MiB  40.0 %  20.00 MiB  Python objects in pools
  10.00 MiB  10.0 %             not explained (anonymous)
   1.00 MiB   1.0 %   1.00 MiB  … 1 more
  90.0 % of it explained
  malloc_trim(0) in the program would return 6.00 MiB to the system
  50 arenas of Python's allocator are nearly empty and keep 49.00 MiB of free memory, because of bytes (49.00 MiB)
  the objects in them are held by __main__.pins (48.00 MiB)
  4.00 KiB swapped out in addition
";
        assert_eq!(text, expected);
    }

    #[test]
    fn growth_line_gives_advice() {
        let figures = |native: u64, objects: u64| MemoryAccount {
            rss_bytes: native + objects,
            rows: vec![
                row(MemoryKind::NativeUsed, None, native, 0),
                row(MemoryKind::PythonObjects, Some("pools"), objects, 0),
            ],
            ..MemoryAccount::default()
        };
        let since_text = |before: &MemoryAccount, now: &MemoryAccount| {
            let mut text = String::new();
            for line in since(before, now) {
                line.write(common::table::Style::default(), &mut text);
            }
            text
        };
        let mib = 1 << 20;
        let text = since_text(&figures(10 * mib, 5 * mib), &figures(14 * mib, 4 * mib));
        assert!(
            text.starts_with(
                "  since the last: +3.00 MiB: malloc, in use +4.00 MiB, Python objects in pools -1.00 MiB\n"
            ),
            "{text}"
        );
        assert!(text.contains("not objects: if it goes on, a native leak"), "{text}");
        let objects = since_text(&figures(10 * mib, 5 * mib), &figures(10 * mib, 9 * mib));
        assert_eq!(objects, "  since the last: +4.00 MiB: Python objects in pools +4.00 MiB\n");
        assert_eq!(since_text(&figures(mib, mib), &figures(mib, mib)), "  since the last: +0 B\n");
    }
}
