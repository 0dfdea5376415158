//! One screen that is redrawn: the watched trees with bars and history.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | cells | `glyphs`, `theme`, `keys`, `columns` | values as cells, colours, bytes as keys, widths of columns |
//! | state | `recent`, `process_state`, `tree_state`, `event_log`, `model` | what the records said, bounded, and freed when a process is gone |
//! | view | `header`, `process_table`, `screen` | state and a size → cells; only visible rows are built |
//! | edge | `terminal` | [`TerminalScreen`]: the terminal, acquired and restored |
//!
//! Everything above the edge is plain data, and is tested without a terminal.

mod columns;
mod event_log;
mod glyphs;
mod header;
mod keys;
mod model;
mod process_state;
mod process_table;
mod recent;
mod screen;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod theme;
mod tree_state;

pub use terminal::TerminalScreen;
