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
