//! A plot independent of its output format: series of points, event marks, title and subtitle.

/// Separates the parts of a subtitle.
pub const PART_SEPARATOR: &str = "  ·  ";

/// A whole plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The quantity, and the process or logs it is from.
    pub title: String,
    /// The parts of the subtitle: time range, number of samples, peak.
    pub subtitle: Vec<String>,
    /// The unit of all values.
    pub unit: Unit,
    /// Whether the series are stacked, the first one at the bottom.
    pub stacked: bool,
    /// Whether the value axis is logarithmic.
    pub log_scale: bool,
    /// Whether the values are changes since the beginning, which have a sign.
    pub delta: bool,
    /// The first and last moment of the time axis, in milliseconds since 1970.
    pub time: (i64, i64),
    /// The series, largest area first.
    pub series: Vec<Series>,
    /// The total, if it has a line of its own.
    pub total: Option<Series>,
    /// Events.
    pub marks: Vec<Mark>,
}

/// The unit of values. Serialised for the HTML page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes, shown in powers of 1024.
    Bytes,
    /// A number of objects or threads.
    Count,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// The full name.
    pub name: String,
    /// Its index in the palette; `None` for the combined series of all others.
    pub colour: Option<usize>,
    /// Points in order of time. No line connects two runs.
    pub runs: Vec<Vec<Point>>,
    /// The first value, even if `runs` lost it in downsampling.
    pub first: Option<Point>,
    /// The largest value.
    pub peak: Option<Point>,
    /// The last value.
    pub last: Option<Point>,
    /// Whether its process exited before the plot ends.
    pub ended: bool,
    /// The trend that memdiff found.
    pub trend: Option<TrendLine>,
}

/// A fitted line over a series.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendLine {
    /// The start of the line.
    pub from: Point,
    /// The end of the line.
    pub to: Point,
    /// A description such as `growing, +3.1 MiB/h`.
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

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// The kind of event.
    pub kind: MarkKind,
    /// A description.
    pub text: String,
}

/// The kind of an event, the most severe last. Serialised for the HTML page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// A process started.
    Started,
    /// A process ended.
    Exited,
    /// Another run of the tool began.
    Run,
    /// A limit was crossed.
    Limit,
    /// The kernel killed a process because memory ran out.
    Oom,
}

impl Series {
    /// All points in order of time.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.runs.iter().flatten().copied()
    }
}

impl Figure {
    /// The points of all series.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.series.iter().flat_map(Series::points)
    }

    /// The highest point and its series: of the total if it is drawn, else of all series.
    #[must_use]
    pub fn peak<'a>(&'a self) -> Option<(Point, &'a Series)> {
        fn with_peak(series: &Series) -> Option<(Point, &Series)> {
            Some((series.peak?, series))
        }
        let higher =
            |a: (Point, &'a Series), b: (Point, &'a Series)| if b.0.value > a.0.value { b } else { a };
        self.total
            .as_ref()
            .and_then(with_peak)
            .or_else(|| self.series.iter().filter_map(with_peak).reduce(higher))
    }

    /// The subtitle in one line.
    #[must_use]
    pub fn subtitle_line(&self) -> String {
        self.subtitle.join(PART_SEPARATOR)
    }
}
