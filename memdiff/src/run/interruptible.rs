//! Reads logs until they end, the user interrupts, or stdout is closed.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use common::cli::Failure;
use common::log::{Input, Moment, Options, Summary, read_reporting};
use common::signal::{STOP_SIGNALS, Signals};
use common::stdio::say;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::TOOL;

/// The number of moments that are read ahead.
const QUEUE_LENGTH: usize = 256;

/// How often signals and stdout are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A message of the reading thread.
enum ReaderMessage {
    Moment(Box<Moment>),
    /// Dropped, as an answer, when all messages before it were handled.
    Mark(SyncSender<()>),
}

/// Reads inputs of which one is stdin, which may stay open without data. The first Ctrl-C, and the closing of stdout, count as the end of input.
///
/// Errors in the input are reported after the moments before them were handled: a user who reads an error and presses Ctrl-C gets those too.
pub(super) fn read_interruptible(
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let signals = Signals::catch(&STOP_SIGNALS, &STOP_SIGNALS)
        .map_err(|error| Failure::new(format!("signals cannot be caught: {error}"), ""))?;
    let (sender, receiver) = sync_channel::<ReaderMessage>(QUEUE_LENGTH);
    let inputs = inputs.to_vec();
    let read = move || -> Result<Summary, Failure> {
        let mut each = |moment| match sender.send(ReaderMessage::Moment(Box::new(moment))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let report = |message: &str| {
            let (mark, answer) = sync_channel(1);
            if sender.send(ReaderMessage::Mark(mark)).is_ok() {
                let _ = answer.recv();
            }
            say(TOOL, message);
        };
        read_reporting(&inputs, &Options::new(TOOL), &mut each, &report)
    };
    let reader = std::thread::Builder::new().name("reader".into()).spawn(read);
    let reader = reader.map_err(|error| Failure::new(format!("cannot start a thread: {error}"), ""))?;
    let mut handle = |message| match message {
        ReaderMessage::Moment(moment) => each(*moment),
        ReaderMessage::Mark(mark) => {
            drop(mark);
            ControlFlow::Continue(())
        }
    };
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(message) => {
                if handle(message).is_break() {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) if stdout_is_closed() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let panic = || {
                    Err(Failure::new(
                        "internal error: the reading thread panicked",
                        "please report it with the log",
                    ))
                };
                return reader.join().unwrap_or_else(|_| panic()).map(|_| ());
            }
        }
        // The reading thread may wait for input; it ends with the program.
        if signals.next().is_some() {
            // Bounded, as the source may not stop.
            let _ = receiver.try_iter().take(QUEUE_LENGTH).try_for_each(&mut handle);
            return Ok(());
        }
    }
}

/// Whether the reader of stdout is gone.
fn stdout_is_closed() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let is_ready = matches!(poll(&mut polled, Some(&now)), Ok(1..));
    is_ready && polled.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}
