//! A thread's work: empty one pipe, whatever comes through it.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::record::OutputStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Line;
use super::lines::{Block, Cutter, MAX_LINE_BYTES};
use super::queue::Queue;

/// How long the beginning of a line waits for its end.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a pipe that is still held open after the command's end must be silent to be given up.
const SILENCE: Duration = Duration::from_millis(200);

/// Lines kept for the program itself.
#[derive(Debug)]
pub(super) struct Kept {
    cutter: Cutter,
    queue: Arc<Queue<Line>>,
    waker: Arc<UnixStream>,
}

impl Kept {
    pub(super) fn new(queue: Arc<Queue<Line>>, waker: Arc<UnixStream>) -> Self {
        Self { cutter: Cutter::default(), queue, waker }
    }

    /// `None` for the end.
    fn take(&mut self, stream: OutputStream, bytes: Option<&[u8]>) {
        let read_at = SystemTime::now();
        let mut is_news = false;
        let push = |bytes, is_whole| is_news |= self.queue.push(Line { stream, read_at, bytes, is_whole });
        match bytes {
            Some(bytes) => self.cutter.cut(bytes, push),
            None => self.cutter.finish(push),
        }
        if is_news {
            // A full socket wakes as well as one more byte in it.
            let _ = (&*self.waker).write(&[0]);
        }
    }
}

/// What the thread needs.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) pipe: OwnedFd,
    pub(super) stream: OutputStream,
    /// Closed at its other end when the command has ended; `None` after that.
    pub(super) stop: Option<UnixStream>,
    /// Set before `stop` is closed.
    pub(super) deadline: Arc<OnceLock<Instant>>,
    pub(super) blocks: Option<Arc<Queue<Block>>>,
    pub(super) kept: Option<Kept>,
}

/// What the pipe has.
enum Event {
    Readable,
    CommandEnded,
    Nothing,
}

impl Reader {
    /// Reads to the end of the pipe; after the command's end until it is silent. Whether it was still held open.
    pub(super) fn run(mut self) -> bool {
        let mut buffer = vec![0; MAX_LINE_BYTES];
        let mut begun = Vec::new();
        let mut begun_at = Instant::now();
        let held_open = loop {
            let waiting = (!begun.is_empty()).then(|| begun_at + PATIENCE);
            match self.wait(waiting) {
                Ok(Event::Readable) => {}
                Ok(Event::CommandEnded) => {
                    self.stop = None;
                    continue;
                }
                Ok(Event::Nothing) if waiting.is_some() => {
                    self.pass_on(std::mem::take(&mut begun));
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
                if begun.is_empty() {
                    begun_at = Instant::now();
                }
                begun.extend_from_slice(bytes);
                let lines = begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                let is_late = begun.len() - lines >= MAX_LINE_BYTES || begun_at.elapsed() >= PATIENCE;
                let rest = if is_late { Vec::new() } else { begun.split_off(lines) };
                self.pass_on(std::mem::replace(&mut begun, rest));
            }
            if self.stop.is_none() && self.is_over() {
                break true;
            }
        };
        self.pass_on(begun);
        if let Some(kept) = &mut self.kept {
            kept.take(self.stream, None);
        }
        held_open
    }

    fn pass_on(&self, bytes: Vec<u8>) {
        if let Some(blocks) = self.blocks.as_ref().filter(|_| !bytes.is_empty()) {
            blocks.push(Block { stream: self.stream, bytes });
        }
    }

    fn is_over(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| *deadline <= Instant::now())
    }

    /// Waits for something to read, for the command's end, or until `until`; after the command's end not for ever.
    fn wait(&self, until: Option<Instant>) -> Result<Event, Errno> {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let timeout = match (&self.stop, until) {
            (Some(_), None) => None,
            (Some(_), Some(until)) => Some(left(until)),
            (None, until) => {
                let end = self.deadline.get().map_or(Duration::ZERO, |deadline| left(*deadline));
                Some(until.map_or(SILENCE, left).min(SILENCE).min(end))
            }
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let pipe = PollFd::new(&self.pipe, PollFlags::IN);
        let ready = match &self.stop {
            Some(stop) => {
                let mut both = [pipe, PollFd::new(stop, PollFlags::IN)];
                poll(&mut both, timeout.as_ref()).map(|_| both.map(|one| !one.revents().is_empty()))
            }
            None => {
                let mut one = [pipe];
                poll(&mut one, timeout.as_ref())
                    .map(|_| [one.iter().any(|one| !one.revents().is_empty()), false])
            }
        };
        Ok(match ready? {
            [true, _] => Event::Readable,
            [false, true] => Event::CommandEnded,
            [false, false] => Event::Nothing,
        })
    }
}
