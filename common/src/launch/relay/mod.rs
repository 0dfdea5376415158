//! Relays the command's output line by line, and never makes the command wait.
//!
//! Two threads only empty the command's pipes. They fill queues of 8 MiB that drop their oldest lines when full; a third
//! thread writes to stderr. If stderr is not read, only that third thread blocks. Bytes pass unchanged: no encoding is
//! assumed, and the command's colours reach the terminal.
//!
//! A partial line is relayed after a short pause, so that prompts and progress bars are visible. If lines are marked, a
//! line of the other output then begins a new line. *Kept* lines are always complete.

mod lines;
mod queue;
mod read;

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::record::OutputStream;
use crate::time::Stamp;
use crate::units::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use lines::{Block, LineMarker, MAX_LINE_BYTES};
pub use queue::Lost;
use queue::{Entry, Queue};
use read::{LineKeeper, Reader};

/// The size of each queue: one for stderr, one for [`Relay::lines`].
const QUEUE_BYTES: usize = 8 << 20;

/// The options of a [`Relay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOptions {
    /// The tool's name, for its message about lost lines.
    pub tool: &'static str,
    /// Whether to write to this program's stderr.
    pub to_stderr: bool,
    /// A name that begins each line in brackets: `[bot] `, and `[bot!] ` for the command's standard error. Its control
    /// characters are escaped.
    pub name: Option<String>,
    /// Whether to keep the lines for [`Relay::lines`].
    pub keep: bool,
}

/// A line of the command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its stream.
    pub stream: OutputStream,
    /// When it was read. Not a [`Stamp`]: the readers' stacks are too small to load the time zone.
    read_at: SystemTime,
    /// Its bytes without the line end, in any encoding.
    pub bytes: Vec<u8>,
    /// Whether the line ends here; `false` if it is longer than 64 KiB and continues in the next one.
    pub is_whole: bool,
}

impl Line {
    /// When it was read.
    #[must_use]
    pub fn read_at(&self) -> Stamp {
        let seconds = self.read_at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Stamp::from_unix_seconds(seconds).unwrap_or_else(Stamp::now)
    }
}

impl Entry for Line {
    fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn lines(&self) -> u64 {
        u64::from(self.is_whole)
    }
}

/// Kept lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The lines in the order of reading.
    pub lines: Vec<Line>,
    /// Older lines that were dropped since the last call.
    pub lost: Lost,
}

/// The result of [`Relay::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Output that never reached stderr, because stderr was not read in time. Up to 64 KiB more if it is not read at all.
    pub lost: Lost,
    /// Whether a process still has the command's output open. Its further output is not relayed.
    pub held_open: bool,
}

/// A running relay.
///
/// Its descriptor ([`AsFd`]) is readable while there are [`lines`](Self::lines). Dropping it stops it at once; a command
/// that still runs then writes into closed pipes.
#[derive(Debug)]
pub struct Relay {
    blocks: Arc<Queue<Block>>,
    kept: Arc<Queue<Line>>,
    wake: UnixStream,
    /// The other end of `wake`. If it were closed, `wake` would always be readable.
    _waker: Arc<UnixStream>,
    /// Closed when the command has exited, which wakes the readers.
    stop: Option<UnixStream>,
    /// The deadline of the readers.
    deadline: Arc<OnceLock<Instant>>,
    /// Disconnected when the reader threads have ended. A reader sends if its pipe was still open elsewhere.
    readers: Receiver<()>,
    writer: Receiver<Infallible>,
}

impl Relay {
    /// Starts to relay the pipes `stdout` and `stderr`, to `sink` if the options ask for it.
    ///
    /// # Errors
    /// The system refuses a thread or a socket pair.
    pub(super) fn start(
        stdout: OwnedFd,
        stderr: OwnedFd,
        sink: OwnedFd,
        options: RelayOptions,
    ) -> io::Result<Self> {
        let blocks = Arc::new(Queue::new(QUEUE_BYTES));
        let kept = Arc::new(Queue::new(QUEUE_BYTES));
        let deadline = Arc::new(OnceLock::new());
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let waker = Arc::new(waker);
        let (stop, stopped) = UnixStream::pair()?;
        let (reader_lives, readers) = mpsc::channel();
        let (writer_lives, writer) = mpsc::channel();

        // The writer comes first: if a reader cannot be started, dropping the relay ends it.
        let relay = Self {
            blocks: Arc::clone(&blocks),
            kept: Arc::clone(&kept),
            wake,
            _waker: Arc::clone(&waker),
            stop: Some(stop),
            deadline: Arc::clone(&deadline),
            readers,
            writer,
        };
        if options.to_stderr {
            let marker = LineMarker::new(options.name.as_deref());
            let blocks = Arc::clone(&blocks);
            spawn("relay-write", move || {
                let _lives = writer_lives;
                write_blocks(&blocks, &sink, marker, options.tool);
            })?;
        }
        for (name, pipe, stream) in
            [("relay-stdout", stdout, OutputStream::Stdout), ("relay-stderr", stderr, OutputStream::Stderr)]
        {
            let reader = Reader {
                pipe,
                stream,
                stop: Some(stopped.try_clone()?),
                deadline: Arc::clone(&deadline),
                blocks: options.to_stderr.then(|| Arc::clone(&blocks)),
                kept: options.keep.then(|| LineKeeper::new(Arc::clone(&kept), Arc::clone(&waker))),
            };
            let lives = reader_lives.clone();
            spawn(name, move || {
                if reader.run() {
                    let _ = lives.send(());
                }
            })?;
        }
        Ok(relay)
    }

    /// Takes the lines kept since the last call.
    pub fn lines(&self) -> Lines {
        let mut bytes = [0; 64];
        while matches!(io::Read::read(&mut &self.wake, &mut bytes), Ok(n) if n > 0) {}
        let (lines, lost) = self.kept.take_all();
        Lines { lines, lost }
    }

    /// Relays the rest of the output, and stops. Call it when the command has exited.
    ///
    /// The command's output is already in the pipes. A leftover process may keep them open: its output is relayed until it is
    /// silent for 200 ms, and for `timeout` at most. Then stderr has another `timeout` to take the queued output. Kept lines
    /// can be taken afterwards.
    pub fn finish(&mut self, timeout: Duration) -> Finished {
        let deadline = Instant::now() + timeout;
        let _ = self.deadline.set(deadline);
        self.stop = None;
        let mut held_open = false;
        // The readers end at the deadline; a busy machine may need a little longer.
        let latest = deadline + Duration::from_millis(200);
        while let Ok(()) = self.readers.recv_timeout(latest.saturating_duration_since(Instant::now())) {
            held_open = true;
        }
        self.blocks.close();
        if self.writer.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.blocks.abandon();
        }
        Finished { lost: self.blocks.lost(), held_open }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.deadline.set(Instant::now());
        self.blocks.close();
    }
}

/// Starts a thread with a small stack: the buffers are on the heap.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).stack_size(64 << 10).spawn(body).map(drop)
}

/// Writes the queued output until the queue is closed. If the sink fails, the rest is discarded.
fn write_blocks(blocks: &Queue<Block>, sink: &OwnedFd, mut marker: LineMarker, tool: &str) {
    let mut text = Vec::new();
    while let Some((taken, lost)) = blocks.take(MAX_LINE_BYTES) {
        text.clear();
        if lost != Lost::default() {
            let Lost { lines, bytes } = lost;
            let bytes = Bytes(bytes);
            let message =
                format!("{tool}: {lines} lines ({bytes}) lost here: stderr is not read fast enough");
            marker.push_message(&message, &mut text);
        }
        for block in &taken {
            marker.mark(block, &mut text);
        }
        if write_all(sink, &text).is_err() {
            blocks.abandon();
            return;
        }
    }
    text.clear();
    marker.finish(&mut text);
    // Only a line end; a failure has no consequence.
    let _ = write_all(sink, &text);
}

/// Writes all of `bytes`, also to a non-blocking terminal.
fn write_all(sink: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(sink, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(sink, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
