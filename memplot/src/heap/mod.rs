//! The picture of one moment: who holds the heap, as an icicle or a treemap, and the difference of two.

mod blocks;
mod collect;
mod layout;
mod page;
mod picture;
mod text;
mod treemap;

pub use collect::HeapCollector;
pub use page::render as render_page;
pub use picture::render as render_svg;
pub use text::render as render_text;

use crate::colour::preferred;

/// The form of the picture. Serialised for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The whole at the top, its parts below, as wide as their bytes.
    Icicle,
    /// The parts inside the whole, with areas as large as their bytes.
    Treemap,
}

/// The picture independent of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapFigure {
    /// The form to draw; a page begins with it.
    pub form: Form,
    /// The quantity, and the process that it is from.
    pub title: String,
    /// The parts of the subtitle.
    pub subtitle: Vec<String>,
    /// Whether it shows a change: all nodes have `before`.
    pub is_difference: bool,
    /// The whole.
    pub root: Block,
}

/// The kind of a block. Serialised for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockKind {
    /// All resident memory, or all objects.
    Whole,
    /// A module, or a group of objects without one.
    Module,
    /// A variable or attribute.
    Holder,
    /// Objects of a type.
    Type,
    /// Resident memory that is not Python's objects.
    Rest,
    /// Blocks that the record leaves out, as one.
    Omitted,
}

/// An amount of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Objects; 0 for memory that is not objects.
    pub objects: u64,
}

/// A part of the memory, and the parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its kind.
    pub kind: BlockKind,
    /// The full name.
    pub name: String,
    /// The name without the part that a block above has.
    pub label: String,
    /// What it holds, with all parts.
    pub now: Amount,
    /// What it held at the earlier moment of a difference.
    pub before: Option<Amount>,
    /// Its parts, the widest first.
    pub parts: Vec<Block>,
}

impl Block {
    /// The bytes that it is drawn with: its own bytes, the larger of both moments, and the width of its parts.
    #[must_use]
    pub fn width(&self) -> u64 {
        let sum = |amount: fn(&Self) -> u64| self.parts.iter().map(amount).fold(0_u64, u64::saturating_add);
        let now = self.now.bytes.saturating_sub(sum(|part| part.now.bytes));
        let before = self.before.unwrap_or_default().bytes;
        let before = before.saturating_sub(sum(|part| part.before.unwrap_or_default().bytes));
        now.max(before).saturating_add(sum(Self::width))
    }

    /// The number of its colour: its module's, which parts have from the block `above`.
    #[must_use]
    pub fn hue(&self, above: Option<usize>) -> Option<usize> {
        above.or_else(|| (self.kind == BlockKind::Module).then(|| preferred(&self.name)))
    }

    /// The change of its bytes in a difference.
    #[must_use]
    pub fn change(&self) -> Option<i128> {
        self.before.map(|before| i128::from(self.now.bytes) - i128::from(before.bytes))
    }
}
