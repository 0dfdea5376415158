//! A sample of objects of fixed size, by which two censuses of a log find the surviving ones.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use common::record::{Fingerprints, ObjectSample};

use super::Holders;

/// Types, and holders, with a sample: those with most bytes.
const MAX_SAMPLES: usize = 48;

/// Samples the objects of the types and holders with most bytes; types of one name share a sample.
pub fn sample_objects(holders: &Holders<'_>) -> Vec<ObjectSample> {
    let graph = holders.graph();
    let mut of_types = Sampler::new(graph.types().iter().map(|counted| {
        let heap = counted.counts.heap;
        (counted.ty.name().into(), heap.objects, heap.bytes)
    }));
    let places = holders.holder_totals().into_iter().zip(holders.places());
    let mut of_holders =
        Sampler::new(places.map(|(total, place)| (Arc::clone(&place.text), total.objects, total.bytes)));
    graph.each_object(|node, at| {
        let kind = graph.type_index(node).0 as usize;
        let Some(of) = graph.types().get(kind) else { return };
        let mark = Fingerprints::fingerprint(at.0, of.ty.at.0);
        of_types.insert(kind, mark);
        if let Some(place) = holders.holder(node) {
            of_holders.insert(place.0 as usize, mark);
        }
    });
    of_types.into_samples("type").chain(of_holders.into_samples("holder")).collect()
}

/// The samples of one list of names.
#[derive(Debug)]
struct Sampler {
    /// By number in the list: the sample; `None` without one.
    slots: Vec<Option<usize>>,
    samples: Vec<(Arc<str>, Fingerprints)>,
}

impl Sampler {
    /// Prepares samples for a list of names, each with its number of objects and their bytes.
    fn new(list: impl Iterator<Item = (Arc<str>, u64, u64)>) -> Self {
        let list: Vec<_> = list.collect();
        let mut bytes: HashMap<&Arc<str>, u64> = HashMap::new();
        for (name, _, size) in list.iter().filter(|(_, objects, _)| *objects > 0) {
            let sum = bytes.entry(name).or_default();
            *sum = sum.saturating_add(*size);
        }
        let mut largest: Vec<_> = bytes.into_iter().collect();
        largest.sort_unstable_by_key(|&(name, bytes)| (Reverse(bytes), name));
        largest.truncate(MAX_SAMPLES);
        let slots: HashMap<_, _> =
            largest.iter().enumerate().map(|(slot, &(name, _))| (Arc::clone(name), slot)).collect();
        Self {
            samples: largest.iter().map(|&(name, _)| (Arc::clone(name), Fingerprints::default())).collect(),
            slots: list.iter().map(|(name, ..)| slots.get(name).copied()).collect(),
        }
    }

    fn insert(&mut self, number: usize, mark: u32) {
        let slot = self.slots.get(number).copied().flatten();
        if let Some((_, marks)) = slot.and_then(|slot| self.samples.get_mut(slot)) {
            marks.insert(mark);
        }
    }

    fn into_samples(self, kind: &'static str) -> impl Iterator<Item = ObjectSample> {
        self.samples.into_iter().map(move |(name, fingerprints)| ObjectSample {
            kind: kind.into(),
            name,
            fingerprints,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_name_shares_one_sample() {
        let row = |name: &str, bytes| (Arc::from(name), 1, bytes);
        let small = (0..MAX_SAMPLES as u64).map(|n| row(&format!("small{n:02}"), 10 + n));
        let list = [row("dict", 500), row("Plugin", 6), row("Plugin", 600), (Arc::from("gone"), 0, 9000)];
        let mut sampled = Sampler::new(list.into_iter().chain(small));
        for (number, mark) in [(0, 7), (1, 9), (2, 8), (2, 9), (3, 1), (4, 2), (6, 3), (1 << 20, 4)] {
            sampled.insert(number, mark);
        }
        let found: Vec<ObjectSample> = sampled.into_samples("type").collect();
        assert_eq!(found.len(), MAX_SAMPLES);
        let of = |name: &str| {
            found
                .iter()
                .find(|sample| &*sample.name == name)
                .map(|s| s.fingerprints.iter().collect::<Vec<_>>())
        };
        assert_eq!((of("dict"), of("Plugin")), (Some(vec![7]), Some(vec![8, 9])));
        assert_eq!((of("gone"), of("small00"), of("small02")), (None, None, Some(vec![3])));
    }
}
