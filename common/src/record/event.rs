//! `process_event`, `output` and `error`: what happened beside the samples.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::header::{Header, record};
use super::names::names;

/// What happened to a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Seen for the first time: it began, or was there when watching began (`at_start`).
    Started,
    /// It ended.
    Exited,
    /// It runs another program now (exec), as the same process.
    Replaced,
    /// It took part in crossing a limit of `--fail-above` or `--warn-rss`.
    LimitCrossed,
    /// Its resident size grew by more than `--warn-growth` since the sample before.
    Grew,
    /// The kernel killed a process of the root's cgroup for want of memory since the sample before.
    OomKill,
    /// A kind that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

names! {
    /// A size that can have a limit.
    pub enum Metric {
        /// The sum of resident sizes of the tree.
        Total,
        /// The resident size of any one process of the tree.
        Rss,
        /// The sum of proportional sizes of the tree.
        Pss,
    }
}

record! {
    /// Something that happened to a process (`type`: `process_event`). What does not apply or is not known is absent.
    pub struct ProcessEvent {
        /// What happened.
        pub event: EventKind,
        /// The process.
        pub pid: u32,
        /// Its parent at that time.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ppid: Option<u32>,
        /// The root of the tree it belongs to.
        pub root_pid: u32,
        /// As in the `process` record.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub start_time: Option<Arc<str>>,
        /// As in the `process` record.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub start_ticks: Option<u64>,
        /// Its name; absent if it was gone before it could be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<Arc<str>>,
        /// The whole command line, with `started` and `replaced`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cmdline: Option<Arc<[String]>>,
        /// With `started`: it was already there when watching began.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub at_start: Option<bool>,
        /// With `exited`: the status it ended with; absent if a signal ended it or nobody could know.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub exit_code: Option<i32>,
        /// With `exited`: the number of the signal that ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub signal: Option<i32>,
        /// With `exited`: how long it lived.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lifetime_seconds: Option<f64>,
        /// With `exited`: the largest resident size it was seen to have.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub rss_peak_bytes: Option<u64>,
        /// With `limit_crossed`: the size that was over the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub metric: Option<Metric>,
        /// With `limit_crossed` and `grew`: the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit_bytes: Option<u64>,
        /// With `limit_crossed`: the value of the metric. With `grew`: the resident size now.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub value_bytes: Option<u64>,
        /// With `limit_crossed`: this process's own part in the value.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub own_bytes: Option<u64>,
        /// With `limit_crossed`: how much this process grew since it was first seen. With `grew`: since the sample before.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub growth_bytes: Option<i64>,
        /// With `oom_kill`: how many.
        #[serde(skip_serializing_if = "Option::is_none", alias = "kills")]
        pub oom_kills: Option<u64>,
    }
}

impl ProcessEvent {
    /// An event of `pid` in the tree of `root_pid`, with nothing more known yet.
    #[must_use]
    pub fn new(header: Header, event: EventKind, pid: u32, root_pid: u32) -> Self {
        Self { event, pid, root_pid, ..Self::default() }.with_header(header)
    }
}

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

record! {
    /// A line that a launched command printed (`type`: `output`), only with `--record-output`.
    pub struct OutputRecord {
        /// Where it printed it.
        pub stream: OutputStream,
        /// The line without its end; bytes that are no UTF-8 are replaced.
        pub line: String,
    }
}

impl OutputRecord {
    /// A line of `stream`.
    #[must_use]
    pub fn new(header: Header, stream: OutputStream, line: String) -> Self {
        Self { stream, line, ..Self::default() }.with_header(header)
    }
}

record! {
    /// Something that could not be done (`type`: `error`).
    pub struct ErrorRecord {
        /// What was being done: `sample`, `save`, …
        pub stage: Arc<str>,
        /// What went wrong.
        pub message: String,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hint: Option<String>,
        /// The process it was about, if about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pid: Option<u32>,
    }
}

impl ErrorRecord {
    /// `message` in `stage`, with no hint.
    #[must_use]
    pub fn new(header: Header, stage: &str, message: String) -> Self {
        Self { stage: stage.into(), message, ..Self::default() }.with_header(header)
    }
}
