//! Reads logs until they end.

use std::ops::ControlFlow;

use common::cli::Failure;
use common::log::{Input, Moment, Options, read};

use super::TOOL;

/// Reads files, on this thread.
pub(super) fn read_files(
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    read(inputs, &Options::new(TOOL), each).map(|_| ())
}
