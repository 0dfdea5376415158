//! The words of a verdict on leaks: the answer, the evidence, the holder, and advice.
//!
//! ```
//! use common::record::LeaksRecord;
//! use common::verdict::{Level, sentences};
//!
//! let record = LeaksRecord { python: "3.13.0".into(), ..LeaksRecord::default() };
//! let first = sentences(&record).remove(0);
//! assert_eq!((first.level, first.label.as_str()), (Level::Headline, "no verdict"));
//! ```

mod advice;
mod code_lines;
mod descriptors;
mod leaks;
mod memory;
mod processes;
mod sentence;
mod short_forms;

pub use code_lines::call_chain;
pub use leaks::sentences;
pub use memory::{describe, memory_use};
pub use processes::{bytes_per_minute, of_processes};
pub use sentence::{HELD, Level, Sentence};
pub use short_forms::{last_part, span};
