//! Threads that read ahead: one takes the inputs apart, some read the lines, and the caller gets what they found in order.
//!
//! The thread that takes apart puts a place for each piece into a bounded queue in the order of the input, and the piece
//! itself into the workers' queue. Who takes the places in turn waits for the slowest only, and memory is bounded by the queue.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::batch::Batch;
use super::input::Input;
use super::pieces::{self, Lines, PIECE_BYTES, Piece};
use super::scan::Scanner;

/// What comes next in the order of the inputs.
#[derive(Debug)]
pub(super) enum Step {
    /// What some lines say.
    Batch(Batch),
    /// The input cannot be read further.
    Failed(io::Error),
    /// The next input begins, if there is one.
    NextInput,
    /// Nothing came within the pause.
    Waiting,
}

/// A place in the order, and what it will hold.
enum Place {
    Ready(Step),
    Awaited(Receiver<Batch>),
}

/// Lines to be read, and where what they say is awaited.
type Work = (Lines, SyncSender<Batch>);

/// The steps of reading. Threads end by themselves when it is dropped; one that waits for a pipe ends when something comes or the
/// program does.
pub(super) struct Steps {
    places: Receiver<Place>,
    /// The bytes that were read, as they are in the inputs.
    pub(super) read: Arc<AtomicU64>,
}

impl Steps {
    /// The next step; `None` at the end. With a `pause` it comes back after that with [`Step::Waiting`] in any case.
    pub(super) fn next(&self, pause: Option<Duration>) -> Option<Step> {
        let place = match pause {
            None => self.places.recv().ok()?,
            Some(pause) => match self.places.recv_timeout(pause) {
                Ok(place) => place,
                Err(RecvTimeoutError::Timeout) => return Some(Step::Waiting),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        match place {
            Place::Ready(step) => Some(step),
            Place::Awaited(batch) => batch.recv().ok().map(Step::Batch),
        }
    }
}

/// Starts to read `inputs`.
///
/// # Errors
/// The system gives no threads.
pub(super) fn start(
    inputs: &[Input],
    workers: usize,
    max_line_bytes: usize,
    fast: bool,
) -> io::Result<Steps> {
    let workers = workers.max(1);
    let (places_in, places) = sync_channel(2 * workers);
    let (work_in, work) = channel();
    let (spares_in, spares) = channel();
    let work = Arc::new(Mutex::new(work));
    for _ in 0..workers {
        let (work, spares_in) = (Arc::clone(&work), spares_in.clone());
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || read_lines(&work, max_line_bytes, fast, &spares_in))?;
    }
    let read = Arc::new(AtomicU64::new(0));
    let (inputs, counter) = (inputs.to_vec(), Arc::clone(&read));
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        for input in &inputs {
            if take_apart(input, max_line_bytes, &counter, &places_in, &work_in, &spares).is_break() {
                return;
            }
        }
    })?;
    Ok(Steps { places, read })
}

/// Breaks if nobody waits for more.
fn take_apart(
    input: &Input,
    max_line_bytes: usize,
    read: &Arc<AtomicU64>,
    places: &SyncSender<Place>,
    work: &Sender<Work>,
    spares: &Receiver<Vec<u8>>,
) -> ControlFlow<()> {
    let put = |place| places.send(place).map_or(ControlFlow::Break(()), ControlFlow::Continue);
    match input.open(read) {
        Ok(mut opened) => {
            let mut spare = || spares.try_recv().unwrap_or_default();
            pieces::cut(&mut opened, max_line_bytes, &mut spare, &mut |piece| match piece {
                Piece::Failed(error) => put(Place::Ready(Step::Failed(error))),
                Piece::TooLong => put(Place::Ready(Step::Batch(Batch::too_long(max_line_bytes)))),
                Piece::Lines(lines) => {
                    let (batch_in, batch) = sync_channel(1);
                    put(Place::Awaited(batch))?;
                    work.send((lines, batch_in)).map_or(ControlFlow::Break(()), ControlFlow::Continue)
                }
            })?;
        }
        Err(error) => put(Place::Ready(Step::Failed(error)))?,
    }
    put(Place::Ready(Step::NextInput))
}

fn read_lines(work: &Mutex<Receiver<Work>>, max_line_bytes: usize, fast: bool, spares: &Sender<Vec<u8>>) {
    let mut scanner = fast.then(Scanner::default);
    loop {
        // A lock that another thread's end left poisoned still guards a whole queue.
        let next = work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok((mut lines, batch)) = next else { return };
        // The receiver may be gone: the caller wants no more.
        let _ = batch.send(Batch::of(&lines, max_line_bytes, scanner.as_mut()));
        if lines.bytes.capacity() <= 4 * PIECE_BYTES {
            lines.bytes.clear();
            let _ = spares.send(lines.bytes);
        }
    }
}
