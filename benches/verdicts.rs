//! Accuracy of memdiff's verdicts on simulated series: false alarms and detections by kind and length.
//!
//! `cargo bench -p memdiff --bench verdicts [-- [SERIES] [SEED]]`: the number of series of each kind and length (200), and the first seed (1,000,000).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench is a program for the one who runs it"
)]

#[path = "../tests/support/series.rs"]
mod series;

use std::time::Instant;

use common::record::TrendKind;

const LENGTHS: [usize; 4] = [20, 60, 200, 1000];

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let each = numbers.next().unwrap_or(200);
    let seed = numbers.next().unwrap_or(1_000_000);
    // Growing verdicts of at least this confidence: without a leak, with a leak.
    let mut sure = [(0.9, [0, 0]), (0.95, [0, 0]), (0.99, [0, 0]), (0.999, [0, 0])];
    let begun = Instant::now();
    println!("growing, per cent of {each} series of each kind and length, seeds from {seed}\n");
    println!("| | {} |\n|---|--:|--:|--:|--:|", LENGTHS.map(|n| format!("{n} moments")).join(" | "));
    for leaks in [false, true] {
        let mut all = [0; LENGTHS.len()];
        let mut kinds = 0;
        for kind in series::KINDS.iter().filter(|kind| kind.leaks == leaks) {
            kinds += 1;
            let mut row = format!("| {} |", kind.name);
            for (column, moments) in LENGTHS.into_iter().enumerate() {
                let mut kinds_found = [0; 5];
                for number in 0..each {
                    let estimate = series::judged(&kind.series(seed + number, moments));
                    kinds_found[estimate.kind as usize] += 1;
                    if estimate.kind == TrendKind::Growing {
                        let least = sure.iter_mut().filter(|(least, _)| estimate.confidence >= *least);
                        least.for_each(|(_, counts)| counts[usize::from(leaks)] += 1);
                    }
                }
                let growing = kinds_found[TrendKind::Growing as usize];
                all[column] += growing;
                row += &format!(" {:.1} |", growing as f64 * 100.0 / each as f64);
            }
            println!("{row}");
        }
        let total = (kinds * each) as f64;
        let cells = all.map(|growing| format!("**{:.2}**", growing as f64 * 100.0 / total));
        println!("| **{}** | {} |", if leaks { "detected" } else { "false alarms" }, cells.join(" | "));
        let rate = all.iter().sum::<u64>() as f64 / (total * LENGTHS.len() as f64);
        println!(
            "\n{}: {:.2} % of {}\n",
            if leaks { "leaking" } else { "not leaking" },
            rate * 100.0,
            total as u64 * 4
        );
    }
    for (least, [alarms, leaks]) in sure {
        println!("sure by {least} or more: {alarms} false alarms, {leaks} detections");
    }
    println!("took {:.1} s", begun.elapsed().as_secs_f64());
}
