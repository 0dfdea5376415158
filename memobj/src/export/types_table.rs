//! The types as a table: a spreadsheet opens it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use common::stdio::escape_cell;

use crate::object_sum::{ObjectSum, TypeCount, type_name};

/// The columns; sizes are in bytes.
const COLUMNS: [&str; 7] =
    ["type", "module", "count", "size_bytes", "overhead_bytes", "size_exact", "retained_bytes"];

/// Writes a row for each type with objects, the largest first. Types of one module and name are one row. `retained` is by name; without it
/// the last cells are empty. A row is one line, and no name is a formula: [`escape_cell`].
pub(super) fn write(
    types: &[TypeCount],
    retained: Option<&BTreeMap<Arc<str>, u64>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut sums: BTreeMap<(Arc<str>, &str), ObjectSum> = BTreeMap::new();
    for of in types.iter().filter(|of| of.count > 0) {
        let sum = sums.entry((type_name(of), &of.module)).or_insert(ObjectSum::NONE);
        *sum = sum.and(of.into());
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    // Stable: types of one size stay in the order of their names.
    rows.sort_by_key(|(_, sum)| (Reverse(sum.size_bytes), Reverse(sum.count)));
    let mut table = csv::Writer::from_writer(out);
    table.write_record(COLUMNS)?;
    for ((name, module), sum) in rows {
        let retained_bytes = retained.and_then(|retained| retained.get(&name));
        let ObjectSum { count, size_bytes, overhead_bytes, size_exact, .. } = sum;
        let names = (escape_cell(&name), escape_cell(module));
        table.serialize((names, count, size_bytes, overhead_bytes, size_exact, retained_bytes))?;
    }
    table.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_count(module: &str, qualname: &str, count: u64, size_bytes: u64) -> TypeCount {
        let (module, qualname) = (module.into(), qualname.into());
        TypeCount { module, qualname, count, size_bytes, overhead_bytes: 0, size_exact: true }
    }

    fn table(types: &[TypeCount], retained: Option<&BTreeMap<Arc<str>, u64>>) -> String {
        let mut out = Vec::new();
        write(types, retained, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn types_are_rows_by_size() {
        let mut types = [
            type_count("builtins", "str", 3, 150),
            type_count("app", "User", 2, 96),
            TypeCount { size_exact: false, overhead_bytes: 8, ..type_count("app", "User", 4, 192) },
            type_count("app", "Gone", 0, 0),
        ];
        let titles = "type,module,count,size_bytes,overhead_bytes,size_exact,retained_bytes\n";
        let rows = "app.User,app,6,288,8,false,\nstr,builtins,3,150,0,true,\n";
        assert_eq!(table(&types, None), format!("{titles}{rows}"));
        types.reverse();
        let retained = BTreeMap::from([("app.User".into(), 999), ("other".into(), 1)]);
        let rows = "app.User,app,6,288,8,false,999\nstr,builtins,3,150,0,true,\n";
        assert_eq!(table(&types, Some(&retained)), format!("{titles}{rows}"));
    }

    #[test]
    fn names_are_no_formulas_and_no_rows() {
        let types = [type_count("=cmd", "A,\"B\"", 1, 9), type_count("builtins", "+1\n2", 1, 8)];
        let text = table(&types, None);
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rows, [r#""'=cmd.A,""B""",'=cmd,1,9,0,true,"#, r"'+1\n2,builtins,1,8,0,true,"]);
    }
}
