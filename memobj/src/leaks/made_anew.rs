//! Growth of what a program makes anew from the old one and a little more: `self.history = concat([self.history, new])`.
//!
//! No container is added to: at each time another, larger one takes the place of the one before. What a person looks for is the attribute
//! that is assigned, and not the inside of the object.

use common::record::GrowthMode;
use memobj_cpython::heap::builtins::{Builtin, Content, Growth};

use super::find::{Candidate, LeakFinder};
use super::growth_roots::are_enough;
use crate::graph::NodeId;

/// Objects around a container that were made with it.
const MAX_DEPTH: usize = 8;

impl LeakFinder<'_, '_> {
    /// Names a leak by the outermost object that was made anew with its container, if it was.
    pub(super) fn name_made_anew(&self, candidate: &mut Candidate) {
        let leak = &candidate.leak;
        let is_raw = leak.growth_mode == GrowthMode::Enlarged && leak.entries_per_minute.is_none();
        let container = candidate.container.filter(|&node| self.is_made_anew(node, is_raw));
        let Some(outermost) = container.map(|node| self.outermost_made_with(node)) else { return };
        let Some(place) = self.holders.holder(outermost).and_then(|id| self.holders.place(id)) else {
            return;
        };
        candidate.leak.holder = (*place.text).into();
        candidate.leak.is_made_anew = true;
        candidate.container = Some(outermost);
    }

    /// Whether a container is newer than the program was in the middle of the search, and than much of what it holds. Raw data holds nothing,
    /// and two objects of it may take turns at two addresses: it is new if it is not from the first census.
    fn is_made_anew(&self, node: NodeId, is_raw: bool) -> bool {
        let graph = self.holders.graph();
        let made = self.generations.first_seen(node);
        if graph.address(node).is_none() {
            return false;
        }
        let kind = graph.type_of(node).and_then(|of| of.kind);
        let holds =
            kind.is_some_and(|kind| kind.growth() != Growth::Fixed && kind.content() != Content::Value);
        let held = || graph.references().targets(node).iter().filter(|&&to| graph.address(to).is_some());
        let older = || held().filter(|&&to| self.generations.first_seen(to) < made).count();
        if holds {
            made.saturating_mul(2) >= self.generations.current() && are_enough(older(), held().count())
        } else {
            is_raw && made > 0
        }
    }

    /// The outermost of the objects that lead to a container and are as new as it is.
    fn outermost_made_with(&self, container: NodeId) -> NodeId {
        let graph = self.holders.graph();
        let made = self.generations.first_seen(container);
        let before = |&node: &NodeId| {
            let before = self.holders.paths().parent(node)?;
            let is_made_with = graph.address(before).is_some() && self.generations.first_seen(before) >= made;
            // A function that runs is not made anew: it makes.
            let is_code = graph.type_of(before).and_then(|of| of.kind).is_some_and(|kind| {
                matches!(
                    kind,
                    Builtin::Frame | Builtin::Coroutine | Builtin::Generator | Builtin::AsyncGenerator
                )
            });
            (is_made_with && !is_code).then_some(before)
        };
        std::iter::successors(Some(container), before).take(MAX_DEPTH).last().unwrap_or(container)
    }
}
