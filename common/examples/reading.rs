//! Reads logs and says how many moments there were: what `benches/reading.py` measures.
//!
//!     cargo run --release -p memtools-common --example reading -- [--serde] [--workers N] LOG…

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use common::cli;
use common::log::{Input, MomentData, Options, read};

fn main() -> ExitCode {
    cli::run("reading", || {
        let mut options = Options::new("reading");
        let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
        if paths.first().is_some_and(|first| first.as_os_str() == "--serde") {
            options.fast = false;
            paths.remove(0);
        }
        if paths.first().is_some_and(|first| first.as_os_str() == "--workers") {
            options.workers = paths.get(1).and_then(|n| n.to_str()).and_then(|n| n.parse().ok()).unwrap_or(1);
            paths.drain(..2.min(paths.len()));
        }
        let (mut processes, mut bytes) = (0, 0_u128);
        let summary = read(&Input::from_args(&paths), &options, &mut |moment| {
            if let MomentData::Tree(tree) = &moment.data {
                processes += tree.processes.len();
                bytes += tree
                    .processes
                    .iter()
                    .filter_map(|process| process.rss_bytes)
                    .map(u128::from)
                    .sum::<u128>();
            }
            ControlFlow::Continue(())
        })?;
        print_line(&format!(
            "{} moments, {} of them the fast way, {processes} processes, {bytes} bytes in all",
            summary.moments, summary.scanned
        ));
        Ok(0)
    })
}

fn print_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
