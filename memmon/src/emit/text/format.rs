//! Names, sizes and counts as text.

use std::sync::Arc;
use std::time::Duration;

use common::columns::cut;
use common::record::Metric;
use common::stdio::escape_controls;
use common::table::Style;
use common::time::Span;
use common::units::Bytes;

/// Columns for a name before it is cut, or before it moves the next columns where lines are not cut.
pub(super) const NAME_COLUMNS: usize = 24;

/// A process within a run: its pid and start.
pub(super) type ProcessIdentity = (u32, Option<Arc<str>>);

/// A name for a line of text: escaped, and cut if lines are cut.
pub(super) fn display_name(name: &str, style: Style) -> String {
    let name = escape_controls(name);
    if style.width.is_some() { cut(&name, NAME_COLUMNS).into_owned() } else { name.into_owned() }
}

/// A size, or a dash if it is unknown.
pub(super) fn size_or_dash(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), |bytes| Bytes(bytes).to_string())
}

/// `1 process`, `2 processes`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A duration for people; `None` if it is negative or not a number.
pub(super) fn span(seconds: f64) -> Option<Span> {
    Duration::try_from_secs_f64(seconds).ok().map(Span)
}

/// A value with a limit, for people.
pub const fn describe_metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Rss | Metric::Total => "RSS",
        Metric::Pss => "PSS",
        Metric::Memory => "memory in use",
        Metric::Growth => "growth",
        Metric::Fds => "open file descriptors",
        Metric::Threads => "threads",
        Metric::Pressure => "memory pressure",
        Metric::Unknown => "memory",
    }
}
