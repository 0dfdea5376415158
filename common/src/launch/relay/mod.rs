//! What the command prints, passed on line by line without ever making the command wait.
//!
//! Two threads do nothing but empty the command's pipes. What they read goes into queues of 8 MiB that lose their oldest
//! lines when full; a third thread writes to stderr. If nobody reads our stderr, only that third thread stands still.
//! Bytes are passed on as they are: no encoding is assumed, and the colours of the command reach the terminal.
//!
//! A line without an end is passed on after a short pause, so that a prompt or a progress bar is seen; where lines are
//! marked, one of the other output's is put on a line of its own. Lines that are *kept* are whole.

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

use lines::{Block, MAX_LINE_BYTES, Marker};
pub use queue::Lost;
use queue::{Entry, Queue};
use read::{Kept, Reader};

/// How much of the command's output may wait for stderr, and as much again for [`Relay::lines`].
const QUEUE_BYTES: usize = 8 << 20;

/// How a [`Relay`] passes on what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOptions {
    /// The name of the tool, for its own words: that lines were lost.
    pub tool: &'static str,
    /// Write to this program's stderr.
    pub to_stderr: bool,
    /// Begin each line written with this name in brackets: `[bot] `, and `[bot!] ` where the command wrote it to its
    /// standard error. Control characters in it are made harmless.
    pub name: Option<String>,
    /// Keep the lines for [`Relay::lines`].
    pub keep: bool,
}

/// A line that the command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it printed it.
    pub stream: OutputStream,
    /// When it was read. Not a [`Stamp`] yet: loading the time zone wants a large stack, which the readers do not have.
    read_at: SystemTime,
    /// Its bytes, without the line end. They may be anything.
    pub bytes: Vec<u8>,
    /// Whether this is a line or its last piece; `false` if it was longer than 64 KiB and goes on in the next one.
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

/// Lines that were kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// In the order in which they were read.
    pub lines: Vec<Line>,
    /// Older ones that were not taken in time, since the last time.
    pub lost: Lost,
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// What never reached stderr, since it was not read in time. If it is not read at all, up to 64 KiB more.
    pub lost: Lost,
    /// Whether some process still held the command's output open: what it prints from now on is not passed on.
    pub held_open: bool,
}

/// A running relay.
///
/// Its descriptor (as [`AsFd`]) becomes readable when there are [`lines`](Self::lines). Dropped, it stops at once, and if
/// the command still runs it writes into closed pipes.
#[derive(Debug)]
pub struct Relay {
    blocks: Arc<Queue<Block>>,
    kept: Arc<Queue<Line>>,
    wake: UnixStream,
    /// Its other end, kept: without it `wake` would be readable for ever once the command has closed its outputs.
    _waker: Arc<UnixStream>,
    /// Closed to tell the readers that the command has ended.
    stop: Option<UnixStream>,
    /// When the readers must end.
    deadline: Arc<OnceLock<Instant>>,
    /// Disconnected when the threads have ended. A reader sends if its pipe was still held open.
    readers: Receiver<()>,
    writer: Receiver<Infallible>,
}

impl Relay {
    /// Starts to pass on what comes through the pipes `stdout` and `stderr`, to `sink` if the options say so.
    ///
    /// # Errors
    /// What the system says to making threads and a socket pair.
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

        // The writer comes first: if a reader cannot be started, closing the queue ends it.
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
            let marker = Marker::new(options.name.as_deref());
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
                kept: options.keep.then(|| Kept::new(Arc::clone(&kept), Arc::clone(&waker))),
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

    /// Takes the lines that were kept since the last time.
    pub fn lines(&self) -> Lines {
        let mut bytes = [0; 64];
        while matches!(io::Read::read(&mut &self.wake, &mut bytes), Ok(n) if n > 0) {}
        let (lines, lost) = self.kept.take_all();
        Lines { lines, lost }
    }

    /// To be called when the command has ended: passes on the rest, and stops.
    ///
    /// What the command wrote is in the pipes already. A process that it left behind may hold them open: it is listened to
    /// until it is silent for 200 ms, and for `timeout` at most. Then stderr has as long again to take what waits for it.
    /// So it returns after twice `timeout` at the latest, or a little later. Kept lines can be taken afterwards.
    pub fn finish(&mut self, timeout: Duration) -> Finished {
        let deadline = Instant::now() + timeout;
        let _ = self.deadline.set(deadline);
        self.stop = None;
        let mut held_open = false;
        // A reader ends at the deadline by itself; the little more is for a busy machine.
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

/// A thread with a small stack: their buffers are on the heap.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).stack_size(64 << 10).spawn(body).map(drop)
}

/// Writes what comes through the queue until it is closed. If the sink goes away, the rest is thrown away.
fn write_blocks(blocks: &Queue<Block>, sink: &OwnedFd, mut marker: Marker, tool: &str) {
    let mut text = Vec::new();
    while let Some((taken, lost)) = blocks.take(MAX_LINE_BYTES) {
        text.clear();
        if lost != Lost::default() {
            let Lost { lines, bytes } = lost;
            let bytes = Bytes(bytes);
            let message =
                format!("{tool}: {lines} lines ({bytes}) lost here: stderr is not read fast enough");
            marker.say(&message, &mut text);
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
    // The end of a line: nobody to tell if it fails.
    let _ = write_all(sink, &text);
}

/// Writes all of `bytes`, also to a terminal that somebody has set to non-blocking.
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
