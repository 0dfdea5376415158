//! `memplot`: a log as a picture.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | model | [`figure`] | what is to be seen, whatever it is drawn with |
//! | words | [`format`], [`clock`], [`text_metrics`], [`colour`] | values, moments, widths of text and colours as pictures show them |
//! | usage | [`cli`] | what the user types |
//! | thinning | [`downsample`] | what is kept of a log: bounded, and every peak |
//! | series | [`series`] | moments → one picture |
//! | places | [`scale`], [`stack`] | axes, and the edges of areas that lie on each other |
//! | paper | [`svg`] | a document, and plotters' drawing backend that writes into it |
//! | chart | [`chart`] | a picture → SVG |
//! | pixels | [`png`] | SVG → PNG |
//! | page, characters | [`html`], [`terminal`] | a picture → HTML; a picture → text for a terminal |
//! | flow | [`run`] | arguments → the flow above, in order → exit code |

pub mod chart;
pub mod cli;
pub mod clock;
pub mod colour;
pub mod downsample;
pub mod figure;
pub mod format;
pub mod html;
pub mod png;
pub mod run;
pub mod scale;
pub mod series;
pub mod stack;
pub mod svg;
pub mod terminal;
pub mod text_metrics;

use std::process::ExitCode;

/// The `memplot` command.
#[must_use]
pub fn main() -> ExitCode {
    match common::cli::parse::<cli::Args>(std::env::args_os()) {
        Ok(args) => common::cli::run("memplot", || run::run(&args)),
        Err(code) => code,
    }
}
