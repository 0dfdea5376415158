//! The plainest possible look at `/proc`, to hold the tools' answers against.

use std::collections::HashMap;

/// The pids of all processes below `root`, parents before their children.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((_, parent)) = state_and_parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        // Taken out of the map: whatever was read, no process is entered twice.
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found.remove(0);
    found
}

/// Whether the process exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The state's letter and the parent's pid: fields 3 and 4 of proc_pid_stat(5). The name before them may hold anything,
/// parentheses and line ends too, so they are counted from the last parenthesis.
pub fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?);
    let mut fields = rest.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A thread, as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub tid: u32,
    /// The letter of its state: `R`, `S`, `D`, `T` (stopped), `t` (stopped by a tracer), `Z`.
    pub state: char,
    /// The pid of its tracer; 0 without.
    pub tracer: u32,
}

/// The threads of a process. One that ends meanwhile is left out.
pub fn tasks(pid: u32) -> Vec<Task> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    folder
        .filter_map(|entry| {
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let field =
                |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Some(Task {
                tid: entry.file_name().to_str()?.parse().ok()?,
                state: field("State")?.trim().chars().next()?,
                tracer: field("TracerPid")?.trim().parse().ok()?,
            })
        })
        .collect()
}

/// Whether an observer has left the process alone: no thread of it is stopped or traced.
pub fn is_let_go(pid: u32) -> bool {
    tasks(pid).iter().all(|task| task.tracer == 0 && !matches!(task.state, 'T' | 't'))
}

/// What memory a process has, in bytes, by `smaps_rollup`: its resident set, and its share of it.
///
/// # Panics
/// If it cannot be read.
#[track_caller]
pub fn rss_and_pss(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    (field("Rss:"), field("Pss:"))
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
