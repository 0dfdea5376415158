//! Who is who on the two sides: processes matched by what they are, not by their numbers.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use common::log::{Census, Process, Tree};

use crate::side::{At, Measured, Side};

/// The most columns of a role: command lines can have thousands, and a role is repeated for each type.
const ROLE_COLUMNS: usize = 120;

/// A process on one side, with all that is known of it there.
#[derive(Debug, Clone)]
pub struct Actor<'a> {
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
pub fn actors(side: &Side) -> Vec<Actor<'_>> {
    let mut actors: Vec<Actor<'_>> = Vec::new();
    let mut by_pid: HashMap<(&str, u32), usize> = HashMap::new();
    let trees = side.iter().filter_map(|seen| match &seen.what {
        Measured::Tree(tree) => Some((&seen.at, tree)),
        Measured::Census(_) => None,
    });
    for (at, tree) in trees {
        let root = actors.len();
        for (index, process) in tree.processes.iter().enumerate() {
            by_pid.insert((&at.host, process.pid), actors.len());
            actors.push(Actor {
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
    let censuses: Vec<(&At, &Census)> = side
        .iter()
        .filter_map(|seen| match &seen.what {
            Measured::Census(census) => Some((&seen.at, census.as_ref())),
            Measured::Tree(_) => None,
        })
        .collect();
    let is_root = |census: &Census| census.root_pid.is_none_or(|root| root == census.pid);
    // The roots first, as those below need to know where they are.
    let (roots, below): (Vec<_>, Vec<_>) = censuses.into_iter().partition(|(_, census)| is_root(census));
    for (at, census) in roots.into_iter().chain(below) {
        let known = by_pid.get(&(at.host.as_ref(), census.pid)).copied();
        let same = known.and_then(|index| actors.get_mut(index)).filter(|actor| {
            actor.census.is_none() && (actor.start == census.start || actor.start == 0 || census.start == 0)
        });
        if let Some(actor) = same {
            actor.census = Some(census);
            continue;
        }
        let index = actors.len();
        let root = census.root_pid.and_then(|root| by_pid.get(&(at.host.as_ref(), root)).copied());
        by_pid.insert((&at.host, census.pid), index);
        actors.push(Actor {
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
    actors
}

/// The same process on both sides, or one that is on one side only.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    /// What the two have in common, each once; see [`common::record::ProcessChange::role`].
    pub role: Arc<str>,
    /// Before.
    pub before: Option<Actor<'a>>,
    /// After.
    pub after: Option<Actor<'a>>,
}

/// Matches the processes of two sides.
///
/// First those of the same number and start on the same machine: they are the same process. Then root with root, by command
/// line, by command line with its numbers passed over, by name, and at last by order. Then those below the same pair of roots, by
/// command line, by command line with its numbers passed over, and, where a command line is not known, by name; several of the same
/// in their order. What is left has no match.
#[must_use]
pub fn pairs<'a>(before: Vec<Actor<'a>>, after: Vec<Actor<'a>>) -> Vec<Pair<'a>> {
    let mut matching = Matching::new(&before, &after);
    matching.by(|actor, _| (actor.start != 0).then_some((actor.host, actor.pid, actor.start)));
    let is_root = |actor: &Actor<'_>, index: usize| actor.root == index;
    matching.by(|actor, index| is_root(actor, index).then(|| actor.cmdline.map(Arc::clone)).flatten());
    matching.by(|actor, index| {
        is_root(actor, index).then(|| actor.cmdline.map(|line| numberless(line))).flatten()
    });
    matching.by(|actor, index| is_root(actor, index).then(|| Arc::clone(actor.name)));
    matching.by(|actor, index| is_root(actor, index).then_some(()));
    matching.name_roots();
    matching.by_family(|actor| actor.cmdline.map(Arc::clone));
    matching.by_family(|actor| actor.cmdline.map(|line| numberless(line)));
    matching.by_family_names();
    let Matching { partner_of_after, partner_of_before, .. } = matching;

    let mut earlier: Vec<Option<Actor<'a>>> = before.into_iter().map(Some).collect();
    let mut pairs: Vec<Pair<'a>> = Vec::with_capacity(after.len());
    for (actor, partner) in after.into_iter().zip(partner_of_after) {
        let before = partner.and_then(|index| earlier.get_mut(index)).and_then(Option::take);
        pairs.push(Pair { role: Arc::from(""), before, after: Some(actor) });
    }
    for (actor, partner) in earlier.into_iter().zip(partner_of_before) {
        if let (Some(actor), None) = (actor, partner) {
            pairs.push(Pair { role: Arc::from(""), before: Some(actor), after: None });
        }
    }
    name_roles(&mut pairs);
    pairs
}

struct Matching<'a, 'b> {
    before: &'b [Actor<'a>],
    after: &'b [Actor<'a>],
    partner_of_before: Vec<Option<usize>>,
    partner_of_after: Vec<Option<usize>>,
    /// For each actor the number of the pair its root is in: those below the same pair are one family.
    family_of_before: Vec<usize>,
    family_of_after: Vec<usize>,
}

impl<'a, 'b> Matching<'a, 'b> {
    fn new(before: &'b [Actor<'a>], after: &'b [Actor<'a>]) -> Self {
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
    fn by<K: Eq + Hash>(&mut self, key: impl Fn(&Actor<'a>, usize) -> Option<K>) {
        self.by_side(&key, &key);
    }

    fn by_side<K: Eq + Hash>(
        &mut self,
        key_before: &dyn Fn(&Actor<'a>, usize) -> Option<K>,
        key_after: &dyn Fn(&Actor<'a>, usize) -> Option<K>,
    ) {
        let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (index, actor) in self.before.iter().enumerate() {
            if self.partner_of_before.get(index).is_some_and(Option::is_none)
                && let Some(key) = key_before(actor, index)
            {
                waiting.entry(key).or_default().push_back(index);
            }
        }
        for (index, (actor, partner)) in self.after.iter().zip(&mut self.partner_of_after).enumerate() {
            if partner.is_none()
                && let Some(key) = key_after(actor, index)
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
    fn name_roots(&mut self) {
        let count = self.before.len();
        let after = |root: usize| {
            self.partner_of_after.get(root).copied().flatten().unwrap_or(count.saturating_add(root))
        };
        self.family_of_after = self.after.iter().map(|actor| after(actor.root)).collect();
        self.family_of_before = self.before.iter().map(|actor| actor.root).collect();
    }

    fn by_family<K: Eq + Hash>(&mut self, key: impl Fn(&Actor<'a>) -> Option<K>) {
        let before = self.family_of_before.clone();
        let after = self.family_of_after.clone();
        let with = |families: &[usize], actor: &Actor<'a>, index: usize| {
            (actor.root != index).then(|| Some((families.get(index).copied()?, key(actor)?))).flatten()
        };
        self.by_side(&|actor, index| with(&before, actor, index), &|actor, index| with(&after, actor, index));
    }

    /// By name, where the command line of either is not known.
    fn by_family_names(&mut self) {
        let unknown = |actor: &Actor<'a>| actor.cmdline.is_none().then(|| Arc::clone(actor.name));
        let any = |actor: &Actor<'a>| Some(Arc::clone(actor.name));
        let (before, after) = (self.family_of_before.clone(), self.family_of_after.clone());
        let with = |families: &[usize], actor: &Actor<'a>, index: usize, name: Option<Arc<str>>| {
            (actor.root != index).then(|| Some((families.get(index).copied()?, name?))).flatten()
        };
        self.by_side(&|actor, index| with(&before, actor, index, unknown(actor)), &|actor, index| {
            with(&after, actor, index, any(actor))
        });
        self.by_side(&|actor, index| with(&before, actor, index, any(actor)), &|actor, index| {
            with(&after, actor, index, unknown(actor))
        });
    }
}

/// A command line with `#` for each number in it: ports, descriptors and the like differ between runs of the same.
fn numberless(line: &str) -> String {
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
fn name_roles(pairs: &mut [Pair<'_>]) {
    let mut families: Vec<bool> = Vec::with_capacity(pairs.len());
    let is_root = |pair: &Pair<'_>| {
        let actor = pair.after.as_ref().or(pair.before.as_ref());
        actor.is_some_and(|actor| {
            actor.process.map_or_else(
                || actor.census.is_some_and(|census| census.root_pid.is_none_or(|root| root == census.pid)),
                |_| actor.tree.is_some(),
            )
        })
    };
    families.extend(pairs.iter().map(is_root));
    let roots = families.iter().filter(|is_root| **is_root).count();
    let mut used: HashMap<Arc<str>, usize> = HashMap::new();
    for (pair, is_root) in pairs.iter_mut().zip(families) {
        let Some(actor) = pair.after.as_ref().or(pair.before.as_ref()) else { continue };
        let line = actor.cmdline.filter(|line| !line.is_empty()).unwrap_or(actor.name);
        let plain: Arc<str> = match (is_root, roots) {
            (true, 1) => Arc::from("root"),
            (true, _) => format!("root {}", short(line)).into(),
            (false, _) => short(line).into(),
        };
        let count = used.entry(Arc::clone(&plain)).or_insert(0);
        *count += 1;
        pair.role = if *count == 1 { plain } else { format!("{plain} #{count}").into() };
    }
}

/// A command line as a role, or part of one: not longer than a role may be.
#[must_use]
pub fn short(line: &str) -> String {
    shortened(line, ROLE_COLUMNS)
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
    use crate::side::testing::{census, process, seen, tree};

    fn matched(before: &Side, after: &Side) -> Vec<(String, Option<u32>, Option<u32>)> {
        let pairs = pairs(actors(before), actors(after));
        let pid = |actor: &Option<Actor<'_>>| actor.as_ref().map(|actor| actor.pid);
        pairs.iter().map(|pair| (pair.role.to_string(), pid(&pair.before), pid(&pair.after))).collect()
    }

    fn one(processes: &[(u32, u64, &str)]) -> Side {
        let processes: Vec<Process> =
            processes.iter().map(|&(pid, start, line)| process(pid, start, line, 1)).collect();
        vec![seen("r", 1, tree(&processes))]
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
        let Measured::Tree(tree) = &mut after[0].what else { panic!() };
        Arc::get_mut(tree).unwrap().processes[2].name = "".into();
        let pids: Vec<_> = matched(&before, &after).into_iter().map(|(_, a, b)| (a, b)).collect();
        assert_eq!(pids, [(Some(1), Some(11)), (Some(2), Some(12)), (Some(3), Some(13))]);
    }

    #[test]
    fn children_stay_in_their_family() {
        let two = |pids: [u32; 4], start: u64| -> Side {
            let root = |pid, line: &str| process(pid, start + u64::from(pid), line, 1);
            let below = |pid| process(pid, start + u64::from(pid), "w", 1);
            vec![
                seen("r", 1, tree(&[root(pids[0], "a"), below(pids[1])])),
                seen("r", 1, tree(&[root(pids[2], "b"), below(pids[3])])),
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
        side.push(seen("m", 1, Measured::Census(Arc::new(census(&[("dict", 1, 1)], false)))));
        let actors_found = actors(&side);
        assert_eq!(actors_found.len(), 2);
        assert!(actors_found[0].census.is_some() && actors_found[1].census.is_none());
        let mut child = census(&[("dict", 1, 1)], false);
        (child.pid, child.start, child.root_pid) = (7, 7, Some(1));
        let alone = vec![
            seen("m", 1, Measured::Census(Arc::new(child))),
            seen("m", 1, Measured::Census(Arc::new(census(&[], false)))),
        ];
        let roles: Vec<String> = matched(&alone, &alone).into_iter().map(|(role, ..)| role).collect();
        assert_eq!(roles, ["root", "python3 bot.py"]);
    }

    #[test]
    fn long_command_lines_are_cut_in_their_middle() {
        assert_eq!(shortened("abcdefghij", 5), "ab…ij");
        assert_eq!(shortened("名前名前名前", 3), "名…前");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(numberless("a12b3c"), "a#b#c");
    }
}
