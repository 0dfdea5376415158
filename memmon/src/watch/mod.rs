//! One screen, redrawn: the watched trees with bars and history.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | `glyphs`, `theme`, `keys`, `columns` | values as cells, colours, bytes as keys, room as columns |
//! | state | `process`, `tree`, `news`, `model` | what the records said, bounded, and freed when a process is gone |
//! | picture | `head`, `table`, `picture` | state and a size → cells; only rows in view are built |
//! | edge | `terminal` | [`Screen`]: the terminal, taken and given back |
//!
//! Everything above the edge is plain data in and out, and is tested without a terminal.

mod columns;
mod glyphs;
mod head;
mod keys;
mod model;
mod news;
mod picture;
mod process;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod theme;
mod tree;

pub use terminal::Screen;

/// What a key asks of the run loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To end.
    Quit,
}
