//! The relay between pipes of our own: no process is started here.

use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::event::Timespec;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::*;

const WELL: Finished = Finished { lost: Lost { lines: 0, bytes: 0 }, held_open: false };
const LONG: Duration = Duration::from_secs(20);

/// A relay with the command's ends of its pipes, and the end where its stderr is read.
struct Stage {
    relay: Relay,
    stdout: File,
    stderr: File,
    sink: File,
}

fn pipe() -> (OwnedFd, File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (reader, writer.into())
}

fn start(name: Option<&str>, to_stderr: bool, keep: bool) -> Stage {
    let ((out, stdout), (err, stderr), (sink, write_sink)) = (pipe(), pipe(), pipe());
    let options = RelayOptions { tool: "tool", to_stderr, name: name.map(str::to_owned), keep };
    let relay = Relay::start(out, err, write_sink.into(), options).unwrap();
    Stage { relay, stdout, stderr, sink: sink.into() }
}

/// All that is relayed when the command has printed `stdout` and ended.
fn relayed(name: Option<&str>, bytes: Vec<u8>) -> Vec<u8> {
    let Stage { mut relay, mut stdout, stderr, mut sink } = start(name, true, false);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut text = Vec::new();
            sink.read_to_end(&mut text).unwrap();
            text
        });
        stdout.write_all(&bytes).unwrap();
        drop((stdout, stderr));
        assert_eq!(relay.finish(LONG), WELL);
        drop(relay);
        reader.join().unwrap()
    })
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < limit, "it never came about");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn relay_keeps_all_bytes() {
    let mut bytes = b"caf\xe9 \xff\xfe \0 \x1b[1mbold\x1b[0m \r\n".repeat(50_000);
    bytes.extend_from_slice(b"no end");
    assert!(relayed(None, bytes.clone()) == bytes, "a byte was changed");
    assert_eq!(relayed(Some("c"), b"a\xff\n\0b".to_vec()), b"[c] a\xff\n[c] \0b\n");
}

#[test]
fn endless_line_is_relayed() {
    let bytes = vec![b'x'; 5 << 20];
    assert!(relayed(None, bytes.clone()) == bytes, "a byte was changed");
    let marked = relayed(Some("c"), bytes.clone());
    assert_eq!(marked.len(), "[c] ".len() + bytes.len() + 1);
}

#[test]
fn prompt_is_relayed_early() {
    let mut stage = start(Some("ask"), true, true);
    stage.stdout.write_all(b"name? ").unwrap();
    let mut seen = [0; 12];
    stage.sink.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"[ask] name? ");
    assert_eq!(stage.relay.lines(), Lines::default());
    stage.stdout.write_all(b"you\n").unwrap();
    wait_until(|| match stage.relay.lines().lines.as_slice() {
        [] => false,
        [line] => line.bytes == b"name? you" && line.is_whole,
        more => panic!("{more:?}"),
    });
}

#[test]
fn kept_lines_have_their_stream() {
    let Stage { mut relay, mut stdout, mut stderr, mut sink } = start(None, false, true);
    stdout.write_all(b"one\ntwo").unwrap();
    let mut ready = [PollFd::new(&relay, PollFlags::IN)];
    assert_eq!(poll(&mut ready, Some(&LONG.try_into().unwrap())), Ok(1));
    stderr.write_all(b"oops\xff\n").unwrap();
    drop((stdout, stderr));
    assert_eq!(relay.finish(LONG), WELL);
    let lines = relay.lines();
    let of = |stream| lines.lines.iter().filter(move |line| line.stream == stream).map(|l| l.bytes.clone());
    assert_eq!(of(OutputStream::Stdout).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(of(OutputStream::Stderr).collect::<Vec<_>>(), [b"oops\xff"]);
    let mut ready = [PollFd::new(&relay, PollFlags::IN)];
    assert_eq!(poll(&mut ready, Some(&Timespec::default())), Ok(0));
    // They were for us alone.
    drop(relay);
    let mut text = String::new();
    sink.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}

#[test]
fn unread_stderr_blocks_nothing() {
    let Stage { mut relay, mut stdout, stderr, mut sink } = start(Some("loud"), true, true);
    let hundred_lines = format!("{:.>99}\n", "").repeat(100);
    // Blocks for ever if the relay does.
    for _ in 0..2_000 {
        stdout.write_all(hundred_lines.as_bytes()).unwrap();
    }
    stdout.write_all(b"last words\n").unwrap();
    drop((stdout, stderr));
    let begun = Instant::now();
    let finished = relay.finish(Duration::from_millis(50));
    assert!(begun.elapsed() < LONG && !finished.held_open);
    // What fits into the queue is given up only now; all but what the pipe and the writer hold is lost.
    assert!(finished.lost.bytes > 19_000_000 && finished.lost.bytes <= 20_000_011, "{finished:?}");
    assert!(finished.lost.lines >= 190_000, "{finished:?}");
    // Half of it fitted into the queue for ourselves: the end of it.
    let kept = relay.lines();
    assert_eq!(kept.lines.last().unwrap().bytes, b"last words");
    assert_eq!(kept.lines.len() as u64 + kept.lost.lines, 200_001);
    assert!(kept.lost.lines > 100_000);
    drop(relay);
    let mut text = vec![0; 200];
    sink.read_exact(&mut text).unwrap();
    assert!(text.starts_with(b"[loud] ...."));
}

#[test]
fn late_reader_sees_lost_count() {
    let Stage { mut relay, mut stdout, stderr, mut sink } = start(None, true, false);
    let all: String = (0..1_500_000).map(|number| format!("{number:>9}\n")).collect();
    stdout.write_all(all.as_bytes()).unwrap();
    drop((stdout, stderr));
    let reader = thread::spawn(move || {
        let mut text = String::new();
        sink.read_to_string(&mut text).unwrap();
        text
    });
    let finished = relay.finish(LONG);
    drop(relay);
    let text = reader.join().unwrap();
    let notes: Vec<&str> = text.lines().filter(|line| line.starts_with("tool: ")).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains(&format!(": {} lines (", finished.lost.lines)), "{notes:?}");
    assert_eq!(text.lines().count() as u64 + finished.lost.lines, 1_500_001);
    assert!(finished.lost.lines > 100_000 && text.ends_with("  1499999\n"));
}

#[test]
fn silent_open_pipe_is_given_up() {
    let Stage { mut relay, mut stdout, stderr, sink: _sink } = start(None, true, true);
    stdout.write_all(b"half").unwrap();
    let begun = Instant::now();
    let finished = relay.finish(LONG);
    assert!(finished.held_open && begun.elapsed() < LONG / 4, "{:?}", begun.elapsed());
    assert_eq!(relay.lines().lines.first().unwrap().bytes, b"half");
    // Nobody is at the other end any more.
    wait_until(|| stdout.write_all(b"x").is_err());
    drop(stderr);
}

#[test]
fn talking_daemon_is_cut_off() {
    let Stage { mut relay, mut stdout, stderr, sink } = start(None, true, false);
    let reader = thread::spawn(move || io::copy(&mut { sink }, &mut io::sink()).unwrap());
    let daemon = thread::spawn(move || while stdout.write_all(b"still here\n").is_ok() {});
    let begun = Instant::now();
    let finished = relay.finish(Duration::from_millis(300));
    assert!(finished.held_open && begun.elapsed() < Duration::from_secs(10));
    drop((relay, stderr));
    daemon.join().unwrap();
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn closed_stderr_blocks_nothing() {
    let Stage { mut relay, mut stdout, stderr, sink } = start(Some("c"), true, true);
    drop(sink);
    for _ in 0..1000 {
        stdout.write_all(&[b'x'; 1 << 10]).unwrap();
    }
    stdout.write_all(b"\nend\n").unwrap();
    drop((stdout, stderr));
    assert!(!relay.finish(LONG).held_open);
    assert_eq!(relay.lines().lines.last().unwrap().bytes, b"end");
}

#[test]
fn nonblocking_sink_gets_all() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    let _ = fcntl_setpipe_size(&writer, 4096);
    let bytes = vec![7; 1 << 20];
    thread::scope(|scope| {
        let expected = &bytes;
        scope.spawn(move || {
            let mut got = Vec::new();
            let mut buffer = [0; 1000];
            while got.len() < expected.len() {
                match rustix::io::read(&reader, &mut buffer) {
                    Ok(n) => got.extend_from_slice(&buffer[..n]),
                    Err(Errno::AGAIN) => thread::sleep(Duration::from_micros(100)),
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(got == *expected);
        });
        write_all(&writer, &bytes).unwrap();
    });
}
