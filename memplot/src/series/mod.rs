//! Makes a [`Figure`](crate::figure::Figure) from the moments of a log.

mod buffer;
mod build;
mod collector;
mod events;
mod extract;
mod groups;
mod headline;
mod log_summary;
mod marks;
mod names;
mod request;
mod track;
mod trend;
mod verdicts;
mod view;
mod window;

pub use collector::Collector;
pub use names::{log_name, process_name};
pub use request::PlotRequest;
pub use window::TimeWindow;
