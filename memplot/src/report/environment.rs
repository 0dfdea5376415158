//! The environment of a report: program, versions, times.

use std::fmt::Write as _;

use common::process_search::ProgramName;
use common::record::LeaksRecord;
use common::units::counted;
use common::verdict::span;

use crate::clock;
use crate::svg::escape;

/// A list of what the records know of the environment.
pub fn html(records: &[LeaksRecord], with_host: bool) -> String {
    let Some(first) = records.first() else { return String::new() };
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(words) = first.cmdline.as_ref().filter(|_| with_host) {
        rows.push(("Command", words.join(" ")));
    } else if let Some(name) = &first.name {
        let program = ProgramName { name, cmdline: first.cmdline.as_deref().unwrap_or_default() };
        rows.push(("Program", program.short().to_owned()));
    }
    let others = records.len().saturating_sub(1) as u64;
    let more = match others {
        0 => String::new(),
        _ => format!(", and {}", counted(others, "more process", "more processes")),
    };
    rows.push(("Process", format!("pid {}{more}", first.pid)));
    rows.push(("Python", first.python.to_string()));
    let zone = clock::zone();
    let at = first.timestamp.unix_ms();
    let censuses = counted(first.censuses, "census", "censuses");
    rows.push((
        "Time",
        format!(
            "{} {} {}, {censuses} in {}",
            clock::date(at, zone),
            clock::time_of_day(at, zone, true),
            clock::local(at, zone).strftime("%Z"),
            span(first.duration_seconds)
        ),
    ));
    if with_host && !first.host.is_empty() {
        rows.push(("Host", first.host.to_string()));
    }
    let memobj =
        first.memobj_version.as_deref().map(|version| format!("memobj {version}, ")).unwrap_or_default();
    rows.push(("Tools", format!("{memobj}memplot {}", env!("CARGO_PKG_VERSION"))));
    let mut html = "<h3>Environment</h3>\n<dl class=\"environment\">\n".to_owned();
    for (label, text) in rows {
        let _ = writeln!(html, "<dt>{label}</dt><dd>{}</dd>", escape(&text));
    }
    html.push_str("</dl>\n");
    html
}
