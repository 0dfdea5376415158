//! memobj finds the Python in a process, by each of its ways, and tells what a process is that has none.

use memobj::error::{Error, Stage};
use memobj::facts::Source as _;
use memobj::request::Way;
use memobj::runtime::choose::{Python as Found, find};
use memobj::target::Target;

use crate::support::python::{Python, pythons};
use crate::support::{Background, PATIENCE, Tool, wait_for};

/// Interpreters that memobj knows.
fn supported() -> Vec<&'static Python> {
    pythons().iter().filter(|python| python.version >= (3, 8)).collect()
}

/// An interpreter that has said `ready` and what it knows of itself, and waits for the end of its stdin.
struct Waiting {
    process: Background,
    hexversion: u32,
    abiflags: String,
}

const WAIT: &str = "import sys; print('ready', sys.hexversion, getattr(sys, 'abiflags', '') or '-', flush=True); sys.stdin.read()";

fn waiting(program: &std::path::Path, before: &[&str]) -> Waiting {
    let mut process = Tool::new(program).args(before).args(["-I", "-S", "-c", WAIT]).start();
    let line = process.wait_line("ready ");
    let (hexversion, abiflags) = line.split_once(' ').unwrap();
    Waiting {
        process,
        hexversion: hexversion.parse().unwrap(),
        abiflags: abiflags.trim_matches('-').to_owned(),
    }
}

fn found(pid: u32, way: Option<Way>) -> Result<Found, Error> {
    find(&Target::attach(pid).unwrap(), way)
}

#[test]
fn every_interpreter_is_found_and_known_for_what_it_is() {
    let supported = supported();
    if supported.is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for python in supported {
        let target = waiting(&python.path, &[]);
        let begun = std::time::Instant::now();
        let found = found(target.process.pid(), None).unwrap();
        eprintln!(
            "{} {:?} {:?} {:?}",
            python.path.display(),
            found.found.way,
            found.layout.origin,
            begun.elapsed()
        );
        assert_eq!(found.build.hexversion, target.hexversion, "{python:?}");
        assert_eq!(found.build.debug, target.abiflags.contains('d'), "{python:?}");
        assert_eq!(found.build.free_threaded, target.abiflags.contains('t'), "{python:?}");
        assert_eq!(found.implementation, "cpython");
    }
}

#[test]
fn each_way_finds_the_same_place_or_none() {
    let supported = supported();
    if supported.is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for python in supported {
        let target = waiting(&python.path, &[]);
        let first = found(target.process.pid(), None).unwrap();
        for way in Way::ALL {
            let result = found(target.process.pid(), Some(way));
            eprintln!(
                "{} {way:?} {:?}",
                python.path.display(),
                result.as_ref().map(|f| f.found.at).map_err(|e| e.to_string())
            );
            if let Ok(other) = result {
                assert_eq!((other.found.at, other.found.way), (first.found.at, way), "{python:?}");
            }
        }
    }
}
