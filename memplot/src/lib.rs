//! `memplot`: a log as a picture.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | model | [`picture`] | what is to be seen, whatever it is drawn with |
//! | words | [`words`], [`clock`], [`lettering`], [`colour`] | values, moments, widths of text and colours as pictures show them |
//! | usage | [`cli`] | what the user types |
//! | thinning | [`downsample`] | what is kept of a log: bounded, and every peak |
//! | series | [`series`] | moments → one picture |
//! | scale | [`scale`] | values and moments → places on an axis |
//! | backend | [`html`], [`terminal`] | the picture as a page, or in a terminal |

pub mod cli;
pub mod clock;
pub mod colour;
pub mod downsample;
pub mod html;
pub mod lettering;
pub mod picture;
pub mod scale;
pub mod series;
pub mod terminal;
pub mod words;

use std::process::ExitCode;

use common::cli::{self as manners, Failure};

/// The `memplot` command.
#[must_use]
pub fn main() -> ExitCode {
    manners::run("memplot", || Err(Failure::not_built_yet()))
}
