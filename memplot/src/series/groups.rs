//! Many small or equal processes of one command as one series: `task.py ×47`.

use std::collections::{BTreeMap, BTreeSet};

/// A process with a smaller part of the whole area is small, and a line with a smaller part of the highest one.
pub const SMALL: f64 = 0.02;
/// In a picture with too many processes, those with at most this many times the median area of their command are alike.
const ALIKE: f64 = 1.5;
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

/// Small or equal processes with the same name.
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

/// The groups of small processes, largest area first. `whole` is the area of all processes. If there are more processes than series,
/// processes of a command with similar areas form a group too, and a larger one has its own series.
pub fn groups(members: &[Member], whole: f64, is_crowded: bool) -> Vec<Group> {
    let mut areas: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for member in members.iter().filter(|_| is_crowded) {
        areas.entry(&member.name).or_default().push(member.area);
    }
    let alike: BTreeMap<&str, f64> =
        areas.into_iter().filter_map(|(name, areas)| Some((name, median(areas)? * ALIKE))).collect();
    let is_alike = |member: &Member| alike.get(&*member.name).is_some_and(|limit| member.area <= *limit);
    let mut by_name: BTreeMap<&str, Group> = BTreeMap::new();
    for member in members.iter().filter(|member| member.area < whole * SMALL || is_alike(member)) {
        let empty = || Group { name: member.name.clone(), ended: true, ..Group::default() };
        let group = by_name.entry(&member.name).or_insert_with(empty);
        group.ids.insert(member.id);
        group.area += member.area;
        group.ended &= member.ended;
    }
    let mut groups: Vec<Group> =
        by_name.into_values().filter(|group| group.ids.len() >= LEAST_MEMBERS).collect();
    groups.sort_by(|a, b| b.area.total_cmp(&a.area));
    groups
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u32, name: &str, area: f64) -> Member {
        Member { id, name: name.to_owned(), area, ended: id != 3 }
    }

    #[test]
    fn small_processes_of_a_command_are_one() {
        let tasks = (0..5).map(|id| member(id, "task", 1.0));
        let others = [member(10, "worker", 100.0), member(11, "worker", 100.0), member(12, "worker", 100.0)];
        let pair = [member(20, "cron", 1.0), member(21, "cron", 1.0)];
        let all: Vec<Member> = tasks.chain(others).chain(pair).collect();
        let found = groups(&all, 307.0, false);
        let [group] = &found[..] else { panic!("{found:?}") };
        assert_eq!((group.label().as_str(), group.area, group.ended), ("task ×5", 5.0, false));
        assert_eq!(group.ids.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn equal_processes_are_one_if_there_are_many() {
        let workers = (10..30).map(|id| member(id, "worker", 100.0 + f64::from(id)));
        let pair = [member(40, "cron", 90.0), member(41, "cron", 90.0)];
        let all: Vec<Member> = workers.chain([member(5, "worker", 400.0)]).chain(pair).collect();
        let whole = all.iter().map(|one| one.area).sum();
        assert_eq!(groups(&all, whole, false), []);
        let found = groups(&all, whole, true);
        let [group] = &found[..] else { panic!("{found:?}") };
        assert_eq!(group.label(), "worker ×20", "the one that grew has its own series");
        assert!(!group.ids.contains(&5));
    }
}
