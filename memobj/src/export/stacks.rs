//! The tree of holders as stacks: the way from a module to a node, and the objects of the node that are in none below.

use std::collections::HashMap;
use std::sync::Arc;

use common::record::{HeapNode, HeapNodeKind, Omitted};

use crate::holders::heap_tree::HeapTree;

/// The most stacks of a file. Pyroscope took no more samples in 2023 (its issue 2157); it took 1,000 frames, and the tree has fewer levels.
const MAX_STACKS: usize = 4000;

/// The frame of nodes that are too small to be in the file.
const SMALLER: &str = "(smaller parts)";

/// A part of a way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    /// The kind of its node; `None` for nodes that are summed up.
    pub kind: Option<HeapNodeKind>,
    /// The name of its node.
    pub name: Arc<str>,
}

impl Frame {
    /// Its kind in a file.
    pub fn kind(&self) -> String {
        self.kind.map_or_else(|| "omitted".to_owned(), |kind| kind.to_string())
    }
}

/// A way, with the objects at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    /// Numbers of frames, the module first.
    pub frames: Vec<usize>,
    /// The number of the objects.
    pub count: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

/// All objects: each in one stack.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    /// Frames by number.
    pub frames: Vec<Frame>,
    /// The stacks; those that begin alike are neighbours.
    pub list: Vec<Stack>,
    /// The nodes that are summed up.
    pub omitted: Omitted,
}

/// Makes a file of the largest nodes for which it `fits`.
pub(super) fn make_bounded<T>(
    tree: &HeapTree<'_, '_>,
    make: impl Fn(&Stacks) -> T,
    fits: impl Fn(&T) -> bool,
) -> T {
    let mut nodes = MAX_STACKS;
    loop {
        let stacks = Stacks::new(&tree.largest(nodes));
        let made = make(&stacks);
        if nodes <= 1 || stacks.list.len() <= MAX_STACKS && fits(&made) {
            return made;
        }
        nodes = nodes * 3 / 4;
    }
}

/// A node whose nodes below are not all read.
#[derive(Debug)]
struct Open {
    depth: u32,
    /// What is in no node below so far.
    count: u64,
    size_bytes: u64,
    omitted: Omitted,
}

impl Stacks {
    /// Makes them of the rows of a tree.
    fn new(tree: &[HeapNode]) -> Self {
        let mut builder = Builder::default();
        for node in tree {
            builder.close(node.depth);
            builder.open(node);
        }
        builder.close(0);
        builder.stacks
    }
}

#[derive(Debug, Default)]
struct Builder {
    stacks: Stacks,
    numbers: HashMap<Frame, usize>,
    open: Vec<Open>,
    /// The frames of the open nodes.
    path: Vec<usize>,
}

impl Builder {
    fn number(&mut self, kind: Option<HeapNodeKind>, name: Arc<str>) -> usize {
        let frame = Frame { kind, name };
        let frames = &mut self.stacks.frames;
        *self.numbers.entry(frame).or_insert_with_key(|frame| {
            frames.push(frame.clone());
            frames.len().saturating_sub(1)
        })
    }

    fn open(&mut self, node: &HeapNode) {
        if let Some(above) = self.open.last_mut() {
            above.count = above.count.saturating_sub(node.count);
            above.size_bytes = above.size_bytes.saturating_sub(node.size_bytes);
        }
        let omitted = node.omitted.unwrap_or_default();
        let &HeapNode { depth, count, size_bytes, .. } = node;
        let count = count.saturating_sub(omitted.count);
        self.open.push(Open {
            depth,
            count,
            size_bytes: size_bytes.saturating_sub(omitted.size_bytes),
            omitted,
        });
        let frame = self.number(Some(node.kind), Arc::clone(&node.name));
        self.path.push(frame);
    }

    /// Ends the nodes from a depth on.
    fn close(&mut self, depth: u32) {
        while let Some(node) = self.open.pop_if(|node| node.depth >= depth) {
            let Open { count, size_bytes, omitted, .. } = node;
            self.add(self.path.clone(), count, size_bytes);
            if omitted.count > 0 {
                let frame = self.number(None, SMALLER.into());
                self.add([&*self.path, &[frame]].concat(), omitted.count, omitted.size_bytes);
                let sum = &mut self.stacks.omitted;
                sum.rows = sum.rows.saturating_add(omitted.rows);
                sum.count = sum.count.saturating_add(omitted.count);
                sum.size_bytes = sum.size_bytes.saturating_add(omitted.size_bytes);
            }
            self.path.pop();
        }
    }

    /// Adds a stack, unless it is empty. The heap is no frame of its parts: every reader shows a root of its own.
    fn add(&mut self, mut frames: Vec<usize>, count: u64, size_bytes: u64) {
        if count == 0 && size_bytes == 0 {
            return;
        }
        if frames.len() > 1 {
            frames.remove(0);
        }
        self.stacks.list.push(Stack { frames, count, size_bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(depth: u32, kind: HeapNodeKind, name: &str, [count, size_bytes]: [u64; 2]) -> HeapNode {
        HeapNode { depth, kind, name: name.into(), count, size_bytes, omitted: None }
    }

    /// The stacks as text, with their values.
    fn stacks(tree: &[HeapNode]) -> Vec<(String, u64, u64)> {
        let stacks = Stacks::new(tree);
        let name = |&number: &usize| &*stacks.frames[number].name;
        let text = |stack: &Stack| stack.frames.iter().map(name).collect::<Vec<_>>().join("/");
        stacks.list.iter().map(|stack| (text(stack), stack.count, stack.size_bytes)).collect()
    }

    #[test]
    fn each_object_is_in_one_stack() {
        let omitted = Some(Omitted { rows: 2, count: 3, size_bytes: 30 });
        let tree = [
            HeapNode { omitted, ..node(0, HeapNodeKind::Heap, "all", [100, 1000]) },
            node(1, HeapNodeKind::Module, "app", [90, 900]),
            HeapNode { omitted, ..node(2, HeapNodeKind::Type, "dict", [80, 700]) },
            node(3, HeapNodeKind::Type, "str", [50, 500]),
            node(2, HeapNodeKind::Type, "str", [10, 200]),
            node(1, HeapNodeKind::Module, "json", [6, 60]),
        ];
        let expected = [
            ("app/dict/str", 50, 500),
            ("app/dict", 27, 170),
            ("app/dict/(smaller parts)", 3, 30),
            ("app/str", 10, 200),
            ("json", 6, 60),
            ("all", 1, 10),
            ("(smaller parts)", 3, 30),
        ];
        assert_eq!(stacks(&tree), expected.map(|(text, count, bytes)| (text.to_owned(), count, bytes)));
        let sum = Stacks::new(&tree).omitted;
        assert_eq!((sum.rows, sum.count, sum.size_bytes), (4, 6, 60));
    }

    #[test]
    fn empty_heap_has_no_stack() {
        assert_eq!(stacks(&[]), []);
        assert_eq!(stacks(&[node(0, HeapNodeKind::Heap, "all", [0, 0])]), []);
    }
}
