//! The sentence on file descriptors that are opened and not closed.

use crate::columns::Tone;
use crate::record::{DescriptorGrowth, LeaksRecord};
use crate::units::thousands;

use super::sentence::Sentence;

/// The growth that is worth a sentence.
const MIN_GROWTH: u64 = 4;

/// By how much the number of open file descriptors grew, unless the leaks of objects explain all of it.
pub(super) fn descriptor_growth(record: &LeaksRecord) -> Option<Sentence> {
    let DescriptorGrowth { first_count, last_count, first_object_count, last_object_count } = record.fds?;
    let grown = last_count.checked_sub(first_count).filter(|&grown| grown >= MIN_GROWTH)?;
    let of_objects = last_object_count.saturating_sub(first_object_count).min(grown);
    let explained = record.leaks.iter().fold(0_u64, |sum, leak| sum.saturating_add(leak.added_fds));
    let others = grown.saturating_sub(of_objects);
    if others < MIN_GROWTH && explained.saturating_add(MIN_GROWTH) > grown {
        return None;
    }
    let mut text = format!("grew from {} to {}", thousands(first_count), thousands(last_count));
    if others >= MIN_GROWTH {
        text.push_str(&format!(
            "; no Python object owns {} of the new ones: ls -l /proc/{}/fd shows what they are",
            thousands(others),
            record.pid
        ));
    } else {
        text.push_str("; memobj --holders shows who has them");
    }
    Some(Sentence::headline("file descriptors", Tone::Warning, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(first_count: u64, last_count: u64, last_object_count: u64) -> LeaksRecord {
        let fds = DescriptorGrowth { first_count, last_count, first_object_count: 2, last_object_count };
        LeaksRecord { pid: 4711, fds: Some(fds), ..LeaksRecord::default() }
    }

    #[test]
    fn growth_beside_leaks_has_a_sentence() {
        let text = |record: &LeaksRecord| descriptor_growth(record).map(|sentence| sentence.text);
        assert_eq!(text(&record(10, 13, 2)), None, "too little");
        let unowned = text(&record(10, 1100, 2)).unwrap();
        assert!(unowned.starts_with("grew from 10 to 1,100;"), "{unowned}");
        assert!(unowned.contains("no Python object owns 1,090 of the new ones"), "{unowned}");
        assert!(unowned.contains("/proc/4711/fd"), "{unowned}");
        let owned = text(&record(10, 60, 52)).unwrap();
        assert!(owned.ends_with("memobj --holders shows who has them"), "{owned}");
        assert_eq!(text(&LeaksRecord::default()), None, "unknown");
    }
}
