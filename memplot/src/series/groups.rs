//! Many small processes of one command as one series: `task.py ×47`.

use std::collections::{BTreeMap, BTreeSet};

/// A process with a smaller part of the whole area is small, and a line with a smaller part of the highest one.
pub const SMALL: f64 = 0.02;
/// Fewer small processes of a command, or small lines, have series of their own.
pub const LEAST_MEMBERS: usize = 3;

/// A process that may be in a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The number of its series.
    pub id: u32,
    /// Its short name.
    pub name: String,
    /// Its size over time.
    pub area: f64,
    /// Whether it ended.
    pub ended: bool,
}

/// Small processes with the same name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Their name.
    pub name: String,
    /// The numbers of their series.
    pub ids: BTreeSet<u32>,
    /// The sum of their areas.
    pub area: f64,
    /// Whether all of them ended.
    pub ended: bool,
}

impl Group {
    /// The name with the number of processes.
    pub fn label(&self) -> String {
        format!("{} ×{}", self.name, self.ids.len())
    }
}

/// The groups of small processes, largest area first. `whole` is the area of all processes.
pub fn groups(members: impl Iterator<Item = Member>, whole: f64) -> Vec<Group> {
    let mut by_name: BTreeMap<String, Group> = BTreeMap::new();
    for member in members.filter(|member| member.area < whole * SMALL) {
        let empty = || Group { name: member.name.clone(), ended: true, ..Group::default() };
        let group = by_name.entry(member.name.clone()).or_insert_with(empty);
        group.ids.insert(member.id);
        group.area += member.area;
        group.ended &= member.ended;
    }
    let mut groups: Vec<Group> =
        by_name.into_values().filter(|group| group.ids.len() >= LEAST_MEMBERS).collect();
    groups.sort_by(|a, b| b.area.total_cmp(&a.area));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_processes_of_a_command_are_one() {
        let member = |id, name: &str, area| Member { id, name: name.to_owned(), area, ended: id != 3 };
        let tasks = (0..5).map(|id| member(id, "task", 1.0));
        let others = [member(10, "worker", 100.0), member(11, "worker", 100.0), member(12, "worker", 100.0)];
        let pair = [member(20, "cron", 1.0), member(21, "cron", 1.0)];
        let found = groups(tasks.chain(others).chain(pair), 307.0);
        let [group] = &found[..] else { panic!("{found:?}") };
        assert_eq!((group.label().as_str(), group.area, group.ended), ("task ×5", 5.0, false));
        assert_eq!(group.ids.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
