//! Modules by package: a program has hundreds of modules, and their package is the name that users know.

use std::collections::HashMap;
use std::sync::Arc;

use common::table::Line;

use super::tables::object_table;
use crate::names::modules::package_of;
use crate::object_sum::{ObjectSum, SummaryRow};

/// A module of a package has a row of its own from this share of all bytes on: one in a hundred.
const MIN_MODULE_SHARE: u64 = 100;

/// The table of packages, from the rows of all modules, the largest first. `extra` is the optional column, with its title.
pub(super) fn packages(
    title: &str,
    modules: &[SummaryRow],
    total_bytes: u64,
    limit: usize,
    (extra_title, extra): (&'static str, fn(ObjectSum) -> Option<u64>),
) -> Vec<Line> {
    let mut groups: HashMap<&str, Vec<&SummaryRow>> = HashMap::new();
    for module in modules {
        groups.entry(package_of(&module.name)).or_default().push(module);
    }
    let mut large: HashMap<Arc<str>, Vec<SummaryRow>> = HashMap::new();
    let mut rows = Vec::with_capacity(groups.len());
    for (package, modules) in groups {
        // A package that has only one module here has the name of that.
        if let [module] = *modules {
            rows.push(module.clone());
            continue;
        }
        let name: Arc<str> = format!("{package} ({} modules)", modules.len()).into();
        let sum = modules.iter().fold(ObjectSum::NONE, |sum, module| sum.and(module.sum));
        let is_large = |row: &&SummaryRow| row.sum.size_bytes.saturating_mul(MIN_MODULE_SHARE) >= total_bytes;
        large.insert(Arc::clone(&name), modules.into_iter().filter(is_large).cloned().collect());
        rows.push(SummaryRow { name, sum });
    }
    SummaryRow::sort(&mut rows);
    let parts = |row: &SummaryRow| large.get(&row.name).cloned().unwrap_or_default();
    object_table(title, [extra_title, "PACKAGE"], &rows, total_bytes, limit, extra, parts)
}

#[cfg(test)]
mod tests {
    use common::table::Style;

    use super::*;

    #[test]
    fn modules_of_a_package_are_one_row() {
        let row = |name: &str, count: u64, size_bytes: u64| SummaryRow {
            name: name.into(),
            sum: ObjectSum { count, size_bytes, ..ObjectSum::NONE },
        };
        let modules = [
            row("builtins", 9, 3000),
            row("pydantic._internal", 6, 2000),
            row("pydantic", 5, 1900),
            row("src.cache", 4, 600),
            row("pydantic.main", 1, 1),
        ];
        let extra: fn(ObjectSum) -> Option<u64> = |sum| sum.retained_bytes;
        let text = |limit: usize| {
            let mut text = String::new();
            for line in packages("packages", &modules, 7501, limit, ("RETAINED", extra)) {
                line.write(Style { colour: false, width: None }, &mut text);
            }
            text
        };
        assert_eq!(
            text(20),
            "
  packages (3)
  COUNT      SIZE   SHARE  PACKAGE
     12  3.81 KiB  52.0 %  pydantic (3 modules)
      6  1.95 KiB  26.7 %    pydantic._internal
      5  1.86 KiB  25.3 %    pydantic
      9  2.93 KiB  40.0 %  builtins
      4     600 B   8.0 %  src.cache
"
        );
        assert!(text(1).ends_with("     13  3.52 KiB  48.0 %  … 2 more\n"), "{}", text(1));
    }
}
