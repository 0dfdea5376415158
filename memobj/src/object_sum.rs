//! Sums of objects by name.

use std::cmp::Reverse;
use std::sync::Arc;

/// The module of types whose names stand bare.
const BUILTINS: &str = "builtins";

/// Objects that have a name in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// The name of a type, module, holder or owner. Builtin types have no module in their name.
    pub name: Arc<str>,
    /// The sum.
    pub sum: ObjectSum,
}

impl SummaryRow {
    /// Sorts rows: the largest first, then by name.
    pub fn sort(rows: &mut [Self]) {
        rows.sort_unstable_by(|a, b| {
            let order = |row: &Self| (Reverse(row.sum.size_bytes), Reverse(row.sum.count));
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// The sum of some objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSum {
    /// Their number.
    pub count: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub size_bytes: u64,
    /// Storage that they own beyond that.
    pub overhead_bytes: u64,
    /// Whether `size_bytes` is exact; otherwise a lower bound.
    pub size_exact: bool,
    /// Bytes that would be freed without their holder; `None` if not computed.
    pub retained_bytes: Option<u64>,
}

impl ObjectSum {
    /// Nothing.
    pub const NONE: Self =
        Self { count: 0, size_bytes: 0, overhead_bytes: 0, size_exact: true, retained_bytes: None };

    /// Adds two sums. Their retained sizes may overlap, and are unknown for both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            size_bytes: self.size_bytes.saturating_add(other.size_bytes),
            overhead_bytes: self.overhead_bytes.saturating_add(other.overhead_bytes),
            size_exact: self.size_exact && other.size_exact,
            retained_bytes: None,
        }
    }
}

/// The objects of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCount {
    /// Its module; `builtins` for builtin types.
    pub module: Arc<str>,
    /// Its name within the module, as `__qualname__`.
    pub qualname: Arc<str>,
    /// How many.
    pub count: u64,
    /// Their sizes, as `sys.getsizeof` gives them.
    pub size_bytes: u64,
    /// Storage that they own and `sys.getsizeof` does not count.
    pub overhead_bytes: u64,
    /// Whether `size_bytes` is exact; otherwise a lower bound.
    pub size_exact: bool,
}

impl From<&TypeCount> for ObjectSum {
    fn from(count: &TypeCount) -> Self {
        Self {
            count: count.count,
            size_bytes: count.size_bytes,
            overhead_bytes: count.overhead_bytes,
            size_exact: count.size_exact,
            retained_bytes: None,
        }
    }
}

/// The name of a type in records.
#[must_use]
pub fn type_name(kind: &TypeCount) -> Arc<str> {
    if &*kind.module == BUILTINS {
        Arc::clone(&kind.qualname)
    } else {
        format!("{}.{}", kind.module, kind.qualname).into()
    }
}
