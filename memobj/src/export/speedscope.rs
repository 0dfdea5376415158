//! The profile of speedscope.
//!
//! Facts: `src/lib/file-format-spec.ts` of jlfwong/speedscope, from which its JSON schema is made.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::stacks::{Stack, Stacks, make_bounded};
use crate::holders::heap_tree::HeapTree;

/// Writes the tree of holders: a profile of the bytes, and one of the objects.
pub(super) fn write(tree: &HeapTree<'_, '_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &make_bounded(tree, file, |_| true))?;
    writeln!(out)
}

fn file(stacks: &Stacks) -> Value {
    let frames = stacks.frames.iter().map(|frame| json!({"name": frame.name, "file": frame.kind()}));
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("memobj ", env!("CARGO_PKG_VERSION")),
        "name": "Python objects by holder",
        "activeProfileIndex": 0,
        "shared": {"frames": frames.collect::<Value>()},
        "profiles": [
            profile(stacks, "bytes", "bytes", |stack| stack.size_bytes),
            profile(stacks, "objects", "none", |stack| stack.count),
        ],
    })
}

/// A profile of one value of the stacks, whose frames are numbered from the module on.
fn profile(stacks: &Stacks, name: &str, unit: &str, value: impl Fn(&Stack) -> u64) -> Value {
    let total = stacks.list.iter().fold(0_u64, |sum, stack| sum.saturating_add(value(stack)));
    json!({
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": total,
        "samples": stacks.list.iter().map(|stack| json!(stack.frames)).collect::<Value>(),
        "weights": stacks.list.iter().map(value).collect::<Value>(),
    })
}
