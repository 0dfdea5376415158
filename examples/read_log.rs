//! Reads logs of memmon or memobj and prints one line for each moment.
//!
//!     memmon -i 1s -p 1234 -o log.jsonl
//!     cargo run --example read_log -- log.jsonl

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use common::cli;
use common::log::{Input, MomentData, Options, read};

fn main() -> ExitCode {
    cli::run("read_log", || {
        let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
        // Without a path, standard input is read. Bad lines are reported on stderr, and reading goes on.
        read(&Input::from_args(&paths), &Options::new("read_log"), &mut |moment| {
            let line = match &moment.data {
                MomentData::Tree(tree) => {
                    format!("{} processes, {} bytes", tree.processes.len(), tree.total_rss_bytes)
                }
                MomentData::Census(census) => format!("pid {}: {} objects", census.pid, census.total_objects),
                _ => return ControlFlow::Continue(()),
            };
            let printed = writeln!(io::stdout(), "#{}  {line}", moment.iteration);
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(0)
    })
}
