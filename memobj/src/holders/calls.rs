//! The order in which paths begin at running and suspended functions.
//!
//! A function works on what its callers keep, and a census finds it at work or not. So callers come first: the outer frames of a thread,
//! then coroutines and generators, those that others wait for last, and then what these have called.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::graph::NodeId;
use crate::object_graph::ObjectGraph;

/// References from a suspended function to one that it waits for: a frame object until 3.10, an iterator of `await`, a task.
const MAX_STEPS: usize = 4;
/// References from a frame to a generator that it runs through: `enumerate` and the like.
const MAX_STEPS_OF_FRAME: usize = 2;
/// Objects on the way to a function that is waited for have few references.
const MAX_REFERENCES: usize = 16;
/// Objects that are looked at in each step.
const MAX_OBJECTS: usize = 128;

/// The group of a call, in the order in which paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CallGroup {
    /// A function that no coroutine or generator has called.
    Outer,
    /// A coroutine, generator or greenlet.
    Suspended,
    /// What one of those has called.
    Inner,
}

/// The place of a call in the order: its group, and the number of calls around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallOrder(CallGroup, usize);

/// Calls, outer ones first.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<CallOrder, Vec<NodeId>>);

impl Calls {
    pub fn add(&mut self, order: CallOrder, node: NodeId) {
        self.0.entry(order).or_default().push(node);
    }

    /// The calls of each order.
    pub fn groups(&self) -> impl Iterator<Item = &[NodeId]> {
        self.0.values().map(Vec::as_slice)
    }
}

/// Numbers the frames of threads, of each thread the outermost first.
#[derive(Debug, Default)]
pub(super) struct FrameOrders {
    next: HashMap<usize, CallOrder>,
    /// By the node of a frame.
    found: HashMap<NodeId, CallOrder>,
}

impl FrameOrders {
    /// The order of the next frame of a thread. `is_suspendable` is whether it is the frame of a coroutine or generator.
    pub fn add(&mut self, thread: usize, frame: NodeId, is_suspendable: bool) -> CallOrder {
        let next = self.next.entry(thread).or_insert(CallOrder(CallGroup::Outer, 0));
        match (next.0, is_suspendable) {
            (CallGroup::Outer, true) => *next = CallOrder(CallGroup::Suspended, 0),
            (CallGroup::Suspended, false) => next.0 = CallGroup::Inner,
            _ => {}
        }
        let order = *next;
        next.1 = next.1.saturating_add(1);
        self.found.insert(frame, order);
        order
    }
}

/// The order of each suspended function of `suspended`.
pub(super) fn order_suspended(
    graph: &ObjectGraph<'_>,
    suspended: &[NodeId],
    frames: &FrameOrders,
) -> Vec<CallOrder> {
    if suspended.is_empty() {
        return Vec::new();
    }
    let all: HashSet<NodeId> = suspended.iter().copied().collect();
    let mut waits = Vec::new();
    let coroutines = suspended.iter().map(|&node| (node, None, MAX_STEPS));
    let running = frames.found.iter().map(|(&node, &order)| (node, Some(order), MAX_STEPS_OF_FRAME));
    for (from, order, steps) in coroutines.chain(running) {
        let found = find_awaited(graph, from, steps, &all);
        waits.extend(found.into_iter().map(|(step, to)| (step, order, from, to)));
    }
    // The nearest counts: over its future, a function also leads to the one that waits for it. Of several frames, the outermost.
    waits.sort_unstable();
    let mut awaited_by: HashMap<NodeId, NodeId> = HashMap::new();
    for (_, _, from, to) in waits {
        let mut awaiters = std::iter::successors(Some(&from), |node| awaited_by.get(node));
        if !awaited_by.contains_key(&to) && awaiters.all(|&node| node != to) {
            awaited_by.insert(to, from);
        }
    }
    let order = |&node: &NodeId| {
        let awaiters = std::iter::successors(awaited_by.get(&node), |node| awaited_by.get(node));
        let (count, last) =
            awaiters.fold((0_usize, node), |(count, _), &node| (count.saturating_add(1), node));
        // The outermost of those that wait may be a frame.
        let outermost = frames.found.get(&last).copied();
        let CallOrder(group, depth) = outermost.unwrap_or(CallOrder(CallGroup::Suspended, 0));
        CallOrder(group, depth.saturating_add(count))
    };
    suspended.iter().map(order).collect()
}

/// Those of `all` that a function waits for, or holds close at hand, with the number of references on the way.
fn find_awaited(
    graph: &ObjectGraph<'_>,
    from: NodeId,
    steps: usize,
    all: &HashSet<NodeId>,
) -> Vec<(usize, NodeId)> {
    let mut found = Vec::new();
    let mut front = vec![from];
    for step in 0..steps {
        let mut next = Vec::new();
        for &node in &front {
            let targets = graph.references().targets(node);
            if node != from && targets.len() > MAX_REFERENCES {
                continue;
            }
            for &to in targets {
                if to != from && all.contains(&to) {
                    found.push((step, to));
                } else if next.len() < MAX_OBJECTS {
                    next.push(to);
                }
            }
        }
        front = next;
    }
    found
}
