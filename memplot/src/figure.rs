//! A plot independent of its output format: series of points, event marks, title and subtitle.

use common::units::thousands;

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
    /// The number of events that it stands for.
    pub count: u64,
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

/// The number of events of a kind.
#[must_use]
pub fn event_count(marks: &[Mark], kind: MarkKind) -> u64 {
    marks.iter().filter(|mark| mark.kind == kind).map(|mark| mark.count).sum()
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

    /// The parts of the subtitle of a picture: also the numbers of its arrows, which explains them.
    #[must_use]
    pub fn picture_subtitle(&self) -> Vec<String> {
        let arrows = [(MarkKind::Started, "▲", "started"), (MarkKind::Exited, "▼", "ended")];
        let counts = arrows.into_iter().filter_map(|(kind, arrow, what)| {
            let count = event_count(&self.marks, kind);
            (count > 0).then(|| format!("{arrow} {} {what}", thousands(count)))
        });
        let counts = counts.collect::<Vec<_>>().join(" ");
        self.subtitle.iter().cloned().chain(Some(counts).filter(|counts| !counts.is_empty())).collect()
    }

    /// The subtitle of a picture in one line.
    #[must_use]
    pub fn subtitle_line(&self) -> String {
        self.picture_subtitle().join(PART_SEPARATOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_of_a_picture_are_explained() {
        let mark = |kind, count| Mark { unix_ms: 1, kind, count, text: String::new() };
        let mut figure = Figure {
            title: String::new(),
            subtitle: vec!["3 samples".to_owned()],
            unit: Unit::Bytes,
            stacked: false,
            log_scale: false,
            delta: false,
            time: (0, 2),
            series: Vec::new(),
            total: None,
            marks: Vec::new(),
        };
        assert_eq!(figure.subtitle_line(), "3 samples");
        figure.marks =
            vec![mark(MarkKind::Started, 1200), mark(MarkKind::Limit, 1), mark(MarkKind::Exited, 1)];
        assert_eq!(figure.subtitle_line(), "3 samples  ·  ▲ 1,200 started ▼ 1 ended");
    }
}
