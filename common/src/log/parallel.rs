//! Threads that read ahead: one splits the inputs, others parse the lines, and the caller gets the results in order.
//!
//! The splitting thread puts a slot for each piece into a bounded queue, in the order of the input, and the piece into the
//! workers' queue. The caller takes the slots in order. The bounded queue limits the memory.

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

/// The next step in the order of the inputs.
#[derive(Debug)]
pub(super) enum Step {
    /// The content of some lines.
    Batch(Batch),
    /// The input failed.
    Failed(io::Error),
    /// The input ends.
    NextInput,
    /// Nothing was ready within the pause.
    Waiting,
}

/// A place in the order of the inputs, with its step.
enum Slot {
    Ready(Step),
    Awaited(Receiver<Batch>),
}

/// Lines to parse, and the receiver of their content.
type Work = (Lines, SyncSender<Batch>);

/// The steps of a reading. Its threads end after it is dropped; one that waits for a pipe ends with the next input or with the
/// program.
pub(super) struct Steps {
    slots: Receiver<Slot>,
    /// The number of bytes read from the inputs.
    pub(super) read: Arc<AtomicU64>,
}

impl Steps {
    /// The next step; `None` at the end. Returns [`Step::Waiting`] after `pause`.
    pub(super) fn next(&self, pause: Option<Duration>) -> Option<Step> {
        let slot = match pause {
            None => self.slots.recv().ok()?,
            Some(pause) => match self.slots.recv_timeout(pause) {
                Ok(slot) => slot,
                Err(RecvTimeoutError::Timeout) => return Some(Step::Waiting),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        match slot {
            Slot::Ready(step) => Some(step),
            Slot::Awaited(batch) => batch.recv().ok().map(Step::Batch),
        }
    }
}

/// Starts to read `inputs`.
///
/// # Errors
/// The system refuses a thread.
pub(super) fn start(
    inputs: &[Input],
    workers: usize,
    max_line_bytes: usize,
    fast: bool,
) -> io::Result<Steps> {
    let workers = workers.max(1);
    let (slots_in, slots) = sync_channel(2 * workers);
    let (work_in, work) = channel();
    let (spares_in, spares) = channel();
    let work = Arc::new(Mutex::new(work));
    for _ in 0..workers {
        let (work, spares_in) = (Arc::clone(&work), spares_in.clone());
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || parse_pieces(&work, max_line_bytes, fast, &spares_in))?;
    }
    let read = Arc::new(AtomicU64::new(0));
    let (inputs, counter) = (inputs.to_vec(), Arc::clone(&read));
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        for input in &inputs {
            if split_input(input, max_line_bytes, &counter, &slots_in, &work_in, &spares).is_break() {
                return;
            }
        }
    })?;
    Ok(Steps { slots, read })
}

/// Splits an input. Breaks if the caller has ended the reading.
fn split_input(
    input: &Input,
    max_line_bytes: usize,
    read: &Arc<AtomicU64>,
    slots: &SyncSender<Slot>,
    work: &Sender<Work>,
    spares: &Receiver<Vec<u8>>,
) -> ControlFlow<()> {
    let put = |slot| slots.send(slot).map_or(ControlFlow::Break(()), ControlFlow::Continue);
    match input.open(read) {
        Ok(mut opened) => {
            let mut spare = || spares.try_recv().unwrap_or_default();
            pieces::split(&mut opened, max_line_bytes, &mut spare, &mut |piece| match piece {
                Piece::Failed(error) => put(Slot::Ready(Step::Failed(error))),
                Piece::TooLong => put(Slot::Ready(Step::Batch(Batch::too_long(max_line_bytes)))),
                Piece::Lines(lines) => {
                    let (batch_in, batch) = sync_channel(1);
                    put(Slot::Awaited(batch))?;
                    work.send((lines, batch_in)).map_or(ControlFlow::Break(()), ControlFlow::Continue)
                }
            })?;
        }
        Err(error) => put(Slot::Ready(Step::Failed(error)))?,
    }
    put(Slot::Ready(Step::NextInput))
}

fn parse_pieces(work: &Mutex<Receiver<Work>>, max_line_bytes: usize, fast: bool, spares: &Sender<Vec<u8>>) {
    let mut scanner = fast.then(Scanner::default);
    loop {
        // The queue is intact even if another thread panicked.
        let next = work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok((mut lines, batch)) = next else { return };
        // The receiver is gone if the caller has ended the reading.
        let _ = batch.send(Batch::parse(&lines, max_line_bytes, scanner.as_mut()));
        if lines.bytes.capacity() <= 4 * PIECE_BYTES {
            lines.bytes.clear();
            let _ = spares.send(lines.bytes);
        }
    }
}
