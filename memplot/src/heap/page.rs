//! Renders the heap as a page: icicle or treemap, click to go into a block, search, bytes or objects.

use common::stdio::escape_controls;
use serde::Serialize;

use super::{Amount, Block, BlockKind, Form, HeapFigure};
use crate::cli::Theme;
use crate::figure::PART_SEPARATOR;
use crate::html::{Page, for_script, page};

/// A block of the page, in a list in which each comes before those below it.
#[derive(Serialize)]
struct BlockData {
    depth: usize,
    kind: BlockKind,
    name: String,
    label: String,
    now: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<usize>,
}

#[derive(Serialize)]
struct PageData {
    form: Form,
    difference: bool,
    blocks: Vec<BlockData>,
}

/// Renders the page, below a report whose elements are given. The result depends on the arguments only.
#[must_use]
pub fn render(report: &str, figure: &HeapFigure, theme: Theme) -> String {
    let mut blocks = Vec::new();
    collect(&figure.root, 0, None, &mut blocks);
    let data = PageData { form: figure.form, difference: figure.is_difference, blocks };
    // Strings and integers can always be written.
    let json = serde_json::to_string(&data).unwrap_or_default();
    page(&Page {
        title: &figure.title,
        subtitle: &figure.subtitle.join(PART_SEPARATOR),
        theme,
        report,
        body: include_str!("heap.html"),
        scripts: &[include_str!("treemap.js"), include_str!("heap.js")],
        css: concat!(include_str!("../html/page.css"), include_str!("heap.css")),
        data: &for_script(&json),
    })
}

fn collect(block: &Block, depth: usize, colour: Option<usize>, blocks: &mut Vec<BlockData>) {
    let colour = block.hue(colour);
    let text = |text: &str| escape_controls(text).into_owned();
    let (name, label) = (text(&block.name), text(&block.label));
    blocks.push(BlockData {
        depth,
        kind: block.kind,
        name,
        label,
        now: block.now,
        before: block.before,
        colour,
    });
    block.parts.iter().for_each(|part| collect(part, depth + 1, colour, blocks));
}
