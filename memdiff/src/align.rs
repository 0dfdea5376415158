//! Matches the processes of two moments by their role, not by their pid.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use common::log::{Census, Process, Tree};

use crate::measurement::Measurement;

/// The most characters of a role. Command lines can be very long, and the role is repeated for each type.
const MAX_ROLE_CHARS: usize = 120;

/// All that is known of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub struct ProcessView<'a> {
    /// Its pid; 0 if unknown.
    pub pid: u32,
    /// Its start; 0 if unknown.
    pub start: u64,
    /// The machine.
    pub host: &'a str,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its command line.
    pub cmdline: Option<&'a Arc<str>>,
    /// The index of the root above it in the same list; its own for a root.
    pub root: usize,
    /// The measurement of the process.
    pub process: Option<&'a Process>,
    /// The tree below it, if it is a root.
    pub tree: Option<&'a Tree>,
    /// Its objects.
    pub census: Option<&'a Census>,
}

impl ProcessView<'_> {
    fn is_root(&self) -> bool {
        self.tree.is_some() || self.process.is_none() && self.census.is_some_and(is_root)
    }
}

fn is_root(census: &Census) -> bool {
    census.root_pid.is_none_or(|root| root == census.pid)
}

/// The processes of the measurements of one moment. Those of trees come first, root before children; then those with a census alone.
pub fn process_views(measurements: &[Measurement]) -> Vec<ProcessView<'_>> {
    let mut views: Vec<ProcessView<'_>> = Vec::new();
    let mut by_pid: HashMap<(&str, u32), usize> = HashMap::new();
    for (host, tree) in measurements.iter().filter_map(|m| Some((&*m.origin.host, m.tree()?))) {
        let root = views.len();
        for (index, process) in tree.processes.iter().enumerate() {
            by_pid.insert((host, process.pid), views.len());
            views.push(ProcessView {
                pid: process.pid,
                start: process.start,
                host,
                name: &process.name,
                cmdline: process.cmdline.as_ref(),
                root,
                process: Some(process),
                tree: (index == 0).then_some(tree),
                census: None,
            });
        }
    }
    let censuses = measurements.iter().filter_map(|m| Some((&*m.origin.host, m.census()?)));
    // Roots first: children refer to them.
    let (roots, children): (Vec<_>, Vec<_>) = censuses.partition(|(_, census)| is_root(census));
    for (host, census) in roots.into_iter().chain(children) {
        let known = by_pid.get(&(host, census.pid)).and_then(|index| views.get_mut(*index));
        let same = known.filter(|view| {
            view.census.is_none() && (view.start == census.start || view.start == 0 || census.start == 0)
        });
        if let Some(view) = same {
            view.census = Some(census);
            continue;
        }
        let index = views.len();
        let root = census.root_pid.filter(|_| !is_root(census));
        let root = root.and_then(|root| by_pid.get(&(host, root)).copied());
        by_pid.insert((host, census.pid), index);
        views.push(ProcessView {
            pid: census.pid,
            start: census.start,
            host,
            name: &census.name,
            cmdline: census.cmdline.as_ref(),
            root: root.unwrap_or(index),
            process: None,
            tree: None,
            census: Some(census),
        });
    }
    views
}

/// A process at both moments, or at one of them.
#[derive(Debug, Clone)]
pub struct ProcessPair<'a> {
    /// The unique name of the pair; see [`common::record::ProcessChange::role`].
    pub role: Arc<str>,
    /// The process at the earlier moment.
    pub before: Option<ProcessView<'a>>,
    /// The process at the later moment.
    pub after: Option<ProcessView<'a>>,
}

impl<'a> ProcessPair<'a> {
    /// A part of both views, if both have it.
    pub fn both<T>(&self, part: impl Fn(&ProcessView<'a>) -> Option<T>) -> Option<(T, T)> {
        Some((part(self.before.as_ref()?)?, part(self.after.as_ref()?)?))
    }

    /// The later view, or the earlier one of a process that is gone.
    fn latest(&self) -> Option<&ProcessView<'a>> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// A text of a process by which it is matched; `None` if it has none.
type MatchText = fn(&ProcessView<'_>) -> Option<Arc<str>>;

/// Matches the processes of two moments.
///
/// 1. The same pid and start on the same machine.
/// 2. Roots, by command line, by command line without its numbers, by name, by order.
/// 3. Children of matched roots, by command line, by command line without its numbers, and by name if one of the command lines is unknown.
///
/// Several with the same text are matched in their order.
pub fn match_processes<'a>(before: &[ProcessView<'a>], after: &[ProcessView<'a>]) -> Vec<ProcessPair<'a>> {
    let cmdline: MatchText = |view| view.cmdline.cloned();
    let masked: MatchText = |view| view.cmdline.map(|line| mask_digits(line).into());
    let name: MatchText = |view| Some(Arc::clone(view.name));
    let name_alone: MatchText = |view| view.cmdline.is_none().then(|| Arc::clone(view.name));
    let order: MatchText = |_| Some("".into());

    let (mut earlier, mut later) = (MatchSide::new(before), MatchSide::new(after));
    let identity = |view: &ProcessView<'a>, _| (view.start != 0).then_some((view.host, view.pid, view.start));
    match_equal_keys(&mut earlier, &mut later, identity, identity);
    for text in [cmdline, masked, name, order] {
        let key = |view: &ProcessView<'a>, index| (view.root == index).then(|| text(view)).flatten();
        match_equal_keys(&mut earlier, &mut later, key, key);
    }
    // Children of matched roots are one family. Its number is the index of the root before, or an index behind all of those.
    let family = |root: usize| {
        later.partners.get(root).copied().flatten().unwrap_or_else(|| before.len().saturating_add(root))
    };
    let families: Vec<usize> = after.iter().map(|view| family(view.root)).collect();
    for (text, later_text) in [(cmdline, cmdline), (masked, masked), (name_alone, name), (name, name_alone)] {
        let key = |view: &ProcessView<'a>, index| {
            (view.root != index).then(|| Some((view.root, text(view)?))).flatten()
        };
        let later_key = |view: &ProcessView<'a>, index| {
            (view.root != index).then(|| Some((*families.get(index)?, later_text(view)?))).flatten()
        };
        match_equal_keys(&mut earlier, &mut later, key, later_key);
    }

    let matched = after.iter().zip(&later.partners).map(|(view, partner)| ProcessPair {
        role: "".into(),
        before: partner.and_then(|index| before.get(index)).copied(),
        after: Some(*view),
    });
    let gone = before.iter().zip(&earlier.partners).filter(|(_, partner)| partner.is_none());
    let gone = gone.map(|(view, _)| ProcessPair { role: "".into(), before: Some(*view), after: None });
    let mut pairs: Vec<ProcessPair<'a>> = matched.chain(gone).collect();
    assign_roles(&mut pairs);
    pairs
}

/// The processes of one moment, and the index of the partner of each.
struct MatchSide<'a, 'b> {
    views: &'b [ProcessView<'a>],
    partners: Vec<Option<usize>>,
}

impl<'a, 'b> MatchSide<'a, 'b> {
    fn new(views: &'b [ProcessView<'a>]) -> Self {
        Self { views, partners: vec![None; views.len()] }
    }

    /// The processes without a partner that have a key.
    fn unmatched<K>(&self, key: impl Fn(&ProcessView<'a>, usize) -> Option<K>) -> Vec<(usize, K)> {
        let all = self.views.iter().zip(&self.partners).enumerate();
        let unmatched = all.filter(|(_, (_, partner))| partner.is_none());
        unmatched.filter_map(|(index, (view, _))| Some((index, key(view, index)?))).collect()
    }

    fn set_partner(&mut self, index: usize, partner: usize) {
        if let Some(slot) = self.partners.get_mut(index) {
            *slot = Some(partner);
        }
    }
}

/// Makes partners of the processes without one that have equal keys, in their order.
fn match_equal_keys<'a, K: Eq + Hash>(
    before: &mut MatchSide<'a, '_>,
    after: &mut MatchSide<'a, '_>,
    key_before: impl Fn(&ProcessView<'a>, usize) -> Option<K>,
    key_after: impl Fn(&ProcessView<'a>, usize) -> Option<K>,
) {
    let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
    for (index, key) in before.unmatched(key_before) {
        waiting.entry(key).or_default().push_back(index);
    }
    for (index, key) in after.unmatched(key_after) {
        if let Some(partner) = waiting.get_mut(&key).and_then(VecDeque::pop_front) {
            after.set_partner(index, partner);
            before.set_partner(partner, index);
        }
    }
}

/// A command line with `#` for each number: ports and file descriptors differ between runs.
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

/// Names each pair by its command line, the root `root` if there is one only, and numbers equal names.
fn assign_roles(pairs: &mut [ProcessPair<'_>]) {
    let roots = pairs.iter().filter(|pair| pair.latest().is_some_and(ProcessView::is_root)).count();
    let mut used: HashMap<Arc<str>, usize> = HashMap::new();
    for pair in pairs {
        let Some(view) = pair.latest() else { continue };
        let line = shorten_command(view.cmdline.filter(|line| !line.is_empty()).unwrap_or(view.name));
        let plain: Arc<str> = match (view.is_root(), roots) {
            (true, 1) => "root".into(),
            (true, _) => format!("root {line}").into(),
            (false, _) => line.into(),
        };
        let count = used.entry(Arc::clone(&plain)).or_insert(0);
        *count += 1;
        pair.role = if *count == 1 { plain } else { format!("{plain} #{count}").into() };
    }
}

/// A command line without the folder of its program, cut in the middle to the length of a role.
pub fn shorten_command(line: &str) -> String {
    shorten(without_folder(line), MAX_ROLE_CHARS)
}

/// A command line from the name of its program on: the same program may be in another folder in another run.
fn without_folder(line: &str) -> &str {
    let (program, _) = line.split_once(' ').unwrap_or((line, ""));
    let name = program.rfind('/').and_then(|at| line.get(at + 1..));
    let is_path = program.starts_with(['/', '.']) && !program.ends_with('/');
    name.filter(|_| is_path).unwrap_or(line)
}

/// At most `most` characters of a text, with `…` in its middle for those left out. Counts characters, as characters without width have no bound.
fn shorten(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let start: String = text.chars().take(kept.div_ceil(2)).collect();
    let end: String = text.chars().skip(count.saturating_sub(kept / 2)).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::MeasuredData;
    use crate::measurement::testing::{census, measurement, process, tree};

    fn matched(before: &[Measurement], after: &[Measurement]) -> Vec<(String, Option<u32>, Option<u32>)> {
        let pairs = match_processes(&process_views(before), &process_views(after));
        let pid = |view: &Option<ProcessView<'_>>| view.as_ref().map(|view| view.pid);
        pairs.iter().map(|pair| (pair.role.to_string(), pid(&pair.before), pid(&pair.after))).collect()
    }

    fn one(processes: &[(u32, u64, &str)]) -> Vec<Measurement> {
        let processes: Vec<Process> =
            processes.iter().map(|&(pid, start, line)| process(pid, start, line, 1)).collect();
        vec![measurement("r", 1, tree(&processes))]
    }

    #[test]
    fn roles_leave_out_folders_of_programs() {
        for (line, role) in [
            ("/srv/bot/.venv/bin/python -m web.server /data/x", "python -m web.server /data/x"),
            ("./run", "run"),
            (".venv/bin/python", "python"),
            ("postgres: writer / idle", "postgres: writer / idle"),
            ("/srv/ x", "/srv/ x"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(shorten_command(line), role);
        }
    }

    #[test]
    fn children_match_by_command_line() {
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
    fn same_process_matches_itself() {
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
    fn numbers_in_command_may_differ() {
        let before = one(&[(1, 1, "bot"), (2, 2, "python -c spawn(fd=5, pipe=7)"), (3, 3, "")]);
        let mut after =
            one(&[(11, 91, "bot"), (12, 92, "python -c spawn(fd=11, pipe=9)"), (13, 93, "sh -c x")]);
        let MeasuredData::Tree(tree) = &mut after[0].data else { panic!() };
        Arc::get_mut(tree).unwrap().processes[2].name = "".into();
        let pids: Vec<_> = matched(&before, &after).into_iter().map(|(_, a, b)| (a, b)).collect();
        assert_eq!(pids, [(Some(1), Some(11)), (Some(2), Some(12)), (Some(3), Some(13))]);
    }

    #[test]
    fn children_match_within_their_tree() {
        let two = |pids: [u32; 4], start: u64| -> Vec<Measurement> {
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
    fn census_joins_its_process() {
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
    fn long_command_is_cut_in_middle() {
        assert_eq!(shorten("abcdefghij", 5), "ab…ij");
        assert_eq!(shorten("名前名前名前", 3), "名…前");
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(mask_digits("a12b3c"), "a#b#c");
    }
}
