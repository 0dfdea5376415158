//! Places the blocks of a treemap: parts inside their block, below its name, with areas in proportion to their bytes.

use super::Block;
use super::layout::{Area, Placed};

/// The height of a block's name above its parts, in pixels.
const NAME: f64 = 17.0;
/// The space between a block and its parts.
const BORDER: f64 = 3.0;
/// The least width and height inside a block in which its parts are drawn: smaller ones would be a pattern.
const LEAST: (f64, f64) = (56.0, 18.0);
/// A block with a side shorter than this is not drawn: it would be a line.
const NARROWEST: f64 = 1.2;

/// Places the blocks, each before its parts.
pub(super) fn treemap(root: &Block, area: Area) -> Vec<Placed<'_>> {
    let mut placed = Vec::new();
    place(root, area, None, &mut placed);
    placed
}

fn place<'a>(block: &'a Block, area: Area, above: Option<&Placed<'a>>, all: &mut Vec<Placed<'a>>) {
    if area.width.min(area.height) < NARROWEST {
        return;
    }
    let inside = Area {
        x: area.x + BORDER,
        y: area.y + NAME,
        width: area.width - 2.0 * BORDER,
        height: area.height - NAME - BORDER,
    };
    let has_room = inside.width >= LEAST.0 && inside.height >= LEAST.1;
    let is_open = has_room && !block.parts.is_empty();
    let placed = Placed::new(block, area, if is_open { NAME } else { area.height }, above);
    all.push(placed.clone());
    if !is_open {
        return;
    }
    let mut sizes: Vec<f64> = block.parts.iter().map(|part| part.width() as f64).collect();
    // What belongs to no part keeps its area, at the end.
    sizes.push((block.width() as f64 - sizes.iter().sum::<f64>()).max(0.0));
    for (part, area) in block.parts.iter().zip(squarify(&sizes, inside)) {
        place(part, area, Some(&placed), all);
    }
}

/// Divides an area into one of each size, as near to squares as it can: the algorithm of Bruls, Huizing and van Wijk,
/// *Squarified Treemaps* (2000). It fills rows along the shorter side; a size joins the row as long as that makes its worst
/// rectangle no longer.
fn squarify(sizes: &[f64], mut area: Area) -> Vec<Area> {
    let mut areas = Vec::with_capacity(sizes.len());
    let mut rest = sizes;
    while !rest.is_empty() {
        let total: f64 = rest.iter().sum();
        let scale = if total > 0.0 { area.width * area.height / total } else { 0.0 };
        let side = area.width.min(area.height);
        let (mut length, mut sum, mut worst) = (0, 0.0, f64::INFINITY);
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for size in rest.iter().map(|size| size * scale) {
            (least, most) = (least.min(size), most.max(size));
            let longer = sum + size;
            let ratio = (side * side * most / (longer * longer)).max(longer * longer / (side * side * least));
            if length > 0 && (ratio > worst || ratio.is_nan()) {
                break;
            }
            (length, sum, worst) = (length + 1, longer, ratio);
        }
        let (row, others) = rest.split_at(length);
        let thickness = if side > 0.0 { sum / side } else { 0.0 };
        let mut along = 0.0;
        for size in row {
            let long = if thickness > 0.0 { size * scale / thickness } else { 0.0 };
            areas.push(if area.width >= area.height {
                Area { x: area.x, y: area.y + along, width: thickness, height: long }
            } else {
                Area { x: area.x + along, y: area.y, width: long, height: thickness }
            });
            along += long;
        }
        if area.width >= area.height {
            (area.x, area.width) = (area.x + thickness, (area.width - thickness).max(0.0));
        } else {
            (area.y, area.height) = (area.y + thickness, (area.height - thickness).max(0.0));
        }
        rest = others;
    }
    areas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AREA: Area = Area { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };

    #[test]
    fn areas_are_those_of_the_paper() {
        let area = Area { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };
        let areas = squarify(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], area);
        let corners: Vec<(f64, f64)> = areas.iter().map(|area| (area.width, area.height)).collect();
        let expected =
            [(3.0, 2.0), (3.0, 2.0), (12.0 / 7.0, 7.0 / 3.0), (9.0 / 7.0, 7.0 / 3.0), (1.2, 5.0 / 3.0)];
        for ((wide, high), (width, height)) in corners.iter().zip(expected) {
            assert!((wide - width).abs() < 1e-9 && (high - height).abs() < 1e-9, "{corners:?}");
        }
    }

    #[test]
    fn equal_sizes_are_nearly_square() {
        for area in squarify(&[1.0; 24], AREA) {
            assert!((area.width / area.height - 1.0).abs() < 0.2, "{area:?}");
        }
    }

    proptest! {
        #[test]
        fn areas_are_proportional_and_apart(sizes in proptest::collection::vec(0_u32..1_000_000, 1..60)) {
            let sizes: Vec<f64> = sizes.into_iter().map(f64::from).collect();
            let total: f64 = sizes.iter().sum();
            let areas = squarify(&sizes, AREA);
            prop_assert_eq!(areas.len(), sizes.len());
            for (at, (area, size)) in areas.iter().zip(&sizes).enumerate() {
                prop_assert!(area.x >= AREA.x - 1e-6 && area.x + area.width <= AREA.x + AREA.width + 1e-6);
                prop_assert!(area.y >= AREA.y - 1e-6 && area.y + area.height <= AREA.y + AREA.height + 1e-6);
                if total > 0.0 {
                    let expected = size / total * AREA.width * AREA.height;
                    prop_assert!((area.width * area.height - expected).abs() < 1e-3, "{area:?} for {expected}");
                }
                for other in areas.iter().skip(at + 1) {
                    let wide = (area.x + area.width).min(other.x + other.width) - area.x.max(other.x);
                    let high = (area.y + area.height).min(other.y + other.height) - area.y.max(other.y);
                    prop_assert!(wide < 1e-6 || high < 1e-6, "{area:?} and {other:?}");
                }
            }
        }
    }
}
