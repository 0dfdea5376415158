//! Types of `--why` of which no census of a run found objects.

use std::collections::BTreeMap;

use common::cli::Failure;

use crate::census::Census;
use crate::names::similar::near;

/// The types of `--why` of which no census found objects so far. They may come later, or be in another process.
#[derive(Debug, Default)]
pub(super) struct MissingTypes {
    /// By name: whether objects were found, and else names that are like it.
    requested: BTreeMap<String, Option<Vec<String>>>,
}

impl MissingTypes {
    /// The types `requested`, each of them not found yet.
    pub(super) fn new(requested: &[String]) -> Self {
        Self { requested: requested.iter().map(|name| (name.clone(), Some(Vec::new()))).collect() }
    }

    /// Notes which of the types a census found.
    pub(super) fn note(&mut self, census: &Census) {
        let Some(held) = &census.held else { return };
        for (name, similar) in &mut self.requested {
            let missing = held.missing_types.iter().find(|missing| missing.name == *name);
            match (missing, similar.as_mut()) {
                (None, _) => *similar = None,
                (Some(missing), Some(similar)) => {
                    similar.extend(missing.similar.iter().cloned());
                    similar.sort_unstable();
                    similar.dedup();
                }
                (Some(_), None) => {}
            }
        }
    }

    /// The failure of a run that found no objects of some type.
    pub(super) fn failure(&self) -> Option<Failure> {
        let missing: Vec<String> = self
            .requested
            .iter()
            .filter_map(|(name, similar)| {
                Some(format!("no objects of a type named '{name}'{}", near(similar.as_ref()?)))
            })
            .collect();
        (!missing.is_empty()).then(|| {
            Failure::new(
                missing.join("; "),
                "memobj --scope heap -p PID lists all types; a name needs no module",
            )
        })
    }
}
