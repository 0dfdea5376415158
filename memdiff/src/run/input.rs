//! Reading logs to their end, or until the user or the reader of our output has had enough.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use common::cli::Failure;
use common::log::{Input, Moment, Options, Summary, read, read_and_tell};
use common::signal::{ENDING, Signals};
use common::stdio::say;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Moments that wait to be taken in while the one before is.
const QUEUE_LENGTH: usize = 256;

/// How often it is looked whether somebody has had enough.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What the reading thread sends.
enum ReaderMessage {
    Moment(Box<Moment>),
    /// Answered, by being dropped, once everything before it was taken in.
    Mark(SyncSender<()>),
}

/// Reads files: on this thread, as nothing there keeps us waiting.
pub(super) fn read_files(
    tool: &str,
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    read(inputs, &Options::new(tool), each).map(|_| ())
}

/// Reads where the standard input is among the inputs, which may come to no end. The first Ctrl-C, and the closing of our stdout,
/// end it as the end of the input does: what was seen is told. What is wrong with the input is told once all that stands before it
/// was taken in: who reads of it and presses Ctrl-C gets that, too.
pub(super) fn read_interruptible(
    tool: &'static str,
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let signals = Signals::catch(&ENDING, &ENDING)
        .map_err(|error| Failure::new(format!("signals cannot be caught: {error}"), ""))?;
    let (sender, receiver) = sync_channel::<ReaderMessage>(QUEUE_LENGTH);
    let inputs = inputs.to_vec();
    let reader =
        std::thread::Builder::new().name("reader".into()).spawn(move || -> Result<Summary, Failure> {
            let mut each = |moment| match sender.send(ReaderMessage::Moment(Box::new(moment))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            let report = |message: &str| {
                let (mark, answer) = sync_channel(1);
                if sender.send(ReaderMessage::Mark(mark)).is_ok() {
                    let _ = answer.recv();
                }
                say(tool, message);
            };
            read_and_tell(&inputs, &Options::new(tool), &mut each, &report)
        });
    let reader = reader.map_err(|error| Failure::new(format!("no thread to read in: {error}"), ""))?;
    let mut take = |item| match item {
        ReaderMessage::Moment(moment) => each(*moment),
        ReaderMessage::Mark(mark) => {
            drop(mark);
            ControlFlow::Continue(())
        }
    };
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(item) => {
                if take(item).is_break() {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) if stdout_is_closed() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let nobody =
                    || Err(Failure::new("reading ended in a panic", "please report it with the log"));
                return reader.join().unwrap_or_else(|_| nobody()).map(|_| ());
            }
        }
        // Left waiting in its read, the reading thread ends with the program.
        if signals.next().is_some() {
            // What was read by now counts; a source that does not stop does not keep us.
            let _ = receiver.try_iter().take(QUEUE_LENGTH).try_for_each(&mut take);
            return Ok(());
        }
    }
}

/// Whether nobody will read what we write any more.
fn stdout_is_closed() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ended = |polled: &[PollFd<'_>]| {
        polled.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
    };
    matches!(poll(&mut polled, Some(&now)), Ok(1..)) && ended(&polled)
}
