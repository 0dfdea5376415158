//! Stopping a process and copying it: the copy is right, and the process takes no notice.

use memobj::memory::{Buffers, Memory};
use memobj::target::{STOP_LIMIT, Target};

use crate::support::Tool;
use crate::support::python::python;

/// A Python that says where the bytes of a text of its own are, and counts.
const COUNTING: &str = r#"
import ctypes, sys, threading, time
text = bytearray(b"what is copied is what was there" * 1000)
held = (ctypes.c_char * len(text)).from_buffer(text)
for _ in range(int(sys.argv[1])):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", ctypes.addressof(held), flush=True)
sys.stdin.read()
"#;

fn frozen_python(threads: u32) {
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let mut process = Tool::new(&python.path).args(["-c", COUNTING, &threads.to_string()]).start();
    let at: u64 = process.wait_line("ready ").trim().parse().unwrap();
    let mut target = Target::attach(process.pid()).unwrap();
    let mut buffers = Buffers::new();
    for _ in 0..3 {
        let still = target.freeze(&mut buffers, STOP_LIMIT, |_| true).unwrap();
        assert_eq!(still.taking.threads as u32, threads + 1);
        let mut text = vec![0; 32_000];
        still.memory.read(memobj::addr::Addr(at), &mut text).unwrap();
        assert_eq!(text, b"what is copied is what was there".repeat(1000));
        eprintln!("{:?} {} bytes rss {:?}", still.taking, still.memory.copied_bytes(), still.facts.rss_bytes);
        buffers = still.memory.into_buffers();
    }
    drop(process);
}

#[test]
fn a_copy_holds_what_the_process_held() {
    frozen_python(0);
}

#[test]
fn fifty_threads_are_stopped_and_run_on() {
    frozen_python(50);
}
