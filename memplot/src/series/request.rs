//! The plot that the user wants.

use common::record::Verdict;
use regex::Regex;

use super::window::TimeWindow;
use crate::cli::Args;

/// The plot that the user wants.
#[derive(Debug)]
pub struct PlotRequest<'a> {
    /// The arguments.
    pub args: &'a Args,
    /// The names to draw.
    pub grep: Option<Regex>,
    /// The range of time.
    pub window: TimeWindow,
    /// The number of buckets of time to keep.
    pub buckets: usize,
    /// The names of the logs.
    pub inputs: Vec<String>,
    /// The verdicts of memdiff for the same log.
    pub verdicts: Vec<Verdict>,
}

impl PlotRequest<'_> {
    /// The number of series that are drawn individually.
    pub fn top(&self) -> usize {
        usize::try_from(self.args.top).unwrap_or(usize::MAX)
    }
}
