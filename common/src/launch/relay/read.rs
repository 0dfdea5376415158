//! A reader thread, which empties one pipe.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::record::OutputStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Line;
use super::lines::{Block, LineSplitter, MAX_LINE_BYTES};
use super::queue::Queue;

/// How long a partial line waits for its end.
const PARTIAL_LINE_DELAY: Duration = Duration::from_millis(50);

/// After the command's exit, an open pipe that is silent for this long is given up.
const SILENCE_LIMIT: Duration = Duration::from_millis(200);

/// Splits the output into the lines that this program keeps.
#[derive(Debug)]
pub(super) struct LineKeeper {
    splitter: LineSplitter,
    queue: Arc<Queue<Line>>,
    waker: Arc<UnixStream>,
}

impl LineKeeper {
    pub(super) fn new(queue: Arc<Queue<Line>>, waker: Arc<UnixStream>) -> Self {
        Self { splitter: LineSplitter::default(), queue, waker }
    }

    /// Adds bytes; `None` at the end of the output.
    fn take(&mut self, stream: OutputStream, bytes: Option<&[u8]>) {
        let read_at = SystemTime::now();
        let mut was_empty = false;
        let push = |bytes, is_whole| was_empty |= self.queue.push(Line { stream, read_at, bytes, is_whole });
        match bytes {
            Some(bytes) => self.splitter.split(bytes, push),
            None => self.splitter.finish(push),
        }
        if was_empty {
            // A full socket wakes, too.
            let _ = (&*self.waker).write(&[0]);
        }
    }
}

/// The state of a reader thread.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) pipe: OwnedFd,
    pub(super) stream: OutputStream,
    /// Closed at its other end when the command has exited; `None` after that.
    pub(super) stop: Option<UnixStream>,
    /// Set before `stop` is closed.
    pub(super) deadline: Arc<OnceLock<Instant>>,
    pub(super) blocks: Option<Arc<Queue<Block>>>,
    pub(super) kept: Option<LineKeeper>,
}

/// The reason for a wake-up.
enum Event {
    Readable,
    CommandEnded,
    Nothing,
}

impl Reader {
    /// Reads to the end of the pipe or, after the command's exit, until it is silent. Returns whether it was still open elsewhere.
    pub(super) fn run(mut self) -> bool {
        let mut buffer = vec![0; MAX_LINE_BYTES];
        let mut partial = Vec::new();
        let mut partial_since = Instant::now();
        let held_open = loop {
            let waiting = (!partial.is_empty()).then(|| partial_since + PARTIAL_LINE_DELAY);
            match self.wait(waiting) {
                Ok(Event::Readable) => {}
                Ok(Event::CommandEnded) => {
                    self.stop = None;
                    continue;
                }
                Ok(Event::Nothing) if waiting.is_some() => {
                    self.push_block(std::mem::take(&mut partial));
                    continue;
                }
                Ok(Event::Nothing) => break true,
                Err(Errno::INTR) => continue,
                Err(_) => break false,
            }
            let bytes = match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(0) => break false,
                Ok(n) => buffer.get(..n).unwrap_or_default(),
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) => break false,
            };
            if let Some(kept) = &mut self.kept {
                kept.take(self.stream, Some(bytes));
            }
            if self.blocks.is_some() {
                if partial.is_empty() {
                    partial_since = Instant::now();
                }
                partial.extend_from_slice(bytes);
                let lines = partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                let is_late =
                    partial.len() - lines >= MAX_LINE_BYTES || partial_since.elapsed() >= PARTIAL_LINE_DELAY;
                let rest = if is_late { Vec::new() } else { partial.split_off(lines) };
                self.push_block(std::mem::replace(&mut partial, rest));
            }
            if self.stop.is_none() && self.is_over() {
                break true;
            }
        };
        self.push_block(partial);
        if let Some(kept) = &mut self.kept {
            kept.take(self.stream, None);
        }
        held_open
    }

    fn push_block(&self, bytes: Vec<u8>) {
        if let Some(blocks) = self.blocks.as_ref().filter(|_| !bytes.is_empty()) {
            blocks.push(Block { stream: self.stream, bytes });
        }
    }

    fn is_over(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| *deadline <= Instant::now())
    }

    /// Waits for output, for the command's exit, or until `until`. The wait is bounded after the command's exit.
    fn wait(&self, until: Option<Instant>) -> Result<Event, Errno> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let timeout = match (&self.stop, until) {
            (Some(_), None) => None,
            (Some(_), Some(until)) => Some(left(until)),
            (None, until) => {
                let end = self.deadline.get().map_or(Duration::ZERO, |deadline| left(*deadline));
                Some(until.map_or(SILENCE_LIMIT, left).min(SILENCE_LIMIT).min(end))
            }
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.pipe, PollFlags::IN)];
        fds.extend(self.stop.as_ref().map(|stop| PollFd::new(stop, PollFlags::IN)));
        poll(&mut fds, timeout.as_ref())?;
        Ok(match fds.iter().position(|fd| !fd.revents().is_empty()) {
            Some(0) => Event::Readable,
            Some(_) => Event::CommandEnded,
            None => Event::Nothing,
        })
    }
}
