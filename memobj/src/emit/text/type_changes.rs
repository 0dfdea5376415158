//! Changes between two censuses of a process.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::columns::{Cell, Tone};
use common::stdio::escape_controls;
use common::table::Line;
use common::time::{Span, Stamp};
use common::units::{Change, thousands};

use super::super::summary::CensusSummary;
use super::tables::{ANY_WIDTH, bytes, cut, table, titled_table};
use crate::object_sum::{ObjectSum, SummaryRow};

/// The change of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TypeChange {
    name: Arc<str>,
    before: ObjectSum,
    after: ObjectSum,
}

impl TypeChange {
    fn bytes(&self) -> i64 {
        Change::between(self.before.size_bytes, self.after.size_bytes).0
    }

    fn count(&self) -> i64 {
        Change::between(self.before.count, self.after.count).0
    }

    /// The sort key; (0, 0) is no change.
    fn weight(&self) -> (i64, i64) {
        (self.bytes(), self.count())
    }
}

/// The changes of all types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeChanges {
    /// Largest growth first.
    grown: Vec<TypeChange>,
    /// Largest shrinkage first.
    shrunk: Vec<TypeChange>,
    total: TypeChange,
}

impl TypeChanges {
    pub fn between(before: &CensusSummary, after: &CensusSummary) -> Self {
        let mut old: HashMap<&Arc<str>, ObjectSum> =
            before.types.iter().map(|row| (&row.name, row.sum)).collect();
        let change = |name: &Arc<str>, before, after| TypeChange { name: Arc::clone(name), before, after };
        let mut all: Vec<TypeChange> = after
            .types
            .iter()
            .map(|SummaryRow { name, sum }| change(name, old.remove(name).unwrap_or(ObjectSum::NONE), *sum))
            .collect();
        all.extend(old.into_iter().map(|(name, sum)| change(name, sum, ObjectSum::NONE)));
        all.retain(|change| change.weight() != (0, 0));
        let (mut grown, mut shrunk): (Vec<TypeChange>, Vec<TypeChange>) =
            all.into_iter().partition(|change| change.weight() > (0, 0));
        grown.sort_unstable_by(|a, b| (Reverse(a.weight()), &a.name).cmp(&(Reverse(b.weight()), &b.name)));
        shrunk.sort_unstable_by(|a, b| (a.weight(), &a.name).cmp(&(b.weight(), &b.name)));
        let total = TypeChange { name: "all objects".into(), before: before.total, after: after.total };
        Self { grown, shrunk, total }
    }

    /// The table. Each side gets half of the `limit` rows, and the rows that the other does not need.
    pub fn lines(&self, (since, iteration): (Stamp, u64), now: Stamp, limit: usize) -> Vec<Line> {
        let columns = ["CHANGE", "COUNT CHANGE", "SIZE", "COUNT"];
        let mut table = table(&columns, &[("TYPE", ANY_WIDTH)]);
        let mut add = |change: &TypeChange, tone: Option<Tone>| {
            let (size, count) = change.weight();
            let side = match (size, count) {
                (0, 0) => Tone::Plain,
                weight if weight > (0, 0) => Tone::Growth,
                _ => Tone::Shrinkage,
            };
            table.push([
                Cell::new(side, Change(size).to_string()),
                Cell::new(side, signed(count)),
                Cell::plain(bytes(change.after.size_bytes)),
                Cell::plain(thousands(change.after.count)),
                Cell::new(tone.unwrap_or_default(), escape_controls(&change.name)),
            ]);
        };
        let half = limit.div_ceil(2);
        let of_grown = self.grown.len().min(limit.saturating_sub(self.shrunk.len().min(limit - half)));
        let of_shrunk = self.shrunk.len().min(limit.saturating_sub(of_grown));
        for (rows, most, word) in [(&self.grown, of_grown, "grew"), (&self.shrunk, of_shrunk, "shrank")] {
            let (shown, others) = cut(rows, most);
            for change in shown {
                add(change, None);
            }
            if !others.is_empty() {
                let sum = |side: fn(&TypeChange) -> ObjectSum| {
                    others.iter().fold(ObjectSum::NONE, |sum, change| sum.and(side(change)))
                };
                let name = format!("… {} more that {word}", others.len()).into();
                let rest = TypeChange {
                    name,
                    before: sum(|change| change.before),
                    after: sum(|change| change.after),
                };
                add(&rest, Some(Tone::Dim));
            }
        }
        add(&self.total, Some(Tone::Strong));
        let passed =
            Duration::try_from_secs_f64(now.unix_seconds() - since.unix_seconds()).unwrap_or_default();
        titled_table(&format!("change since #{iteration}, {} ago", Span(passed)), table)
    }
}

/// A change of a count with its sign.
fn signed(count: i64) -> String {
    match count {
        0 => "±0".into(),
        _ => format!("{}{}", if count > 0 { '+' } else { '-' }, thousands(count.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::testing::{census, type_count};

    fn summary(types: &[(&str, u64, u64)]) -> CensusSummary {
        let types = types.iter().map(|(name, count, size)| type_count("m", name, *count, *size));
        CensusSummary::new(&census(types.collect()))
    }

    fn names(rows: &[TypeChange]) -> Vec<(&str, i64, i64)> {
        rows.iter().map(|change| (&*change.name, change.bytes(), change.count())).collect()
    }

    #[test]
    fn only_changes_are_listed() {
        let before =
            summary(&[("Same", 5, 500), ("Up", 1, 100), ("Down", 9, 900), ("Gone", 2, 50), ("Fewer", 3, 30)]);
        let after =
            summary(&[("Same", 5, 500), ("Up", 4, 400), ("Down", 1, 100), ("New", 1, 9), ("Fewer", 2, 30)]);
        let changes = TypeChanges::between(&before, &after);
        assert_eq!(names(&changes.grown), [("m.Up", 300, 3), ("m.New", 9, 1)]);
        assert_eq!(names(&changes.shrunk), [("m.Down", -800, -8), ("m.Gone", -50, -2), ("m.Fewer", 0, -1)]);
        assert_eq!((changes.total.bytes(), changes.total.count()), (-541, -7));
    }

    fn shown(grown: u64, shrunk: u64, limit: usize) -> Vec<String> {
        let list = |prefix: &str, many: u64, size: u64| -> Vec<(String, u64, u64)> {
            (0..many).map(|n| (format!("{prefix}{n}"), 1, size + n)).collect()
        };
        let sides = |up, down| [list("Up", grown, up), list("Down", shrunk, down)].concat();
        let made = |rows: Vec<(String, u64, u64)>| {
            summary(&rows.iter().map(|(name, count, size)| (&**name, *count, *size)).collect::<Vec<_>>())
        };
        let changes = TypeChanges::between(&made(sides(100, 900)), &made(sides(300, 400)));
        let at: Stamp = "2026-11-24T12:00:00.000+00:00".parse().unwrap();
        let later: Stamp = "2026-11-24T12:00:30.000+00:00".parse().unwrap();
        let mut text = String::new();
        for line in changes.lines((at, 1), later, limit) {
            line.write(common::table::Style::default(), &mut text);
        }
        assert!(text.starts_with("\n  change since #1, 30 s ago\n"), "{text}");
        text.lines().skip(3).map(|line| line.rsplit("  ").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn rows_are_shared_by_both_sides() {
        let both = shown(30, 30, 6);
        assert_eq!(both.iter().filter(|name| name.starts_with("m.Up")).count(), 3, "{both:?}");
        assert_eq!(both.iter().filter(|name| name.starts_with("m.Down")).count(), 3, "{both:?}");
        assert_eq!(both[3], "… 27 more that grew");
        assert_eq!(&both[7..], ["… 27 more that shrank", "all objects"]);
        let up = shown(30, 1, 6);
        assert_eq!(up.iter().filter(|name| name.starts_with("m.Up")).count(), 5, "{up:?}");
        let down = shown(0, 30, 6);
        assert_eq!(down.iter().filter(|name| name.starts_with("m.Down")).count(), 6, "{down:?}");
        assert_eq!(shown(2, 2, 6).len(), 5);
        assert_eq!(shown(9, 9, 0).len(), 3, "no rows, and what they are together");
    }
}
