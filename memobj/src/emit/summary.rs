//! A census summed up by type and module name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::census::Census;
use crate::object_sum::{ObjectSum, SummaryRow, type_name};

/// A census summed up by name.
#[derive(Debug, Clone, PartialEq)]
pub struct CensusSummary {
    /// By type, the largest first, then by name.
    pub types: Vec<SummaryRow>,
    /// By module of the type, in the same order.
    pub modules: Vec<SummaryRow>,
    /// Everything.
    pub total: ObjectSum,
}

impl CensusSummary {
    /// Sums up a census.
    pub fn new(census: &Census) -> Self {
        let mut types: HashMap<Arc<str>, ObjectSum> = HashMap::with_capacity(census.types.len());
        let mut modules: HashMap<Arc<str>, ObjectSum> = HashMap::new();
        for kind in census.types.iter().filter(|kind| kind.count > 0) {
            for (sums, name) in [(&mut types, type_name(kind)), (&mut modules, Arc::clone(&kind.module))] {
                let sum = sums.entry(name).or_insert(ObjectSum::NONE);
                *sum = sum.and(kind.into());
            }
        }
        let total = types.values().fold(ObjectSum::NONE, |total, &sum| total.and(sum));
        Self { types: ordered(types), modules: ordered(modules), total }
    }
}

/// The share of `part` in `whole`; `None` of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn ordered(sums: HashMap<Arc<str>, ObjectSum>) -> Vec<SummaryRow> {
    let mut rows: Vec<SummaryRow> = sums.into_iter().map(|(name, sum)| SummaryRow { name, sum }).collect();
    SummaryRow::sort(&mut rows);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::testing::{census, type_count};
    use crate::object_sum::TypeCount;

    #[test]
    fn same_names_merge_in_order() {
        let types = vec![
            type_count("botpkg", "B", 1, 50),
            type_count("builtins", "str", 10, 1000),
            TypeCount { overhead_bytes: 7, size_exact: false, ..type_count("botpkg", "B", 2, 70) },
            type_count("botpkg", "A", 2, 120),
            type_count("botpkg", "Gone", 0, 0),
        ];
        let summary = CensusSummary::new(&census(types));
        let rows: Vec<_> =
            summary.types.iter().map(|row| (&*row.name, row.sum.count, row.sum.size_bytes)).collect();
        assert_eq!(rows, [("str", 10, 1000), ("botpkg.B", 3, 120), ("botpkg.A", 2, 120)]);
        assert_eq!((summary.types[1].sum.overhead_bytes, summary.types[1].sum.size_exact), (7, false));
        let modules: Vec<_> = summary.modules.iter().map(|row| (&*row.name, row.sum.size_bytes)).collect();
        assert_eq!(modules, [("builtins", 1000), ("botpkg", 240)]);
        assert_eq!(
            summary.total,
            ObjectSum {
                count: 15,
                size_bytes: 1240,
                overhead_bytes: 7,
                size_exact: false,
                retained_bytes: None
            }
        );
    }

    #[test]
    fn sums_saturate() {
        let summary = CensusSummary::new(&census(vec![
            type_count("a", "b", u64::MAX, u64::MAX),
            type_count("a", "b", 1, 1),
        ]));
        assert_eq!((summary.total.count, summary.total.size_bytes), (u64::MAX, u64::MAX));
    }
}
