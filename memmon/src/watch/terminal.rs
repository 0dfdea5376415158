//! Acquires the terminal, draws on it, and restores it on every exit.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use common::record::Record;
use common::stdio::wants_colour;
use common::wait::is_ready;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::keys::{Key, KeyDecoder};
use super::screen::Screen;

/// How long to wait for the rest of a key's bytes. After that an escape was the escape key.
const KEY_TIMEOUT: Duration = Duration::from_millis(25);

/// The largest screen that is drawn, whatever the terminal reports.
const MAX_SIZE: (u16, u16) = (1000, 500);

/// The size of a terminal that does not report any.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// The state to restore. Global, so that a panic hook can reach it.
static ACQUIRED: Mutex<Option<OldModes>> = Mutex::new(None);

/// The modes of stdin before they were changed; `None` if they were not.
type OldModes = Option<Termios>;

/// The live screen on the terminal that is stdout.
///
/// It acquires the terminal when it is opened and restores it when it is dropped, also after a panic. It catches no signal: the
/// run loop calls [`suspend`](Self::suspend), [`resume`](Self::resume) and, after a resize, [`draw`](Self::draw). Drop it before
/// signals get their default effect again: those would leave the terminal as it is.
#[derive(Debug)]
pub struct TerminalScreen {
    screen: Screen,
    backend: CrosstermBackend<FrameBuffer>,
    /// The current and the next content of the terminal.
    shown: Buffer,
    next: Buffer,
    /// Whether keys are read from stdin.
    has_keys: bool,
    decoder: KeyDecoder,
}

impl TerminalScreen {
    /// Acquires the terminal: alternate screen, no cursor.
    ///
    /// With `keys`, and if stdin is a terminal, what is typed is not echoed and comes byte by byte; Ctrl-C and Ctrl-Z still
    /// send their signals. Otherwise stdin is not touched: it may belong to a launched command.
    ///
    /// # Errors
    /// Changing the modes of stdin or writing to stdout fails.
    pub fn open(keys: bool) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // The message must appear on the restored screen.
                let _ = restore_terminal();
                previous(panic);
            }));
        });
        let has_keys = keys && io::stdin().is_terminal();
        acquire_terminal(has_keys)?;
        Ok(Self {
            screen: Screen::new(has_keys, wants_colour(&io::stdout())),
            backend: CrosstermBackend::new(FrameBuffer::default()),
            shown: Buffer::default(),
            next: Buffer::default(),
            has_keys,
            decoder: KeyDecoder::default(),
        })
    }

    /// Takes a record: a sample, event or error. The next [`draw`](Self::draw) shows it.
    pub fn take(&mut self, record: &Record) {
        self.screen.take(record);
    }

    /// Takes a raw line of the launched command's output. It is escaped here.
    pub fn take_output(&mut self, line: &str) {
        self.screen.take_output(line);
    }

    /// Draws the changes since the last drawing. Draws everything if the size changed, or if the keyboard belongs to a command: its
    /// echo would overwrite or scroll the screen.
    ///
    /// While the terminal is restored nothing is drawn.
    ///
    /// # Errors
    /// Writing to stdout fails.
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

    /// Reads and handles pressed keys. Returns whether the user wants to quit; a terminal that is gone quits too. Waits at most
    /// 25 ms, for the rest of a sequence.
    ///
    /// # Errors
    /// Reading from stdin or writing to stdout fails.
    pub fn keys(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 64];
        let mut is_due = false;
        while self.has_keys && is_acquired() {
            let timeout = if self.decoder.is_waiting() { KEY_TIMEOUT } else { Duration::ZERO };
            let pressed = if is_ready(&stdin(), PollFlags::IN, timeout)? {
                let count = match retry_on_intr(|| rustix::io::read(stdin(), &mut bytes)) {
                    Err(Errno::AGAIN) => break,
                    Ok(0) | Err(Errno::IO) => return Ok(true),
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
                if self.screen.press(key) {
                    return Ok(true);
                }
                is_due = true;
            }
        }
        if is_due {
            self.draw()?;
        }
        Ok(false)
    }

    /// Restores the terminal before the program is suspended.
    ///
    /// # Errors
    /// Changing the modes of stdin or writing to stdout fails.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore_terminal()
    }

    /// Acquires the terminal again and draws everything, after the program continues.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn resume(&mut self) -> io::Result<()> {
        acquire_terminal(self.has_keys)?;
        self.invalidate();
        self.draw()
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

/// Acquires the terminal unless it is acquired already.
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
    *acquired = Some(modes);
    drop(acquired);
    use crossterm::{cursor, terminal};
    let mut frame = FrameBuffer::default();
    let written = crossterm::execute!(frame, terminal::EnterAlternateScreen, cursor::Hide);
    if written.is_err() {
        // The error of writing is returned; restoring would probably fail in the same way.
        let _ = restore_terminal();
    }
    written
}

/// Restores the terminal unless it is restored already.
fn restore_terminal() -> io::Result<()> {
    let Some(modes) = ACQUIRED.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
    use crossterm::{cursor, style, terminal};
    let mut frame = FrameBuffer::default();
    let attributes = style::SetAttribute(style::Attribute::Reset);
    let written = crossterm::execute!(frame, attributes, cursor::Show, terminal::LeaveAlternateScreen);
    if let Some(modes) = modes {
        retry_on_intr(|| tcsetattr(stdin(), OptionalActions::Now, &modes))?;
    }
    written
}

/// The size of the terminal: ioctl_tty(2), TIOCGWINSZ. Some report none, as those of `docker run -t` for scripts.
fn area() -> Rect {
    let (columns, rows) = tcgetwinsize(stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let bounded = |cells: u16, default: u16, most: u16| if cells == 0 { default } else { cells.min(most) };
    let width = bounded(columns, DEFAULT_SIZE.0, MAX_SIZE.0);
    Rect::new(0, 0, width, bounded(rows, DEFAULT_SIZE.1, MAX_SIZE.1))
}

/// Output that is written as a whole.
///
/// Unlike a `BufWriter` it drops an incomplete frame: half a frame after the shell's prompt is useless.
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
