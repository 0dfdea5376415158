//! How far a long reading is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::units::Bytes;

/// A reading that is over before this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at the clock that draw.
const REDRAW: Duration = Duration::from_millis(200);

/// Up to the left edge, and everything behind it cleared.
const CLEAR_LINE: &str = "\r\x1b[K";

/// A line on stderr that is drawn anew and cleared at the end. Nothing at all where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    /// When it is drawn next; `None`: never.
    due: Option<Instant>,
    shown: bool,
    tool: String,
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// Of reading `total` bytes, of which `read` are read; without a total there is nothing to show.
    pub(super) fn new(tool: &str, wanted: bool, total: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let seen = wanted && total.is_some() && io::stderr().is_terminal();
        Self {
            due: seen.then(|| Instant::now() + PATIENCE),
            shown: false,
            tool: tool.to_owned(),
            read,
            total: total.unwrap_or(0),
        }
    }

    /// How often it should be asked whether it is due; `None`: never.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.due.map(|_| REDRAW)
    }

    /// Draws it if it is due.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + REDRAW);
            self.shown = true;
            let text = text(&self.tool, self.read.load(Ordering::Relaxed), self.total);
            let _ = write!(io::stderr(), "{CLEAR_LINE}{text}");
        }
    }

    /// Makes room for other lines, and for the end.
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
