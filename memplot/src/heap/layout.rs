//! Places the blocks of an icicle: the whole at the top, its parts below, as wide as their bytes.

use super::Block;

/// The heights that a level may have, in pixels: for one line of text, and for two with some space.
const LEAST_ROW: f64 = 21.0;
const GREATEST_ROW: f64 = 42.0;
/// A block narrower than this is not drawn: it would be less than the line around it.
const NARROWEST: f64 = 1.0;

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    /// Left end.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// A block at its place.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    /// The block.
    pub block: &'a Block,
    /// Its place.
    pub area: Area,
    /// The height at its top that its parts leave free for a name.
    pub label_height: f64,
    /// The number of its colour.
    pub hue: Option<usize>,
    /// The names from the whole to it.
    pub path: String,
}

impl<'a> Placed<'a> {
    /// Places a block that is directly below `above`.
    pub(super) fn new(block: &'a Block, area: Area, label_height: f64, above: Option<&Self>) -> Self {
        let hue = block.hue(above.and_then(|above| above.hue));
        let path =
            above.map_or_else(|| block.name.clone(), |above| format!("{} → {}", above.path, block.label));
        Self { block, area, label_height, hue, path }
    }
}

/// Places the blocks, each before those below it. Also returns the number of those for which the area is not high enough.
pub(super) fn icicle(root: &Block, area: Area) -> (Vec<Placed<'_>>, usize) {
    let scale = area.width / root.width().max(1) as f64;
    let row = area.height / levels(root, scale, area.height / LEAST_ROW).max(1.0);
    let mut icicle = Icicle {
        scale,
        row: row.clamp(LEAST_ROW, GREATEST_ROW),
        bottom: area.y + area.height,
        placed: Vec::new(),
        too_deep: 0,
    };
    icicle.place(root, (area.x, area.y), None);
    (icicle.placed, icicle.too_deep)
}

/// The number of levels that are drawn, at most about `most`.
fn levels(block: &Block, scale: f64, most: f64) -> f64 {
    if block.width() as f64 * scale < NARROWEST || most <= 0.0 {
        return 0.0;
    }
    1.0 + block.parts.iter().map(|part| levels(part, scale, most - 1.0)).fold(0.0, f64::max)
}

struct Icicle<'a> {
    /// Pixels of a byte.
    scale: f64,
    /// The height of a level.
    row: f64,
    bottom: f64,
    placed: Vec<Placed<'a>>,
    too_deep: usize,
}

impl<'a> Icicle<'a> {
    fn place(&mut self, block: &'a Block, (x, y): (f64, f64), above: Option<&Placed<'a>>) {
        let width = block.width() as f64 * self.scale;
        if width < NARROWEST {
            return;
        }
        // Rounding must not cost the last level.
        if y + self.row > self.bottom + 0.01 {
            self.too_deep = self.too_deep.saturating_add(1);
            return;
        }
        let placed = Placed::new(block, Area { x, y, width, height: self.row }, self.row, above);
        self.placed.push(placed.clone());
        let mut at = x;
        for part in &block.parts {
            self.place(part, (at, y + self.row), Some(&placed));
            at += part.width() as f64 * self.scale;
        }
    }
}
