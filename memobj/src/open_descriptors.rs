//! The open file descriptors of a process (proc_pid_fd(5)).

use std::collections::BTreeSet;

/// Reads the numbers of the open file descriptors of a process. `None` if unreadable.
#[must_use]
pub fn read_open_descriptors(pid: u32) -> Option<BTreeSet<u32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn own_file_is_open() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = u32::try_from(file.as_raw_fd()).unwrap();
        assert!(read_open_descriptors(std::process::id()).unwrap().contains(&number));
        assert_eq!(read_open_descriptors(1 << 30), None);
    }
}
