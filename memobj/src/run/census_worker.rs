//! Takes censuses on a thread of its own, so that the user can end memobj in the middle of one.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use common::cli::Failure;
use memobj_cpython::stage;
use memobj_process::error::Error;
use memobj_process::priority;

use crate::capture::{CensusSource, ProcessState};
use crate::census::Census;
use crate::config::{CensusOptions, HeapFile};

/// How often it is checked whether the user wants the end.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// A census that was asked for.
enum Request {
    Process(u32, CensusOptions, Box<ProcessState>),
    File(HeapFile, CensusOptions),
}

/// The answer, with the state of the process.
struct Reply {
    census: Result<Census, Error>,
    state: Box<ProcessState>,
    warning: Option<String>,
}

/// A source of censuses, and where it works.
pub enum CensusWorker<'s> {
    /// On the caller's thread, which waits for the end of each census.
    Inline(&'s mut dyn CensusSource),
    /// On a thread of its own. A census that is abandoned goes on until the program ends, and nothing follows it.
    Thread(WorkerThread),
}

/// The thread of a source.
pub struct WorkerThread {
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    warning: Option<String>,
}

impl CensusWorker<'_> {
    /// Starts a thread for a source.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn spawn(mut source: Box<dyn CensusSource + Send>) -> Result<Self, Failure> {
        let (requests, asked) = mpsc::channel();
        let (answer, replies) = mpsc::channel();
        let work = move || {
            for request in asked {
                let (census, state) = match request {
                    Request::Process(pid, options, mut state) => {
                        (source.capture_process(pid, &options, &mut state), state)
                    }
                    Request::File(file, options) => (source.capture_file(&file, &options), Box::default()),
                };
                if answer.send(Reply { census, state, warning: source.warning() }).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("census".into()).spawn(work).map_err(|error| {
            Failure::new(format!("cannot start a thread: {error}"), "raise the limits (ulimit -u, -v)")
        })?;
        Ok(Self::Thread(WorkerThread { requests, replies, warning: None }))
    }

    /// Counts the objects of a running process, while `goes_on`.
    ///
    /// # Errors
    /// As [`CensusSource::capture_process`], or if it was abandoned.
    pub fn capture_process(
        &mut self,
        pid: u32,
        options: &CensusOptions,
        state: &mut ProcessState,
        goes_on: impl FnMut() -> bool,
    ) -> Result<Census, Error> {
        match self {
            Self::Inline(source) => source.capture_process(pid, options, state),
            Self::Thread(thread) => {
                let request = Request::Process(pid, options.clone(), Box::new(std::mem::take(state)));
                let (census, after) = thread.capture(request, goes_on)?;
                *state = *after;
                census
            }
        }
    }

    /// Counts the objects in a file, while `goes_on`.
    ///
    /// # Errors
    /// As [`CensusSource::capture_file`], or if it was abandoned.
    pub fn capture_file(
        &mut self,
        file: &HeapFile,
        options: &CensusOptions,
        goes_on: impl FnMut() -> bool,
    ) -> Result<Census, Error> {
        match self {
            Self::Inline(source) => source.capture_file(file, options),
            Self::Thread(thread) => thread.capture(Request::File(file.clone(), options.clone()), goes_on)?.0,
        }
    }

    /// A warning about the tool's own memory, if there is one.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Inline(source) => source.warning(),
            Self::Thread(thread) => thread.warning.clone(),
        }
    }
}

impl WorkerThread {
    fn capture(
        &mut self,
        request: Request,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<(Result<Census, Error>, Box<ProcessState>), Error> {
        let panicked = || {
            let hint = "please report it, with a snapshot (--save-snapshot) if you may share one";
            Error::new(stage::HEAP, "internal error: the census thread panicked", hint)
        };
        self.requests.send(request).map_err(|_| panicked())?;
        loop {
            match self.replies.recv_timeout(CHECK_INTERVAL) {
                Ok(reply) => {
                    self.warning = reply.warning;
                    return Ok((reply.census, reply.state));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(panicked()),
                Err(RecvTimeoutError::Timeout) if goes_on() => {}
                Err(RecvTimeoutError::Timeout) => {
                    // The census goes on until the program exits, at a low priority. Whoever pressed Ctrl-C waits for its end.
                    priority::raise_all(0);
                    return Err(abandoned());
                }
            }
        }
    }
}

/// The error of a census that the user ended.
fn abandoned() -> Error {
    let hint = "let it finish; without --holders and --retained it takes less time";
    Error::new(stage::HEAP, "interrupted before the census was complete", hint)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Answers files; a census of a process never ends.
    struct Endless;

    impl CensusSource for Endless {
        fn capture_process(
            &mut self,
            _: u32,
            _: &CensusOptions,
            _: &mut ProcessState,
        ) -> Result<Census, Error> {
            loop {
                std::thread::park();
            }
        }

        fn capture_file(&mut self, _: &HeapFile, _: &CensusOptions) -> Result<Census, Error> {
            Err(Error::new(stage::HEAP, "as expected", ""))
        }

        fn warning(&self) -> Option<String> {
            Some("full".into())
        }
    }

    #[test]
    fn census_is_abandoned_at_once() {
        let mut worker = CensusWorker::spawn(Box::new(Endless)).unwrap();
        let options = CensusOptions::default();
        let answered = worker.capture_file(&HeapFile::Core("core".into()), &options, || true);
        assert_eq!(answered.unwrap_err().message, "as expected");
        assert_eq!(worker.warning().as_deref(), Some("full"));
        let (begun, mut checks) = (Instant::now(), 0);
        let error = worker
            .capture_process(1, &options, &mut ProcessState::default(), || {
                checks += 1;
                checks < 3
            })
            .unwrap_err();
        assert!(error.message.contains("interrupted"), "{error}");
        assert!(begun.elapsed() >= 3 * CHECK_INTERVAL && checks == 3);
    }
}
