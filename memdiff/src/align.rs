//! Who is who on the two sides: processes matched by what they are, not by their numbers.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use common::log::{Census, Process, Tree};

use crate::measurement::{MeasuredData, Measurements, Origin};

/// The most columns of a role: command lines can have thousands, and a role is repeated for each type.
const MAX_ROLE_CHARS: usize = 120;

/// A process on one side, with all that is known of it there.
#[derive(Debug, Clone)]
pub struct ProcessView<'a> {
    /// Its number; 0 where a log does not tell.
    pub pid: u32,
    /// When it began; 0 where that is not known.
    pub start: u64,
    /// The machine it ran on.
    pub host: &'a str,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its arguments.
    pub cmdline: Option<&'a Arc<str>>,
    /// The root above it, as an index into the same side's actors; its own if it is one.
    pub root: usize,
    /// What memmon measured of it.
    pub process: Option<&'a Process>,
    /// The tree it is the root of.
    pub tree: Option<&'a Tree>,
    /// The objects in it.
    pub census: Option<&'a Census>,
}

/// The processes of a side: of each tree the root first, then those below it, then those known by their objects alone.
#[must_use]
pub fn process_views(side: &Measurements) -> Vec<ProcessView<'_>> {
    let mut views: Vec<ProcessView<'_>> = Vec::new();
    let mut by_pid: HashMap<(&str, u32), usize> = HashMap::new();
    let trees = side.iter().filter_map(|measurement| match &measurement.what {
        MeasuredData::Tree(tree) => Some((&measurement.at, tree)),
        MeasuredData::Census(_) => None,
    });
    for (at, tree) in trees {
        let root = views.len();
        for (index, process) in tree.processes.iter().enumerate() {
            by_pid.insert((&at.host, process.pid), views.len());
            views.push(ProcessView {
                pid: process.pid,
                start: process.start,
                host: &at.host,
                name: &process.name,
                cmdline: process.cmdline.as_ref(),
                root,
                process: Some(process),
                tree: (index == 0).then_some(tree.as_ref()),
                census: None,
            });
        }
    }
    let censuses: Vec<(&Origin, &Census)> = side
        .iter()
        .filter_map(|measurement| match &measurement.what {
            MeasuredData::Census(census) => Some((&measurement.at, census.as_ref())),
            MeasuredData::Tree(_) => None,
        })
        .collect();
    let is_root = |census: &Census| census.root_pid.is_none_or(|root| root == census.pid);
    // The roots first, as those below need to know where they are.
    let (roots, below): (Vec<_>, Vec<_>) = censuses.into_iter().partition(|(_, census)| is_root(census));
    for (at, census) in roots.into_iter().chain(below) {
        let known = by_pid.get(&(at.host.as_ref(), census.pid)).copied();
        let same = known.and_then(|index| views.get_mut(index)).filter(|view| {
            view.census.is_none() && (view.start == census.start || view.start == 0 || census.start == 0)
        });
        if let Some(view) = same {
            view.census = Some(census);
            continue;
        }
        let index = views.len();
        let root = census.root_pid.and_then(|root| by_pid.get(&(at.host.as_ref(), root)).copied());
        by_pid.insert((&at.host, census.pid), index);
        views.push(ProcessView {
            pid: census.pid,
            start: census.start,
            host: &at.host,
            name: &census.name,
            cmdline: census.cmdline.as_ref(),
            root: root.filter(|_| !is_root(census)).unwrap_or(index),
            process: None,
            tree: None,
            census: Some(census),
        });
    }
    views
}

/// The same process on both sides, or one that is on one side only.
#[derive(Debug, Clone)]
pub struct ProcessPair<'a> {
    /// What the two have in common, each once; see [`common::record::ProcessChange::role`].
    pub role: Arc<str>,
    /// Before.
    pub before: Option<ProcessView<'a>>,
    /// After.
    pub after: Option<ProcessView<'a>>,
}

/// Matches the processes of two sides.
///
/// First those of the same number and start on the same machine: they are the same process. Then root with root, by command
/// line, by command line with its numbers passed over, by name, and at last by order. Then those below the same pair of roots, by
/// command line, by command line with its numbers passed over, and, where a command line is not known, by name; several of the same
/// in their order. What is left has no match.
#[must_use]
pub fn match_processes<'a>(
    before: Vec<ProcessView<'a>>,
    after: Vec<ProcessView<'a>>,
) -> Vec<ProcessPair<'a>> {
    let mut matcher = Matcher::new(&before, &after);
    matcher.match_by(|view, _| (view.start != 0).then_some((view.host, view.pid, view.start)));
    let is_root = |view: &ProcessView<'_>, index: usize| view.root == index;
    matcher.match_by(|view, index| is_root(view, index).then(|| view.cmdline.map(Arc::clone)).flatten());
    matcher.match_by(|view, index| {
        is_root(view, index).then(|| view.cmdline.map(|line| mask_digits(line))).flatten()
    });
    matcher.match_by(|view, index| is_root(view, index).then(|| Arc::clone(view.name)));
    matcher.match_by(|view, index| is_root(view, index).then_some(()));
    matcher.assign_families();
    matcher.match_in_family(|view| view.cmdline.map(Arc::clone));
    matcher.match_in_family(|view| view.cmdline.map(|line| mask_digits(line)));
    matcher.match_in_family_by_name();
    let Matcher { partner_of_after, partner_of_before, .. } = matcher;

    let mut earlier: Vec<Option<ProcessView<'a>>> = before.into_iter().map(Some).collect();
    let mut pairs: Vec<ProcessPair<'a>> = Vec::with_capacity(after.len());
    for (view, partner) in after.into_iter().zip(partner_of_after) {
        let before = partner.and_then(|index| earlier.get_mut(index)).and_then(Option::take);
        pairs.push(ProcessPair { role: Arc::from(""), before, after: Some(view) });
    }
    for (view, partner) in earlier.into_iter().zip(partner_of_before) {
        if let (Some(view), None) = (view, partner) {
            pairs.push(ProcessPair { role: Arc::from(""), before: Some(view), after: None });
        }
    }
    assign_roles(&mut pairs);
    pairs
}

struct Matcher<'a, 'b> {
    before: &'b [ProcessView<'a>],
    after: &'b [ProcessView<'a>],
    partner_of_before: Vec<Option<usize>>,
    partner_of_after: Vec<Option<usize>>,
    /// For each actor the number of the pair its root is in: those below the same pair are one family.
    family_of_before: Vec<usize>,
    family_of_after: Vec<usize>,
}

impl<'a, 'b> Matcher<'a, 'b> {
    fn new(before: &'b [ProcessView<'a>], after: &'b [ProcessView<'a>]) -> Self {
        Self {
            before,
            after,
            partner_of_before: vec![None; before.len()],
            partner_of_after: vec![None; after.len()],
            family_of_before: Vec::new(),
            family_of_after: Vec::new(),
        }
    }

    /// Matches those without a partner that have the same key, in their order. `None` takes no part.
    fn match_by<K: Eq + Hash>(&mut self, key: impl Fn(&ProcessView<'a>, usize) -> Option<K>) {
        self.match_by_sides(&key, &key);
    }

    fn match_by_sides<K: Eq + Hash>(
        &mut self,
        key_before: &dyn Fn(&ProcessView<'a>, usize) -> Option<K>,
        key_after: &dyn Fn(&ProcessView<'a>, usize) -> Option<K>,
    ) {
        let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (index, view) in self.before.iter().enumerate() {
            if self.partner_of_before.get(index).is_some_and(Option::is_none)
                && let Some(key) = key_before(view, index)
            {
                waiting.entry(key).or_default().push_back(index);
            }
        }
        for (index, (view, partner)) in self.after.iter().zip(&mut self.partner_of_after).enumerate() {
            if partner.is_none()
                && let Some(key) = key_after(view, index)
                && let Some(earlier) = waiting.get_mut(&key).and_then(VecDeque::pop_front)
            {
                *partner = Some(earlier);
                if let Some(other) = self.partner_of_before.get_mut(earlier) {
                    *other = Some(index);
                }
            }
        }
    }

    /// Numbers the families, once the roots are matched: by the root's index before, or behind all of those by its index after.
    fn assign_families(&mut self) {
        let count = self.before.len();
        let after = |root: usize| {
            self.partner_of_after.get(root).copied().flatten().unwrap_or(count.saturating_add(root))
        };
        self.family_of_after = self.after.iter().map(|view| after(view.root)).collect();
        self.family_of_before = self.before.iter().map(|view| view.root).collect();
    }

    fn match_in_family<K: Eq + Hash>(&mut self, key: impl Fn(&ProcessView<'a>) -> Option<K>) {
        let before = self.family_of_before.clone();
        let after = self.family_of_after.clone();
        let with = |families: &[usize], view: &ProcessView<'a>, index: usize| {
            (view.root != index).then(|| Some((families.get(index).copied()?, key(view)?))).flatten()
        };
        self.match_by_sides(&|view, index| with(&before, view, index), &|view, index| {
            with(&after, view, index)
        });
    }

    /// By name, where the command line of either is not known.
    fn match_in_family_by_name(&mut self) {
        let unknown = |view: &ProcessView<'a>| view.cmdline.is_none().then(|| Arc::clone(view.name));
        let any = |view: &ProcessView<'a>| Some(Arc::clone(view.name));
        let (before, after) = (self.family_of_before.clone(), self.family_of_after.clone());
        let with = |families: &[usize], view: &ProcessView<'a>, index: usize, name: Option<Arc<str>>| {
            (view.root != index).then(|| Some((families.get(index).copied()?, name?))).flatten()
        };
        self.match_by_sides(&|view, index| with(&before, view, index, unknown(view)), &|view, index| {
            with(&after, view, index, any(view))
        });
        self.match_by_sides(&|view, index| with(&before, view, index, any(view)), &|view, index| {
            with(&after, view, index, unknown(view))
        });
    }
}

/// A command line with `#` for each number in it: ports, descriptors and the like differ between runs of the same.
fn mask_digits(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !text.ends_with('#') {
            text.push('#');
        }
    }
    text
}

/// Gives every pair its role: what it is called on the later side, or on the earlier one if it is gone.
fn assign_roles(pairs: &mut [ProcessPair<'_>]) {
    let mut families: Vec<bool> = Vec::with_capacity(pairs.len());
    let is_root = |pair: &ProcessPair<'_>| {
        let view = pair.after.as_ref().or(pair.before.as_ref());
        view.is_some_and(|view| {
            view.process.map_or_else(
                || view.census.is_some_and(|census| census.root_pid.is_none_or(|root| root == census.pid)),
                |_| view.tree.is_some(),
            )
        })
    };
    families.extend(pairs.iter().map(is_root));
    let roots = families.iter().filter(|is_root| **is_root).count();
    let mut used: HashMap<Arc<str>, usize> = HashMap::new();
    for (pair, is_root) in pairs.iter_mut().zip(families) {
        let Some(view) = pair.after.as_ref().or(pair.before.as_ref()) else { continue };
        let line = view.cmdline.filter(|line| !line.is_empty()).unwrap_or(view.name);
        let plain: Arc<str> = match (is_root, roots) {
            (true, 1) => Arc::from("root"),
            (true, _) => format!("root {}", shorten_command(line)).into(),
            (false, _) => shorten_command(line).into(),
        };
        let count = used.entry(Arc::clone(&plain)).or_insert(0);
        *count += 1;
        pair.role = if *count == 1 { plain } else { format!("{plain} #{count}").into() };
    }
}

/// A command line as a role, or part of one: not longer than a role may be.
#[must_use]
pub fn shorten_command(line: &str) -> String {
    shortened(line, MAX_ROLE_CHARS)
}

/// At most `most` characters of a text, with `…` in its middle for what is left out.
fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let end: String = text.chars().skip(count.saturating_sub(tail)).collect();
    format!("{}…{end}", text.chars().take(head).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::testing::{census, measurement, process, tree};

    fn matched(before: &Measurements, after: &Measurements) -> Vec<(String, Option<u32>, Option<u32>)> {
        let pairs = match_processes(process_views(before), process_views(after));
        let pid = |view: &Option<ProcessView<'_>>| view.as_ref().map(|view| view.pid);
        pairs.iter().map(|pair| (pair.role.to_string(), pid(&pair.before), pid(&pair.after))).collect()
    }

    fn one(processes: &[(u32, u64, &str)]) -> Measurements {
        let processes: Vec<Process> =
            processes.iter().map(|&(pid, start, line)| process(pid, start, line, 1)).collect();
        vec![measurement("r", 1, tree(&processes))]
    }

    #[test]
    fn roots_are_matched_whatever_they_are_called_and_children_by_command_line_in_their_order() {
        let before =
            one(&[(1, 1, "bot"), (2, 2, "w --q a"), (3, 3, "w --q b"), (4, 4, "w --q b"), (5, 5, "x")]);
        let after = one(&[(11, 91, "bot2"), (12, 92, "w --q b"), (13, 93, "w --q a"), (14, 94, "y")]);
        assert_eq!(
            matched(&before, &after),
            [
                ("root".into(), Some(1), Some(11)),
                ("w --q b".into(), Some(3), Some(12)),
                ("w --q a".into(), Some(2), Some(13)),
                ("y".into(), None, Some(14)),
                ("w --q b #2".into(), Some(4), None),
                ("x".into(), Some(5), None),
            ]
        );
    }

    #[test]
    fn the_same_process_is_matched_with_itself_though_others_left() {
        let before = one(&[(1, 1, "bot"), (2, 2, "w"), (3, 3, "w"), (4, 4, "w")]);
        let after = one(&[(1, 1, "bot"), (3, 3, "w"), (4, 4, "w"), (9, 9, "w")]);
        assert_eq!(
            matched(&before, &after),
            [
                ("root".into(), Some(1), Some(1)),
                ("w".into(), Some(3), Some(3)),
                ("w #2".into(), Some(4), Some(4)),
                ("w #3".into(), Some(2), Some(9)),
            ]
        );
        // The same number with another start is another process, of another role.
        let reused = one(&[(1, 1, "bot"), (2, 7, "other")]);
        assert_eq!(
            matched(&one(&[(1, 1, "bot"), (2, 2, "w")]), &reused)[1..],
            [("other".to_owned(), None, Some(2)), ("w".to_owned(), Some(2), None)]
        );
    }

    #[test]
    fn numbers_in_command_lines_may_differ_and_names_serve_where_lines_are_unknown() {
        let before = one(&[(1, 1, "bot"), (2, 2, "python -c spawn(fd=5, pipe=7)"), (3, 3, "")]);
        let mut after =
            one(&[(11, 91, "bot"), (12, 92, "python -c spawn(fd=11, pipe=9)"), (13, 93, "sh -c x")]);
        let MeasuredData::Tree(tree) = &mut after[0].what else { panic!() };
        Arc::get_mut(tree).unwrap().processes[2].name = "".into();
        let pids: Vec<_> = matched(&before, &after).into_iter().map(|(_, a, b)| (a, b)).collect();
        assert_eq!(pids, [(Some(1), Some(11)), (Some(2), Some(12)), (Some(3), Some(13))]);
    }

    #[test]
    fn children_stay_in_their_family() {
        let two = |pids: [u32; 4], start: u64| -> Measurements {
            let root = |pid, line: &str| process(pid, start + u64::from(pid), line, 1);
            let below = |pid| process(pid, start + u64::from(pid), "w", 1);
            vec![
                measurement("r", 1, tree(&[root(pids[0], "a"), below(pids[1])])),
                measurement("r", 1, tree(&[root(pids[2], "b"), below(pids[3])])),
            ]
        };
        let (before, mut after) = (two([1, 2, 3, 4], 0), two([11, 12, 13, 14], 100));
        after.reverse();
        assert_eq!(
            matched(&before, &after),
            [
                ("root b".into(), Some(3), Some(13)),
                ("w".into(), Some(4), Some(14)),
                ("root a".into(), Some(1), Some(11)),
                ("w #2".into(), Some(2), Some(12)),
            ]
        );
    }

    #[test]
    fn objects_belong_to_their_process() {
        let mut side = one(&[(1, 10, "python3 bot.py"), (2, 2, "w")]);
        side.push(measurement("m", 1, MeasuredData::Census(Arc::new(census(&[("dict", 1, 1)], false)))));
        let views = process_views(&side);
        assert_eq!(views.len(), 2);
        assert!(views[0].census.is_some() && views[1].census.is_none());
        let mut child = census(&[("dict", 1, 1)], false);
        (child.pid, child.start, child.root_pid) = (7, 7, Some(1));
        let alone = vec![
            measurement("m", 1, MeasuredData::Census(Arc::new(child))),
            measurement("m", 1, MeasuredData::Census(Arc::new(census(&[], false)))),
        ];
        let roles: Vec<String> = matched(&alone, &alone).into_iter().map(|(role, ..)| role).collect();
        assert_eq!(roles, ["root", "python3 bot.py"]);
    }

    #[test]
    fn long_command_lines_are_cut_in_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("名前名前名前", 3), "名…前");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(mask_digits("a12b3c"), "a#b#c");
    }
}
