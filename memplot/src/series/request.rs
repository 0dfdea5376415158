//! The plot that the user wants.

use common::record::Verdict;
use jiff::tz::TimeZone;
use regex::Regex;

use super::window::TimeWindow;
use crate::cli::{Metric, Quantity};

/// The plot that the user wants.
#[derive(Debug, Clone)]
pub struct PlotRequest {
    /// The values to draw; `None` for those that suit the log.
    pub quantity: Option<Quantity>,
    /// The memory size of a process.
    pub metric: Metric,
    /// The number of series that are drawn individually.
    pub top: usize,
    /// Whether to stack; `None` for the default of the quantity.
    pub stack: Option<bool>,
    /// Draw changes since the beginning.
    pub delta: bool,
    /// Use a logarithmic axis.
    pub log_scale: bool,
    /// The names to draw.
    pub grep: Option<Regex>,
    /// The range of time.
    pub window: TimeWindow,
    /// The number of buckets of time to keep.
    pub buckets: usize,
    /// The names of the logs.
    pub inputs: Vec<String>,
    /// The title; `None` for one made from the log.
    pub title: Option<String>,
    /// The time zone of all text.
    pub zone: TimeZone,
    /// The verdicts of memdiff for the same log.
    pub verdicts: Vec<Verdict>,
}
