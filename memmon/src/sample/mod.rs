//! One tick: reads the processes and turns the readings into records.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | parts | `budget`, `round_robin`, `pending_processes`, `watched_process` | time budgets, the order of readings, what is known of each process |
//! | state | `sampler` | [`Sampler`]: which processes are watched; starts and exits |
//! | tick | `readings`, `records` | readings within their budgets; `process` records |

mod budget;
mod pending_processes;
mod readings;
mod records;
mod round_robin;
mod sampler;
mod watched_process;

pub use sampler::{Sampler, SamplerOptions};

use std::io;
use std::time::{Duration, Instant};

use common::record::Record;
use common::time::Tick;

impl Sampler {
    /// Takes a sample. Returns the events before it, a `process` record for each living root, then OOM kills. Only the processes that the
    /// first sample finds have their events behind it, because the first line of a log is to be a sample: `memmon … | head -1`.
    ///
    /// # Errors
    /// Processes cannot be listed.
    pub fn sample(&mut self, tick: &Tick) -> io::Result<Vec<Record>> {
        let begin = Instant::now();
        let elapsed = self.begin_tick(begin).unwrap_or(Duration::ZERO);
        let mut records = self.read_kernel_events();
        self.add_new_processes(begin, &mut records)?;
        self.read_sizes(&mut records);
        self.read_details(elapsed, &mut records);
        self.read_pss(elapsed);
        self.add_process_records(tick, begin, &mut records);
        records.sort_by_key(is_found_at_start);
        self.forget_stale_exits();
        self.iteration += 1;
        Ok(records)
    }
}

fn is_found_at_start(record: &Record) -> bool {
    matches!(record, Record::ProcessEvent(event) if event.at_start == Some(true))
}
