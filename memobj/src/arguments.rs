//! The arguments of a process (proc_pid_cmdline(5)).

use std::io::Read as _;

/// The kernel returns command lines of any length, megabytes if need be.
const MAX_CMDLINE_BYTES: u64 = 64 << 10;

/// Reads the arguments of a process, which it may have changed. `None` if unreadable.
#[must_use]
pub fn read_arguments(pid: u32) -> Option<Vec<String>> {
    let file = std::fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
    let mut text = Vec::new();
    file.take(MAX_CMDLINE_BYTES).read_to_end(&mut text).ok()?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Some(text.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn arguments_are_split() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo; read x; : 'two words'"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // `spawn` returns while the kernel is still setting up the shell.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let words = read_arguments(child.id()).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!((&*words[0], &*words[1], words.len()), ("sh", "-c", 3));
        assert!(words[2].ends_with(": 'two words'"), "{words:?}");
        assert_eq!(read_arguments(1 << 30), None);
    }
}
