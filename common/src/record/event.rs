//! `process_event`, `output` and `error`: events between the samples.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::header::{Header, record};
use super::names::names;
use crate::units::{Bytes, thousands};

/// The kind of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The process was seen for the first time: it started, or ran when watching began (`at_start`).
    Started,
    /// The process exited.
    Exited,
    /// The process executed another program (exec).
    Replaced,
    /// The process contributed to crossing a limit of `--fail-above` or `--warn-rss`, or to a condition of `--at`.
    LimitCrossed,
    /// Its resident size grew by more than `--warn-growth` since the sample before.
    Grew,
    /// The kernel's OOM killer killed a process of the root's cgroup since the sample before.
    OomKill,
    /// Short-lived processes of the tree exited faster than events are written: some events were left out.
    Omitted,
    /// An unknown kind.
    #[default]
    #[serde(other)]
    Unknown,
}

names! {
    /// A value with a limit.
    pub enum Metric {
        /// The sum of resident sizes of the tree.
        Total,
        /// The resident size of any one process of the tree.
        Rss,
        /// The sum of proportional sizes of the tree.
        Pss,
        /// The memory in use of the cgroup that has a limit, or of the machine, without page cache.
        Memory,
        /// The growth of the resident size of any one process within a time span.
        Growth,
        /// The open file descriptors of any one process of the tree.
        Fds,
        /// The threads of any one process of the tree.
        Threads,
        /// The share of time in which tasks waited for memory (PSI).
        Pressure,
    }
}

record! {
    /// An event of a process (`type`: `process_event`). Unknown fields, and fields that do not apply, are absent.
    pub struct ProcessEvent {
        /// The kind of the event.
        pub event: EventKind,
        /// The pid of the process.
        pub pid: u32,
        /// The pid of its parent at that time.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ppid: Option<u32>,
        /// The pid of the root of its tree.
        pub root_pid: u32,
        /// As in the `process` record.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub start_time: Option<Arc<str>>,
        /// As in the `process` record.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub start_ticks: Option<u64>,
        /// Its name; absent if the process exited before the name was read.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<Arc<str>>,
        /// With `started` and `replaced`: all its arguments, not truncated.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cmdline: Option<Arc<[String]>>,
        /// With `started`: `true` if the process ran before memmon started to watch.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub at_start: Option<bool>,
        /// With `exited`: its exit code; absent if a signal ended it, or if the code is unknown.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub exit_code: Option<i32>,
        /// With `exited`: the number of the signal that ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub signal: Option<i32>,
        /// With `exited`: the lifetime of the process.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lifetime_seconds: Option<f64>,
        /// With `exited`: its largest observed resident size.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub rss_peak_bytes: Option<u64>,
        /// With `limit_crossed`: the metric above the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub metric: Option<Metric>,
        /// With `limit_crossed` and `grew`: the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit_bytes: Option<u64>,
        /// With `limit_crossed`: the value of the metric. With `grew`: the current resident size.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub value_bytes: Option<u64>,
        /// With `limit_crossed` of `fds` and `threads`: the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit_count: Option<u64>,
        /// With `limit_crossed` of `fds` and `threads`: the value of the metric.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub value_count: Option<u64>,
        /// With `limit_crossed` of `pressure`: the limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub limit_ratio: Option<f64>,
        /// With `limit_crossed` of `pressure`: the value of the metric.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub value_ratio: Option<f64>,
        /// With `limit_crossed`: the part of this process in that value; of `pressure`, its resident size.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub own_bytes: Option<u64>,
        /// Its growth. With `limit_crossed`: since the process was first seen. With `grew`: since the previous sample.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub growth_bytes: Option<i64>,
        /// With `oom_kill`: the number of killed processes.
        #[serde(skip_serializing_if = "Option::is_none", alias = "kills")]
        pub oom_kills: Option<u64>,
        /// With `omitted`: the number of `exited` events that were left out since the previous sample.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub omitted_exits: Option<u64>,
    }
}

impl ProcessEvent {
    /// Creates an event of `pid` in the tree of `root_pid`.
    #[must_use]
    pub fn new(header: Header, event: EventKind, pid: u32, root_pid: u32) -> Self {
        Self { event, pid, root_pid, ..Self::default() }.with_header(header)
    }

    /// Sets a value and its limit, which have the same unit.
    #[must_use]
    pub fn with_values(mut self, value: MetricValue, limit: MetricValue) -> Self {
        (self.value_bytes, self.value_count, self.value_ratio) = value.by_unit();
        (self.limit_bytes, self.limit_count, self.limit_ratio) = limit.by_unit();
        self
    }

    /// The value of its metric.
    #[must_use]
    pub fn value(&self) -> Option<MetricValue> {
        MetricValue::known(self.value_bytes, self.value_count, self.value_ratio)
    }

    /// The limit of its metric.
    #[must_use]
    pub fn limit(&self) -> Option<MetricValue> {
        MetricValue::known(self.limit_bytes, self.limit_count, self.limit_ratio)
    }
}

/// A value of a metric. Displays its unit: `1.20 MiB`, `1,204`, `12.5 %`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum MetricValue {
    /// Bytes.
    Bytes(u64),
    /// A number of descriptors or threads.
    Count(u64),
    /// A share of time, from 0 to 1.
    Ratio(f64),
}

impl MetricValue {
    /// A value of a metric that is not a ratio.
    #[must_use]
    pub const fn of(metric: Metric, value: u64) -> Self {
        match metric {
            Metric::Fds | Metric::Threads => Self::Count(value),
            _ => Self::Bytes(value),
        }
    }

    fn known(bytes: Option<u64>, count: Option<u64>, ratio: Option<f64>) -> Option<Self> {
        bytes.map(Self::Bytes).or(count.map(Self::Count)).or(ratio.map(Self::Ratio))
    }

    const fn by_unit(self) -> (Option<u64>, Option<u64>, Option<f64>) {
        match self {
            Self::Bytes(bytes) => (Some(bytes), None, None),
            Self::Count(count) => (None, Some(count), None),
            Self::Ratio(ratio) => (None, None, Some(ratio)),
        }
    }
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => Bytes(*bytes).fmt(f),
            Self::Count(count) => f.pad(&thousands(*count)),
            Self::Ratio(ratio) => f.pad(&format!("{} %", (ratio * 1000.0).round() / 10.0)),
        }
    }
}

/// An output stream of a command.
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
    /// A line of a launched command's output (`type`: `output`), only with `--record-output`.
    pub struct OutputRecord {
        /// The stream.
        pub stream: OutputStream,
        /// The line without its end; invalid UTF-8 is replaced.
        pub line: String,
    }
}

impl OutputRecord {
    /// Creates a record of a line.
    #[must_use]
    pub fn new(header: Header, stream: OutputStream, line: String) -> Self {
        Self { stream, line, ..Self::default() }.with_header(header)
    }
}

record! {
    /// A failed action (`type`: `error`).
    pub struct ErrorRecord {
        /// The failed action: `sample`, `save`, …
        pub stage: Arc<str>,
        /// The error.
        pub message: String,
        /// The remedy.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hint: Option<String>,
        /// The process concerned.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pid: Option<u32>,
    }
}

impl ErrorRecord {
    /// Creates a record without a hint.
    #[must_use]
    pub fn new(header: Header, stage: &str, message: String) -> Self {
        Self { stage: stage.into(), message, ..Self::default() }.with_header(header)
    }
}
