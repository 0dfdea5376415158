//! The progress of a long reading, shown on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::stdio::StatusLine;
use crate::units::Bytes;

/// A shorter reading shows no progress.
const FIRST_DRAW_DELAY: Duration = Duration::from_secs(1);

/// The interval between two updates.
const REDRAW: Duration = Duration::from_millis(200);

/// The status line of a reading. Shows nothing if stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time of the next update; `None` for none.
    due: Option<Instant>,
    line: StatusLine,
    tool: String,
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// The progress of `read` towards `total` bytes. Without a total, nothing is shown.
    pub(super) fn new(tool: &str, wanted: bool, total: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let line = StatusLine::new(wanted && total.is_some());
        Self {
            due: line.is_enabled().then(|| Instant::now() + FIRST_DRAW_DELAY),
            line,
            tool: tool.to_owned(),
            read,
            total: total.unwrap_or(0),
        }
    }

    /// The interval of calls to [`tick`](Self::tick) that it needs; `None` for none.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.due.map(|_| REDRAW)
    }

    /// Draws the line if it is due.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + REDRAW);
            self.line.show(&text(&self.tool, self.read.load(Ordering::Relaxed), self.total));
        }
    }

    /// Clears the line, before other output and at the end.
    pub(super) fn clear(&mut self) {
        self.line.clear();
    }
}

fn text(tool: &str, read: u64, total: u64) -> String {
    // A file may have grown since it was measured.
    let total = total.max(read).max(1);
    let percent = u128::from(read) * 100 / u128::from(total);
    format!("{tool}: reading: {} of {} ({percent} %)", Bytes(read), Bytes(total))
}
