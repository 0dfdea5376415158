//! The account of the resident set as a bar, with the growth of its parts.

use std::fmt::Write as _;

use common::record::{LeaksRecord, MemoryRow};
use common::units::Bytes;
use common::verdict::memory_use;

use super::file_name::file_name;
use crate::colour::CHOSEN;
use crate::svg::escape;

/// The length of the bar in units of its drawing.
const LENGTH: f64 = 1000.0;
/// Smaller parts are drawn as one.
const LEAST_PART: f64 = 0.01;

/// A part of the bar.
struct Part {
    name: String,
    bytes: u64,
    grown: u64,
}

/// The bar and its legend; nothing without rows. `with_folders` adds the folders of files.
pub fn html(rows: &[MemoryRow], record: &LeaksRecord, with_folders: bool) -> String {
    let whole = rows.iter().map(MemoryRow::resident_bytes).fold(0, u64::saturating_add);
    if whole == 0 {
        return String::new();
    }
    let share = |bytes: u64| bytes as f64 / whole as f64;
    let grown = |row: &MemoryRow| {
        let growth = record.memory.iter().flat_map(|memory| &memory.rows);
        let own = growth.filter(|growth| growth.kind == row.kind && growth.detail == row.detail);
        own.map(|growth| growth.growth_bytes).fold(0, u64::saturating_add)
    };
    let part = |row: &MemoryRow| Part {
        name: memory_use(
            row.kind,
            row.detail.as_deref().map(|detail| if with_folders { detail } else { file_name(detail) }),
        ),
        bytes: row.resident_bytes(),
        grown: grown(row),
    };
    let is_shown = |row: &&MemoryRow| share(row.resident_bytes()) >= LEAST_PART;
    let mut parts: Vec<Part> = rows.iter().filter(is_shown).take(CHOSEN).map(part).collect();
    let shown = parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
    if let bytes @ 1.. = whole.saturating_sub(shown) {
        let all: u64 = rows.iter().map(grown).fold(0, u64::saturating_add);
        let of_shown: u64 = parts.iter().map(|part| part.grown).fold(0, u64::saturating_add);
        parts.push(Part { name: "other memory".into(), bytes, grown: all.saturating_sub(of_shown) });
    }
    let (mut bar, mut legend, mut at) = (String::new(), String::new(), 0.0);
    for (number, Part { name, bytes, grown }) in parts.iter().enumerate() {
        let class = if number < CHOSEN { format!("c{number}") } else { "other".to_owned() };
        let (name, size, length) = (escape(name), Bytes(*bytes), share(*bytes) * LENGTH);
        let percent = share(*bytes) * 100.0;
        let _ = write!(
            bar,
            "<rect class=\"{class}\" x=\"{at:.1}\" width=\"{length:.1}\" height=\"24\"><title>{name}: {size}</title></rect>"
        );
        let growth = if *grown > 0 { format!("+{}", Bytes(*grown)) } else { String::new() };
        let _ = writeln!(
            legend,
            "<tr><th><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg> {name}</th>\
             <td>{size}</td><td>{percent:.1} %</td><td class=\"more\">{growth}</td></tr>"
        );
        at += length;
    }
    format!(
        "<h3>Resident memory: {}</h3>\n\
         <svg class=\"account\" viewBox=\"0 0 {LENGTH} 24\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Resident memory by use\">{bar}</svg>\n\
         <div class=\"scroll\"><table class=\"legend\">\n{legend}</table></div>\n",
        Bytes(whole)
    )
}
