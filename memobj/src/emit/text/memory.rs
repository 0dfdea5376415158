//! Who has the resident set, for people.

use common::columns::{Cell, Tone};
use common::record::{MemoryAccount, MemoryRow};
use common::stdio::escape_controls;
use common::table::{Column, Line, Table};
use common::units::{Bytes, counted};

use super::block::{ANY_WIDTH, percent, ratio, titled};
use crate::account::rows::Kind;

/// What is explained below this is worth a glance.
const LOW: f64 = 0.95;
/// What could be given back, or is kept by few, is worth a line from this part of all on.
const NOTABLE: u64 = 20;

/// The table of an account and what follows from it; `limit` rows.
pub(super) fn memory(account: &MemoryAccount, limit: usize) -> Vec<Line> {
    let mut table = Table::new([
        Column::right("RESIDENT"),
        Column::right("SHARE"),
        Column::right("SHARED"),
        Column::right("SWAPPED"),
        Column::left("WHAT", ANY_WIDTH),
    ]);
    let mut add = |row: &MemoryRow, tone: Tone, what: String| {
        let resident = row.private_bytes.saturating_add(row.shared_bytes);
        let some = |bytes: u64| if bytes > 0 { Bytes(bytes).to_string() } else { String::new() };
        table.push([
            Cell::plain(Bytes(resident).to_string()),
            Cell::new(Tone::Dim, ratio(resident, account.rss_bytes).map(percent).unwrap_or_default()),
            Cell::new(Tone::Dim, some(row.shared_bytes)),
            Cell::new(Tone::Dim, some(row.swap_bytes)),
            Cell::new(tone, what),
        ]);
    };
    let (shown, others) = account.rows.split_at_checked(limit).unwrap_or((&account.rows, &[]));
    for row in shown {
        let is_unknown = *row.kind == *Kind::Unexplained.word();
        add(row, if is_unknown { Tone::Warning } else { Tone::Plain }, what(row));
    }
    if !others.is_empty() {
        let sum = |of: fn(&MemoryRow) -> u64| others.iter().map(of).fold(0, u64::saturating_add);
        let rest = MemoryRow {
            kind: "".into(),
            detail: None,
            private_bytes: sum(|row| row.private_bytes),
            shared_bytes: sum(|row| row.shared_bytes),
            swap_bytes: sum(|row| row.swap_bytes),
        };
        add(&rest, Tone::Dim, format!("… {} more", others.len()));
    }
    let title = format!("resident memory ({})", Bytes(account.rss_bytes));
    let mut lines = titled(&title, table);
    let tone = if account.explained_ratio < LOW { Tone::Warning } else { Tone::Dim };
    lines.push(Line::whole(2, tone, format!("{} of it explained", percent(account.explained_ratio))));
    lines.extend(notes(account).into_iter().map(|note| Line::whole(2, Tone::Plain, note)));
    lines
}

/// What can be done about it.
fn notes(account: &MemoryAccount) -> Vec<String> {
    let is_notable = |bytes: u64| bytes.saturating_mul(NOTABLE) >= account.rss_bytes && bytes > 0;
    let mut notes = Vec::new();
    if is_notable(account.trimmable_bytes) {
        notes.push(format!(
            "malloc_trim(0) in the program would give back {}",
            Bytes(account.trimmable_bytes)
        ));
    }
    if is_notable(account.pinned_bytes) {
        let who: Vec<String> = account
            .pinned_by
            .iter()
            .take(3)
            .map(|by| format!("{} ({})", escape_controls(&by.name), Bytes(by.pinned_bytes)))
            .collect();
        notes.push(format!(
            "{} of Python's allocator, nearly empty, keep {} that nobody uses, for {}",
            counted(account.pinned_arenas, "arena", "arenas"),
            Bytes(account.pinned_bytes),
            who.join(", ")
        ));
    }
    let owned =
        account.large.iter().filter_map(|large| Some((large.owner.as_deref()?, large.resident_bytes)));
    let owned: Vec<(&str, u64)> = owned.filter(|(_, bytes)| is_notable(*bytes)).take(3).collect();
    for (owner, bytes) in owned {
        notes.push(format!("one piece of {} is of a {}", Bytes(bytes), escape_controls(owner)));
    }
    let besides = [
        (account.huge_bytes, "of it in huge pages"),
        (account.swap_bytes, "swapped out besides"),
        (account.hugetlb_bytes, "in hugetlbfs besides"),
    ];
    let besides = besides.iter().filter(|(bytes, _)| *bytes > 0);
    let besides: Vec<String> = besides.map(|(bytes, what)| format!("{} {what}", Bytes(*bytes))).collect();
    if !besides.is_empty() {
        notes.push(besides.join(", "));
    }
    notes
}

fn what(row: &MemoryRow) -> String {
    let kind = Kind::ALL.iter().find(|kind| kind.word() == &*row.kind);
    let words = kind.map_or_else(|| escape_controls(&row.kind).into_owned(), |kind| kind.words().to_owned());
    match row.detail.as_deref().filter(|detail| !detail.is_empty()) {
        Some(detail) if kind == Some(&Kind::PythonObjects) => {
            format!("{words} in {}", escape_controls(detail))
        }
        Some(detail) if matches!(kind, Some(Kind::Unexplained | Kind::Stack)) => {
            format!("{words} ({})", escape_controls(detail))
        }
        Some(detail) => format!("{words} {}", escape_controls(detail)),
        None if kind == Some(&Kind::File) => "smaller files".into(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use common::record::PinnedBy;

    use super::*;

    fn row(kind: Kind, detail: Option<&str>, private: u64, shared: u64) -> MemoryRow {
        MemoryRow {
            kind: kind.word().into(),
            detail: detail.map(Into::into),
            private_bytes: private,
            shared_bytes: shared,
            swap_bytes: 0,
        }
    }

    #[test]
    fn the_account_for_a_person_says_what_to_do() {
        let account = MemoryAccount {
            rss_bytes: 100 << 20,
            explained_bytes: 90 << 20,
            explained_ratio: 0.9,
            rows: vec![
                row(Kind::PythonFreePools, None, 50 << 20, 0),
                row(Kind::PythonObjects, Some("pools"), 20 << 20, 20 << 20),
                row(Kind::Unexplained, Some("anonymous"), 10 << 20, 0),
                row(Kind::File, None, 0, 1 << 20),
            ],
            types: Vec::new(),
            types_omitted: None,
            heaps: Some(1),
            trimmable_bytes: 6 << 20,
            pinned_arenas: 50,
            pinned_bytes: 49 << 20,
            pinned_by: vec![PinnedBy { name: "bytes".into(), blocks: 400, pinned_bytes: 49 << 20 }],
            large: Vec::new(),
            huge_bytes: 0,
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
  malloc_trim(0) in the program would give back 6.00 MiB
  50 arenas of Python's allocator, nearly empty, keep 49.00 MiB that nobody uses, for bytes (49.00 MiB)
  4.00 KiB swapped out besides
";
        assert_eq!(text, expected);
    }
}
