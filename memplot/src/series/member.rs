//! Who has a series: a process, a type, a module, a sum.

use std::sync::Arc;

use crate::downsample::Line;
use crate::picture::Point;

/// What tells one member from all others of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A process.
    Process {
        /// The input it stands in.
        input: usize,
        /// Its number.
        pid: u32,
        /// When it began.
        start: u64,
    },
    /// Something with a name.
    Named {
        /// The input it stands in.
        input: usize,
        /// The process it is of; empty for the root.
        role: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

impl Key {
    /// The input it stands in.
    #[must_use]
    pub fn input(&self) -> usize {
        match self {
            Self::Process { input, .. } | Self::Named { input, .. } => *input,
        }
    }

    /// The process that something with a name is of.
    #[must_use]
    pub fn role(&self) -> &str {
        match self {
            Self::Process { .. } => "",
            Self::Named { role, .. } => role,
        }
    }
}

/// One member of a view, and what is kept of its values.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who it is.
    pub key: Key,
    /// Its name, the last if it changed.
    pub name: Arc<str>,
    /// The command line of a process.
    pub cmdline: Option<Arc<str>>,
    /// Whether the user wants it.
    pub wanted: bool,
    /// Its values, a line for each track that has any.
    pub lines: Vec<(usize, Line)>,
    /// The greatest value so far.
    pub greatest: f64,
    /// The track it was last seen in, and the number of the sample there.
    pub seen: (usize, u64),
}

impl Member {
    /// Adds a value. `sample` is the number of the sample in its track; a member that was not in the one before begins anew.
    /// Returns how many buckets more there are.
    pub fn add(&mut self, track: usize, sample: u64, point: Point, gap: bool, buckets: usize) -> usize {
        let gap = gap || self.seen != (track, sample.saturating_sub(1));
        self.seen = (track, sample);
        self.greatest = self.greatest.max(point.value);
        let line = match self.lines.last_mut() {
            Some((last, line)) if *last == track => line,
            _ => {
                self.lines.push((track, Line::new(buckets)));
                match self.lines.last_mut() {
                    Some((_, line)) => line,
                    None => return 0,
                }
            }
        };
        let before = line.len();
        line.push(point, gap);
        line.len().saturating_sub(before)
    }

    /// How many buckets it has.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.lines.iter().map(|(_, line)| line.len()).sum()
    }
}
