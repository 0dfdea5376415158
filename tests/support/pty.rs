//! A terminal of our own: a program in it, what it shows, and what is typed.

use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::{PATIENCE, process, wait_until};

/// Ctrl-C, as the keyboard sends it.
pub const CTRL_C: &str = "\x03";
/// Ctrl-Z.
pub const CTRL_Z: &str = "\x1a";

/// How often the reading thread looks whether the terminal is to be taken away.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A program to be started in a terminal, whose session it leads.
#[derive(Debug)]
pub struct Terminal {
    command: Command,
    size: (u16, u16),
}

impl Terminal {
    /// A program in a terminal of 120 columns and 40 rows that can do what xterm can.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        // setsid(1) becomes the program: it forks only where it leads a process group, and so a new child never does.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        Self { command, size: (120, 40) }
    }

    /// More arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    pub fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Columns and rows.
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If there is no terminal to be had, or no setsid(1).
    #[track_caller]
    pub fn start(mut self) -> Session {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, winsize(self.size)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = self.command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let parser = vt100::Parser::new_with_callbacks(
            NonZeroU16::new(self.size.1).unwrap(),
            NonZeroU16::new(self.size.0).unwrap(),
            1000,
            Demands::default(),
        );
        let shown = Arc::new(Mutex::new(Shown { bytes: Vec::new(), parser, is_to_end: false }));
        let master = Arc::new(master);
        let thread = std::thread::spawn({
            let (master, shown) = (Arc::clone(&master), Arc::clone(&shown));
            move || read(&master, &shown)
        });
        Session { child, master: Some(master), shown, thread: Some(thread), reaped: false }
    }
}

/// A program that runs in a terminal. Dropped, it and everything below it and in its group is killed.
pub struct Session {
    child: Child,
    master: Option<Arc<OwnedFd>>,
    shown: Arc<Mutex<Shown>>,
    thread: Option<JoinHandle<()>>,
    reaped: bool,
}

struct Shown {
    bytes: Vec<u8>,
    parser: vt100::Parser<Demands>,
    is_to_end: bool,
}

/// What a program may ask of a terminal beside showing text.
#[derive(Debug, Default)]
struct Demands {
    made: Vec<String>,
}

impl vt100::Callbacks for Demands {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.made.push("a bell".into());
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.made.push(format!("the title {:?}", String::from_utf8_lossy(title)));
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        self.made.push("the clipboard".into());
    }
}

impl Session {
    /// The program's pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every byte that was written to the terminal.
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.lock().unwrap().bytes.clone()
    }

    /// All that was written, as text; with the terminal's line ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// What the screen shows now.
    pub fn screen(&self) -> String {
        self.shown.lock().unwrap().parser.screen().contents()
    }

    /// Whether it shows the alternate screen, and whether the cursor is hidden.
    pub fn is_taken_over(&self) -> (bool, bool) {
        let shown = self.shown.lock().unwrap();
        (shown.parser.screen().alternate_screen(), shown.parser.screen().hide_cursor())
    }

    /// What was asked of the terminal beside showing text: titles, bells, the clipboard.
    pub fn demands(&self) -> Vec<String> {
        self.shown.lock().unwrap().parser.callbacks().made.clone()
    }

    /// Whether keys are echoed and come line by line, as in a shell.
    #[track_caller]
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(self.master()).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Types.
    #[track_caller]
    pub fn type_keys(&self, keys: &str) {
        assert_eq!(rustix::io::write(self.master(), keys.as_bytes()), Ok(keys.len()));
    }

    /// Gives the terminal another size, in columns and rows.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        // Held meanwhile: what is drawn for the new size must not be seen at the old one.
        let mut shown = self.shown.lock().unwrap();
        let [rows_, columns_] = [rows, columns].map(|n| NonZeroU16::new(n).unwrap());
        shown.parser.set_size(rows_, columns_);
        tcsetwinsize(self.master(), winsize((columns, rows))).unwrap();
    }

    /// Takes the terminal away, as when its window is closed.
    pub fn hang_up(&mut self) {
        self.shown.lock().unwrap().is_to_end = true;
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
        self.master = None;
    }

    /// Sends the program a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the screen shows `text`.
    ///
    /// # Panics
    /// If it does not, with what it shows instead.
    #[track_caller]
    pub fn wait_screen(&self, text: &str) {
        self.wait(&format!("{text:?} on the screen"), |this| this.screen().contains(text));
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// If it does not, with all there is to see.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited in vain for: {what}\n{self}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// Waits for the end of the program and of all that it wrote, and returns how it ended.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn finish(&mut self) -> ExitStatus {
        self.wait("the program's end", Self::has_ended);
        // With the last process that holds the terminal everything written to it has been read.
        wait_until(PATIENCE, "the end of the terminal's text", || {
            self.thread.as_ref().is_none_or(JoinHandle::is_finished)
        });
        self.reap()
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.reaped || !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    #[track_caller]
    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("the terminal was taken away")
    }

    fn reap(&mut self) -> ExitStatus {
        let leader = Pid::from_child(&self.child);
        if !self.reaped {
            let _ = kill_process_group(leader, Signal::STOP);
            let below = process::descendants(self.pid());
            let _ = kill_process_group(leader, Signal::KILL);
            for pid in below.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::KILL);
            }
            self.reaped = true;
        }
        self.child.wait().unwrap()
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "── screen\n{}\n── all\n{:?}\n──", self.screen(), self.text())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reap();
        self.hang_up();
    }
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Reads until nobody holds the terminal any more: then reading fails (EIO), and an open one that is empty only waits.
fn read(master: &OwnedFd, shown: &Mutex<Shown>) {
    let mut part = [0; 1 << 14];
    while !shown.lock().unwrap().is_to_end {
        let mut ready = [PollFd::new(master, PollFlags::IN)];
        if !matches!(poll(&mut ready, Some(&PAUSE)), Ok(1..)) {
            continue;
        }
        let Ok(length @ 1..) = rustix::io::read(master, &mut part) else { return };
        let mut shown = shown.lock().unwrap();
        shown.bytes.extend_from_slice(&part[..length]);
        shown.parser.process(&part[..length]);
    }
}
