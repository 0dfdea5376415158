//! The process that holds one of everything, what its twin said of it, and its memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use crate::support::{PATIENCE, wait_until, workspace};

/// An object, as its own process saw it.
#[derive(Debug)]
pub struct Object {
    /// The address of its type.
    pub of: u64,
    /// `sys.getsizeof`.
    pub size: i64,
    /// Whether `gc.get_objects` gave it.
    pub tracked: bool,
    /// `gc.get_referents`, sorted.
    pub referents: Vec<u64>,
}

/// What a process saw of itself.
#[derive(Debug, Default)]
pub struct Oracle {
    /// All objects that are reached, by address.
    pub objects: HashMap<u64, Object>,
    /// Module and qualified name of each type, by address.
    pub types: HashMap<u64, (String, String)>,
}

/// A process that waits for input and changes nothing meanwhile.
pub struct Target {
    child: Child,
    _stdin: ChildStdin,
    /// `_PyRuntime`.
    pub runtime: Addr,
    /// All numbers that it said.
    pub said: HashMap<String, u64>,
    /// What it saw.
    pub oracle: Oracle,
    /// Its memory, copied while it waits.
    pub memory: Copied,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    /// Runs `tests/heap/SCRIPT` with an interpreter, and waits until it sleeps.
    pub fn run(interpreter: &Path, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reported = folder.path().join("objects");
        let mut child = Command::new(interpreter)
            .args(["-I", "-S"])
            .arg(workspace::root().join("tests/heap").join(script))
            .arg(&reported)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = HashMap::new();
        loop {
            let line =
                lines.next().unwrap_or_else(|| panic!("{}: {script} ended", interpreter.display())).unwrap();
            if line == "ready" {
                break;
            }
            let (name, value) = line.split_once(' ').unwrap();
            said.insert(name.to_owned(), value.parse::<u64>().unwrap());
        }
        // It reports before it waits: until it sleeps in read(0, …), its allocator may be in the middle of a change.
        let call = format!("/proc/{}/syscall", child.id());
        wait_until(PATIENCE, "the target waits for its stdin", || {
            std::fs::read_to_string(&call).is_ok_and(|call| call.starts_with("0 0x0 "))
        });
        let memory = Copied::of(child.id());
        Self {
            _stdin: stdin,
            runtime: Addr(said["runtime"]),
            oracle: Oracle::read(&reported),
            said,
            memory,
            child,
        }
    }
}

impl Oracle {
    fn read(path: &Path) -> Self {
        let mut oracle = Self::default();
        let mut ended = false;
        for line in BufReader::new(File::open(path).unwrap()).lines() {
            let line = line.unwrap();
            let fields: Vec<&str> = line.split(' ').collect();
            match fields[0] {
                "T" => {
                    let name = (fields[2].to_owned(), fields[3].to_owned());
                    oracle.types.insert(fields[1].parse().unwrap(), name);
                }
                "O" | "o" => {
                    let mut referents: Vec<u64> = fields[4]
                        .split(',')
                        .filter(|id| !id.is_empty())
                        .map(|id| id.parse().unwrap())
                        .collect();
                    referents.sort_unstable();
                    let object = Object {
                        of: fields[2].parse().unwrap(),
                        size: fields[3].parse().unwrap(),
                        tracked: fields[0] == "O",
                        referents,
                    };
                    oracle.objects.insert(fields[1].parse().unwrap(), object);
                }
                _ => ended = line == "end",
            }
        }
        assert!(ended, "the twin did not come to its end");
        oracle
    }
}

/// A copy of all that is readable of a process.
pub struct Copied {
    regions: Vec<Range<Addr>>,
    bytes: Vec<Vec<u8>>,
}

impl Copied {
    fn of(pid: u32) -> Self {
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut maps = String::new();
        File::open(format!("/proc/{pid}/maps")).unwrap().read_to_string(&mut maps).unwrap();
        let mut copied = Self { regions: Vec::new(), bytes: Vec::new() };
        for line in maps.lines() {
            let mut fields = line.split_whitespace();
            let (start, end) = fields.next().unwrap().split_once('-').unwrap();
            let (start, end) =
                (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
            if !fields.next().unwrap().starts_with('r') || line.contains("[v") {
                continue;
            }
            let mut bytes = vec![0; (end - start) as usize];
            if memory.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            // A struct may lie across two mappings that follow one another.
            match (copied.regions.last_mut(), copied.bytes.last_mut()) {
                (Some(last), Some(before)) if last.end == Addr(start) => {
                    last.end = Addr(end);
                    before.extend(bytes);
                }
                _ => {
                    copied.regions.push(Addr(start)..Addr(end));
                    copied.bytes.push(bytes);
                }
            }
        }
        copied
    }
}

impl Copied {
    /// Inverts one bit, wherever `place` falls in all bytes.
    pub fn flip(&mut self, place: u64) {
        let total: u64 = self.bytes.iter().map(|bytes| bytes.len() as u64).sum();
        let mut left = place % total;
        for bytes in &mut self.bytes {
            if let Some(byte) = bytes.get_mut(left as usize) {
                *byte ^= 1 << (place / total % 8);
                return;
            }
            left -= bytes.len() as u64;
        }
    }
}

impl Memory for Copied {
    fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
        let index = self
            .regions
            .partition_point(|region| region.start <= at)
            .checked_sub(1)
            .ok_or(Unreadable { at })?;
        let offset = (at.0 - self.regions[index].start.0) as usize;
        let end = offset.checked_add(into.len()).ok_or(Unreadable { at })?;
        into.copy_from_slice(self.bytes[index].get(offset..end).ok_or(Unreadable { at })?);
        Ok(())
    }

    fn regions(&self) -> &[Range<Addr>] {
        &self.regions
    }
}
