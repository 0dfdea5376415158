//! Attaching to a process, pausing, copying and resuming it; core files. The only layer that touches another process. It never writes to one.

mod access_errors;
mod attached;
mod available_memory;
mod copy_ahead;
mod copy_source;
pub mod core_file;
mod cpu_quota;
mod frozen_process;
mod gentle;
mod mapped_files;
mod page_choice;
mod page_map;
mod process_info;
mod processor;
mod procfs;
mod ptrace;
mod retry;
mod running;
mod sleep;
mod smaps;
mod stopped;
mod system_call;
mod watchdog;
pub mod watchpoint;
mod write_tracking;

pub use attached::{Estimate, MAX_STOPS, STOP_LIMIT, StopLimits, Target};
pub use frozen_process::{CopyInfo, FileOrigin, FrozenProcess};
pub use gentle::Pauses;
pub use page_choice::PageChoice;
pub use ptrace::without_stops;
pub use sleep::thread_switches;
pub use stopped::StoppedProcess;
pub use watchdog::{end_watchdog, run_watchdog, set_watchdog, watchdog_pid};
