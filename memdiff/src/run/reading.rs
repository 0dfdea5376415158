//! Reading logs to their end, or until the user or the reader of our output has had enough.

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use common::cli::Failure;
use common::log::{Input, Moment, Options, Summary, read};
use common::signal::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

/// Moments that wait to be taken in while the one before is.
const QUEUED: usize = 256;

/// How often it is looked whether somebody has had enough.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads files: on this thread, as nothing there keeps us waiting.
pub(super) fn straight(
    tool: &str,
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    read(inputs, &Options::new(tool), each).map(|_| ())
}

/// Reads where the standard input is among the inputs, which may come to no end. The first Ctrl-C, and the closing of our stdout,
/// end it as the end of the input does: what was seen is told.
pub(super) fn watched(
    tool: &'static str,
    inputs: &[Input],
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let ending = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
    let signals = Signals::catch(&ending, &ending)
        .map_err(|error| Failure::new(format!("signals cannot be caught: {error}"), ""))?;
    let (sender, receiver) = sync_channel::<Moment>(QUEUED);
    let inputs = inputs.to_vec();
    let reader =
        std::thread::Builder::new().name("reader".into()).spawn(move || -> Result<Summary, Failure> {
            read(&inputs, &Options::new(tool), &mut |moment| match sender.send(moment) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
    let reader = reader.map_err(|error| Failure::new(format!("no thread to read in: {error}"), ""))?;
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(moment) => {
                if each(moment).is_break() {
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
            let _ = receiver.try_iter().take(QUEUED).try_for_each(&mut *each);
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
