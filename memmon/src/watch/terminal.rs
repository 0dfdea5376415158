//! The terminal: taken over, drawn on, and given back on every way out.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use common::record::Record;
use common::stdio::wants_colour;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::Action;
use super::keys::{Key, KeyDecoder};
use super::screen::Screen;

/// How long the rest of a key's bytes may take to come; after that an escape was the escape key.
const KEY_TIMEOUT: Duration = Duration::from_millis(25);

/// No larger screen is drawn on: a terminal may say anything about its size.
const MAX_SIZE: (u16, u16) = (1000, 500);

/// Where there is no telling the size: what terminals began with.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// What to put back when the terminal is given back. Global, because a panic has to find it.
static ACQUIRED: Mutex<Option<Acquired>> = Mutex::new(None);

struct Acquired {
    /// The modes of stdin as they were, if they were changed.
    modes: Option<Termios>,
}

/// The live picture on the terminal that stdout is.
///
/// It takes the terminal over when it is opened and gives it back when it is closed or dropped, and also when the program
/// panics. It catches no signal: the run loop calls [`suspend`](Self::suspend), [`resume`](Self::resume) and, when the size
/// changed, [`draw`](Self::draw). It cannot give the terminal back when a signal has its default effect, so it should be
/// closed before signals get that back.
#[derive(Debug)]
pub struct TerminalScreen {
    screen: Screen,
    backend: CrosstermBackend<FrameBuffer>,
    /// What the terminal shows, and room for what it will show next.
    shown: Buffer,
    next: Buffer,
    /// Whether keys are read from stdin.
    has_keys: bool,
    decoder: KeyDecoder,
}

impl TerminalScreen {
    /// Takes the terminal over: alternate screen, no cursor.
    ///
    /// With `keys`, and if stdin is a terminal, what is typed is not echoed and comes byte by byte; Ctrl-C and Ctrl-Z still
    /// send their signals. Otherwise stdin is left alone: it may be that of a launched command.
    ///
    /// # Errors
    /// What the system says to changing the modes of stdin or writing to stdout.
    pub fn open(keys: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // The message is for the screen that the user will see.
                let _ = restore_terminal();
                previous(panic);
            }));
        });
        let has_keys = keys && io::stdin().is_terminal();
        acquire_terminal(has_keys)?;
        let screen = Self {
            screen: Screen::new(has_keys, wants_colour(&io::stdout())),
            backend: CrosstermBackend::new(FrameBuffer::default()),
            shown: Buffer::default(),
            next: Buffer::default(),
            has_keys,
            decoder: KeyDecoder::default(),
        };
        Ok(screen)
    }

    /// Takes in a record: samples, events and errors. It shows with the next [`draw`](Self::draw).
    pub fn take(&mut self, record: &Record) {
        self.screen.take(record);
    }

    /// Takes in a line that the launched command printed, as it is: it is made safe here.
    pub fn take_output(&mut self, line: &str) {
        self.screen.take_output(line);
    }

    /// Draws what changed since it was last drawn; everything, if the size of the terminal changed, or if the keyboard is not
    /// ours: what is typed for a command is echoed somewhere on the picture, and may scroll it away.
    ///
    /// While the terminal is given back nothing is drawn.
    ///
    /// # Errors
    /// What the system says to writing to stdout.
    pub fn draw(&mut self) -> io::Result<()> {
        if !is_acquired() {
            return Ok(());
        }
        let area = area();
        if self.shown.area != area || !self.has_keys {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
            self.backend.clear()?;
        }
        self.next.reset();
        self.screen.render(area, &mut self.next);
        self.backend.draw(self.shown.diff(&self.next).into_iter())?;
        Backend::flush(&mut self.backend)?;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// Reads the keys that were pressed and does what they stand for. Does not wait for any, but up to 25 ms for the rest
    /// of one.
    ///
    /// Scrolling and sorting happen here; what is returned is for the run loop. A terminal that is gone wants to quit.
    ///
    /// # Errors
    /// What the system says to reading from stdin or writing to stdout.
    pub fn keys(&mut self) -> io::Result<Option<Action>> {
        let mut bytes = [0; 64];
        let mut is_due = false;
        while self.has_keys && is_acquired() {
            let timeout = if self.decoder.is_waiting() { KEY_TIMEOUT } else { Duration::ZERO };
            let pressed = if is_readable(timeout)? {
                let count = match retry_on_intr(|| rustix::io::read(stdin(), &mut bytes)) {
                    Err(Errno::AGAIN) => break,
                    Ok(0) | Err(Errno::IO) => return Ok(Some(Action::Quit)),
                    read => read?,
                };
                bytes.iter().take(count).filter_map(|byte| self.decoder.feed(*byte)).collect()
            } else if self.decoder.is_waiting() {
                Vec::from_iter(self.decoder.finish())
            } else {
                break;
            };
            for key in pressed {
                if key == Key::Repaint {
                    self.invalidate();
                }
                if let Some(action) = self.screen.press(key) {
                    return Ok(Some(action));
                }
                is_due = true;
            }
        }
        if is_due {
            self.draw()?;
        }
        Ok(None)
    }

    /// Gives the terminal back for a while: before the program stops.
    ///
    /// # Errors
    /// What the system says to changing the modes of stdin or writing to stdout.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore_terminal()
    }

    /// Takes the terminal over again and draws everything: when the program goes on.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn resume(&mut self) -> io::Result<()> {
        acquire_terminal(self.has_keys)?;
        self.invalidate();
        self.draw()
    }

    /// Gives the terminal back for good.
    ///
    /// # Errors
    /// What the system says to changing the modes of stdin or writing to stdout.
    pub fn close(self) -> io::Result<()> {
        restore_terminal()
    }

    fn invalidate(&mut self) {
        self.shown = Buffer::default();
    }
}

impl Drop for TerminalScreen {
    fn drop(&mut self) {
        let _ = restore_terminal();
    }
}

fn is_acquired() -> bool {
    ACQUIRED.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Takes the terminal over; does nothing if that was done.
fn acquire_terminal(keys: bool) -> io::Result<()> {
    let mut acquired = ACQUIRED.lock().unwrap_or_else(PoisonError::into_inner);
    if acquired.is_some() {
        return Ok(());
    }
    let modes = if keys { Some(tcgetattr(stdin())?) } else { None };
    if let Some(modes) = &modes {
        let mut changed = modes.clone();
        // ISIG stays: termios(3). crossterm's raw mode would take Ctrl-C and Ctrl-Z away.
        changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        changed.special_codes[SpecialCodeIndex::VMIN] = 1;
        changed.special_codes[SpecialCodeIndex::VTIME] = 0;
        retry_on_intr(|| tcsetattr(stdin(), OptionalActions::Now, &changed))?;
    }
    *acquired = Some(Acquired { modes });
    drop(acquired);
    use crossterm::{cursor, terminal};
    let mut frame = FrameBuffer::default();
    let written = crossterm::execute!(frame, terminal::EnterAlternateScreen, cursor::Hide);
    if written.is_err() {
        // The error that is told is that of writing; giving back will most likely meet the same.
        let _ = restore_terminal();
    }
    written
}

/// Gives the terminal back; does nothing if that was done.
fn restore_terminal() -> io::Result<()> {
    let Some(acquired) = ACQUIRED.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return Ok(());
    };
    use crossterm::{cursor, style, terminal};
    let mut frame = FrameBuffer::default();
    let attributes = style::SetAttribute(style::Attribute::Reset);
    let written = crossterm::execute!(frame, attributes, cursor::Show, terminal::LeaveAlternateScreen);
    if let Some(modes) = acquired.modes {
        retry_on_intr(|| tcsetattr(stdin(), OptionalActions::Now, &modes))?;
    }
    written
}

/// The size of the terminal: ioctl_tty(2), TIOCGWINSZ. Some have no size, as those that `docker run -t` makes for scripts.
fn area() -> Rect {
    let (columns, rows) = tcgetwinsize(stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or_usual = |cells: u16, usual: u16| if cells == 0 { usual } else { cells };
    Rect {
        x: 0,
        y: 0,
        width: or_usual(columns, DEFAULT_SIZE.0).min(MAX_SIZE.0),
        height: or_usual(rows, DEFAULT_SIZE.1).min(MAX_SIZE.1),
    }
}

/// Whether a read from stdin would not block, now or within `timeout`.
fn is_readable(timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let stdin = stdin();
    let mut descriptors = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut descriptors, Some(&timeout)) {
        Err(Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}

/// What is to be written, held back until it is whole.
///
/// Other than a `BufWriter` it forgets what is not whole when it is dropped: half a frame behind the shell's prompt helps nobody.
#[derive(Debug, Default)]
struct FrameBuffer {
    bytes: Vec<u8>,
}

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            match rustix::io::write(stdout(), left) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // A command that shares the terminal may have made it non-blocking: open(2), O_NONBLOCK.
                Err(Errno::AGAIN) => {
                    let stdout = stdout();
                    let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
