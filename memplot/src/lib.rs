//! `memplot` draws logs of memmon and memobj as SVG, PNG, HTML or text.
//!
//! | layer | modules | purpose |
//! |---|---|---|
//! | model | [`figure`] | a plot independent of its output format |
//! | text | `format`, `clock`, `text_metrics`, `colour` | values, times, text widths and colours |
//! | arguments | [`cli`] | the plot that the user asks for |
//! | output | `output` | its file and format |
//! | downsampling | `downsample` | bounded memory without losing peaks |
//! | series | `series` | moments of a log → a figure |
//! | geometry | `scale`, `stack`, `label_layout` | axes, stacked areas, label positions |
//! | SVG document | `svg` | a document that plotters can draw into |
//! | chart | [`chart`] | a figure → SVG |
//! | PNG | `png` | SVG → PNG |
//! | report | `report` | a verdict on leaks in words, with its evidence → elements of a page |
//! | HTML, terminal | [`html`], [`terminal`] | a figure → a page; a figure → text |
//! | heap | `heap` | the holders of one moment, or of two → SVG, page, text |
//! | flow | `run` | arguments → all of the above → exit code |
//!
//! # Example
//!
//! ```
//! use memplot::figure::{Figure, Point, Series, Unit};
//! use memplot::terminal::{self, TerminalOptions};
//!
//! let points = (0..60).map(|second| Point { unix_ms: second * 1000, value: 1e6 + second as f64 * 1e4 });
//! let run: Vec<Point> = points.collect();
//! let figure = Figure {
//!     title: "Memory".to_owned(),
//!     subtitle: vec!["60 samples".to_owned()],
//!     unit: Unit::Bytes,
//!     stacked: false,
//!     log_scale: false,
//!     delta: false,
//!     time: (0, 59_000),
//!     series: vec![Series { name: "bot.py".to_owned(), last: run.last().copied(), runs: vec![run], ..Series::default() }],
//!     total: None,
//!     marks: Vec::new(),
//! };
//! let text = terminal::render(&figure, TerminalOptions::plain());
//! assert!(text.starts_with("Memory\n") && text.contains("bot.py"));
//! ```

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

pub mod chart;
pub mod cli;
mod clock;
mod colour;
mod downsample;
pub mod figure;
mod format;
mod heap;
pub mod html;
mod label_layout;
mod output;
mod png;
mod report;
mod run;
mod scale;
mod series;
mod stack;
mod svg;
pub mod terminal;
mod text_metrics;

use std::process::ExitCode;

/// The `memplot` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memplot", || run::run(&args)),
        Err(code) => code,
    }
}
