//! The progress of a long reading, shown on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::units::Bytes;

/// A shorter reading shows no progress.
const FIRST_DRAW_DELAY: Duration = Duration::from_secs(1);

/// The interval between two updates.
const REDRAW: Duration = Duration::from_millis(200);

/// Moves to the left edge and clears the line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// A line on stderr that is updated, and cleared at the end. Shows nothing if stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time of the next update; `None` for none.
    due: Option<Instant>,
    shown: bool,
    tool: String,
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// The progress of `read` towards `total` bytes. Without a total, nothing is shown.
    pub(super) fn new(tool: &str, wanted: bool, total: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let seen = wanted && total.is_some() && io::stderr().is_terminal();
        Self {
            due: seen.then(|| Instant::now() + FIRST_DRAW_DELAY),
            shown: false,
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
            self.shown = true;
            let text = text(&self.tool, self.read.load(Ordering::Relaxed), self.total);
            let _ = write!(io::stderr(), "{CLEAR_LINE}{text}");
        }
    }

    /// Clears the line, before other output and at the end.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn text(tool: &str, read: u64, total: u64) -> String {
    // A file may have grown since it was measured.
    let total = total.max(read).max(1);
    let percent = u128::from(read) * 100 / u128::from(total);
    format!("{tool}: reading: {} of {} ({percent} %)", Bytes(read), Bytes(total))
}
