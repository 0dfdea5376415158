//! Renders comparisons and verdicts as text, markdown and CSV.

mod csv;
mod grid;
mod markdown;
mod report;
mod sections;
mod text;

#[cfg(test)]
mod tests;

pub use self::csv::CsvWriter;
pub use self::markdown::render_markdown;
pub use self::report::{RenderOptions, Report};
pub use self::text::render_text;
