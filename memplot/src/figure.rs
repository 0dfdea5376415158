//! What is to be seen, whatever it is drawn with: series of points, marks, and the words around them.

/// A whole picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What is shown, and of whom.
    pub title: String,
    /// When, how many moments, the peak.
    pub subtitle: String,
    /// What the values are.
    pub unit: Unit,
    /// Whether the values are stacked on each other, the first at the bottom.
    pub stacked: bool,
    /// Whether the value axis is logarithmic.
    pub log_scale: bool,
    /// The first and last moment of the time axis, in milliseconds since 1970.
    pub time: (i64, i64),
    /// The series, in the order of their labels: the one that counts most first.
    pub series: Vec<Series>,
    /// The sum, if it is drawn as a line of its own.
    pub total: Option<Series>,
    /// What happened.
    pub marks: Vec<Mark>,
}

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, in powers of 1024.
    Bytes,
    /// A number of things.
    Count,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its whole name.
    pub name: String,
    /// Which of the colours it has; the same for the same name in every picture where that is free. `None`: grey, for all others together.
    pub colour: Option<usize>,
    /// Its points in order of time, in runs without a gap: nothing is drawn between two runs.
    pub runs: Vec<Vec<Point>>,
    /// Its first value; not in `runs` if it was thinned out of them.
    pub first: Option<Point>,
    /// Its largest value.
    pub peak: Option<Point>,
    /// Its last value.
    pub last: Option<Point>,
    /// Whether it ended before the picture does: a process that exited.
    pub ended: bool,
    /// The rate that a verdict gives it, in units per hour, and in words what it does.
    pub trend: Option<TrendLine>,
}

/// A fitted line over a series.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendLine {
    /// Where the fitted line begins.
    pub from: Point,
    /// Where it ends.
    pub to: Point,
    /// `growing, +3.1 MiB/h`.
    pub label: String,
}

/// A value at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// The value; always finite.
    pub value: f64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, in milliseconds since 1970.
    pub unix_ms: i64,
    /// What kind of thing.
    pub kind: MarkKind,
    /// In words.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// A process began.
    Started,
    /// A process ended.
    Exited,
    /// A limit was crossed.
    Limit,
    /// The kernel killed a process for want of memory.
    Oom,
    /// Another run of the tool begins.
    Run,
}
