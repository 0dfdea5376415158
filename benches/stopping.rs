//! How long a process stands still for a copy, by size, threads and what it shares, beside the floor: a stop of all its threads and one
//! plain copy of the same memory, in the same run.
//!
//! `cargo bench -p memobj --bench stopping [-- [MEGABYTES]... [--rounds N] [--python PATH]]`: heaps of so many MB (100, 600, 2000), so many rounds
//! of each (9). The gap is the longest time in which the process itself, looking at the clock all the time, saw nothing. Prints medians.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a bench is a program for the one who runs it"
)]

use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapOptions};
use memobj_process::addr::Addr;
use memobj_process::info::{ProcessInfo, ProcessSource};
use memobj_process::memory::{CopyBuffer, FrozenMemory, Memory};
use memobj_process::target::{CopyInfo, FrozenProcess, Target};
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Holds so many megabytes, has so many more threads that sleep, forks if it is to, and looks at the clock.
const TARGET: &str = r#"
import gc, os, select, sys, threading, time
megabytes, threads, forks = map(int, sys.argv[1:])
gc.disable()
held = [bytes(1 << 16) for _ in range(megabytes * 16)]
for block in range(0, len(held), 3): held[block] = bytearray(b"x" * 65000)
for _ in range(threads): threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
reading, writing = os.pipe()
if forks and os.fork() == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
print("ready", flush=True)
longest = 0
last = time.perf_counter_ns()
looks = 0
while True:
    now = time.perf_counter_ns()
    if now - last > longest: longest = now - last
    last = now
    looks += 1
    if looks % 1000 == 0 and select.select([0], [], [], 0)[0]:
        line = sys.stdin.readline()
        if not line: os._exit(0)
        print(longest, flush=True)
        longest = 0
        last = time.perf_counter_ns()
"#;
const PIECE: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(10);

struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(python: &str, megabytes: usize, threads: usize, forks: bool) -> Self {
        let mut child = Command::new(python)
            .args(["-c", TARGET, &megabytes.to_string(), &threads.to_string(), &u8::from(forks).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut String::new()).unwrap();
        Self { child, lines }
    }

    /// The longest gap that it saw since it was asked the last time, in milliseconds.
    fn gap(&mut self) -> f64 {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        // It has to get as far as looking at the clock again.
        std::thread::sleep(Duration::from_millis(20));
        line.trim().parse::<f64>().expect("a number") / 1e6
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain stop and copy of the same memory: its pause in milliseconds.
fn floor(facts: &ProcessInfo, stretches: &[(usize, usize)], into: &mut [u8]) -> f64 {
    let raw = |tid: u32| Pid::from_raw(tid.cast_signed());
    let begun = Instant::now();
    for thread in &facts.threads {
        ptrace::seize(raw(thread.tid), ptrace::Options::empty()).expect("it may be traced");
        ptrace::interrupt(raw(thread.tid)).unwrap();
    }
    for thread in &facts.threads {
        waitpid(raw(thread.tid), Some(WaitPidFlag::__WALL)).unwrap();
    }
    let mut rest = into;
    for &(at, length) in stretches {
        let (piece, behind) = rest.split_at_mut(length);
        rest = behind;
        let into = &mut [IoSliceMut::new(piece)];
        let read = process_vm_readv(raw(facts.id.pid), into, &[RemoteIoVec { base: at, len: length }]);
        assert_eq!(read, Ok(length), "the floor copies all");
    }
    for thread in &facts.threads {
        ptrace::detach(raw(thread.tid), None).unwrap();
    }
    begun.elapsed().as_secs_f64() * 1e3
}

/// What was copied, in pieces of a mebibyte at most.
fn stretches(memory: &FrozenMemory) -> Vec<(usize, usize)> {
    let runs = memory.runs().map(|(at, bytes)| (at.0 as usize, bytes.len()));
    runs.flat_map(|(at, length)| {
        (0..length).step_by(PIECE).map(move |from| (at + from, PIECE.min(length - from)))
    })
    .collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let mut sizes = Vec::new();
    let (mut rounds, mut python) = (9, "python3".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                rounds = arguments.next().and_then(|number| number.parse().ok()).expect("a number of rounds")
            }
            "--python" => python = arguments.next().expect("a path"),
            "--bench" => {}
            size => sizes.push(size.parse::<usize>().expect("a size in MB")),
        }
    }
    if sizes.is_empty() {
        sizes = vec![100, 600, 2000];
    }
    println!(
        "| target | MB copied | pause, ms | gap, ms | ms per MB | floor, ms | its gap, ms | its ms per MB | times the floor | stop alone, ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut looks = Vec::new();
    for &megabytes in &sizes {
        for (threads, forks, what) in
            [(0, false, "1 thread"), (50, false, "51 threads"), (0, true, "1 thread, forked")]
        {
            let still = row(&python, megabytes, threads, forks, what, rounds);
            if !forks && threads == 0 {
                looks.push((megabytes, look(&still)));
            }
        }
    }
    println!(
        "\n| copy | a word in order, ns | at random, ns | saved, MB/s | size of what is saved, share |\n|---|--:|--:|--:|--:|"
    );
    for (megabytes, [ordered, scattered, speed, share]) in looks {
        println!("| {megabytes} MB | {ordered:.1} | {scattered:.1} | {speed:.0} | {share:.2} |");
    }
}

/// What a copy is good for afterwards: nanoseconds for a word in order and at random, MB a second and share of a snapshot.
fn look(still: &FrozenProcess) -> [f64; 4] {
    const WORDS: usize = 1 << 22;
    let runs: Vec<(Addr, usize)> = still.memory.runs().map(|(at, bytes)| (at, bytes.len())).collect();
    let &(start, length) = runs.iter().max_by_key(|(_, length)| *length).unwrap();
    let mut sum = 0_u64;
    let begun = Instant::now();
    for word in 0..WORDS {
        sum = sum.wrapping_add(still.memory.read_u64(start.plus((word * 8 % (length - 8)) as u64)).unwrap());
    }
    let ordered = begun.elapsed().as_nanos() as f64 / WORDS as f64;
    let mut random = 1_usize;
    let begun = Instant::now();
    for _ in 0..WORDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = start.plus(((random >> 20) % (length - 8)) as u64 & !7);
        sum = sum.wrapping_add(still.memory.read_u64(at).unwrap());
    }
    let scattered = begun.elapsed().as_nanos() as f64 / WORDS as f64;
    std::hint::black_box(sum);
    let begun = Instant::now();
    let saved = memobj_process::snapshot::write(still, std::io::sink()).unwrap() as f64;
    let copied = still.memory.copied_bytes() as f64;
    [ordered, scattered, copied / 1e6 / begun.elapsed().as_secs_f64(), saved / copied]
}

fn row(
    python: &str,
    megabytes: usize,
    threads: usize,
    forks: bool,
    what: &str,
    rounds: usize,
) -> FrozenProcess {
    let mut running = Running::start(python, megabytes, threads, forks);
    let mut target = Target::attach(running.child.id()).expect("it can be attached to");
    let mut plain = MmapOptions::new().len((megabytes + 200) << 20).map_anon().unwrap();
    let _ = plain.advise(Advice::HugePage);
    plain.fill(1);
    let mut buffers = CopyBuffer::new();
    let mut ours: [Vec<f64>; 2] = Default::default();
    let mut floors: [Vec<f64>; 2] = Default::default();
    let mut alone = Vec::new();
    let mut copied = 0.0;
    for round in 0..=rounds {
        running.gap();
        let still = target.freeze(&mut buffers, LIMIT, |_| true).expect("it can be copied");
        let gap = running.gap();
        let CopyInfo { pause, lost_pages, .. } = still.copy;
        assert_eq!(lost_pages, 0, "pages were lost");
        copied = still.memory.copied_bytes() as f64 / 1e6;
        let stretches = stretches(&still.memory);
        buffers = still.memory.into_buffers();
        running.gap();
        // A forked one would not share anything any more, and be another target from then on.
        let floor = if forks { f64::NAN } else { floor(target.info(), &stretches, &mut plain) };
        let floor_gap = running.gap();
        let stop = target.stop(LIMIT).expect("it can be stopped").resume();
        // The first is for warming up.
        if round > 0 {
            alone.push(stop.as_secs_f64() * 1e3);
            for (into, number) in ours.iter_mut().zip([pause.unwrap_or_default().as_secs_f64() * 1e3, gap]) {
                into.push(number);
            }
            for (into, number) in floors.iter_mut().zip([floor, floor_gap]) {
                into.push(number);
            }
        }
    }
    let ([pause, gap], [floor, floor_gap]) = (ours.map(median), floors.map(median));
    let shown = |number: f64, digits: usize| {
        if number.is_nan() { "–".to_owned() } else { format!("{number:.digits$}") }
    };
    println!(
        "| {megabytes} MB, {what} | {copied:.0} | {pause:.1} | {gap:.1} | {:.3} | {} | {} | {} | {} | {:.2} |",
        pause / copied,
        shown(floor, 1),
        if forks { "–".to_owned() } else { shown(floor_gap, 1) },
        shown(floor / copied, 3),
        shown(pause / floor, 2),
        median(alone),
    );
    target.freeze(&mut buffers, LIMIT, |_| true).expect("it can be copied")
}
