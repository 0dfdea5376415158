//! Finds processes by the names that users know: of the program, or of the script or module that an interpreter runs.
//!
//! ```
//! use common::process_search::ProgramName;
//!
//! let cmdline = ["python3", "-u", "src/bot.py"].map(String::from);
//! let bot = ProgramName { name: "python3", cmdline: &cmdline };
//! assert!(bot.matches("bot.py") && bot.matches("python3") && !bot.matches("src"));
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use crate::cli::Failure;
use crate::process::ProcessId;

/// The length to which Linux cuts a name: `TASK_COMM_LEN` without the closing zero, proc_pid_comm(5).
const KERNEL_NAME_BYTES: usize = 15;

/// The longest name of a file: `NAME_MAX`, limits.h(0p).
const FILE_NAME_BYTES: usize = 255;

/// The names of the programs that run scripts, without their versions.
const INTERPRETERS: [&str; 11] =
    ["python", "pypy", "node", "ruby", "perl", "php", "java", "bash", "sh", "dash", "zsh"];

/// The name of a process and its arguments.
#[derive(Debug, Clone, Copy)]
pub struct ProgramName<'a> {
    /// Its name as the kernel keeps it.
    pub name: &'a str,
    /// Its arguments, the command first; empty if they are unknown.
    pub cmdline: &'a [String],
}

impl<'a> ProgramName<'a> {
    /// The full name: if the kernel may have cut it, it is completed from the command line.
    ///
    /// Only the same word is completed: programs write titles of any length over their command lines, with arguments in them.
    #[must_use]
    pub fn full(self) -> &'a str {
        self.completed().unwrap_or(self.name)
    }

    fn completed(self) -> Option<&'a str> {
        let name = self.name;
        let command = self.cmdline.first().filter(|_| name.len() >= KERNEL_NAME_BYTES)?;
        // The last part of a path; but a title is no path, and may contain slashes.
        let whole = if command.starts_with(name) { command.as_str() } else { file_name(command) };
        let rest = whole.strip_prefix(name)?;
        let word = rest.find(|c: char| c.is_whitespace() || c.is_control() || c == '/').unwrap_or(rest.len());
        whole.get(..whole.floor_char_boundary((name.len() + word).min(FILE_NAME_BYTES)))
    }

    /// The name that distinguishes it from other processes: its script's or module's, or its full one.
    #[must_use]
    pub fn short(self) -> &'a str {
        self.script().filter(|script| !script.is_empty()).unwrap_or_else(|| self.full())
    }

    /// Whether the process has this name: its own, its command's, or, for an interpreter, its script's or module's.
    #[must_use]
    pub fn matches(self, wanted: &str) -> bool {
        if self.name == wanted || self.full() == wanted {
            return true;
        }
        self.cmdline.first().is_some_and(|command| file_name(command) == wanted)
            || self.script() == Some(wanted)
    }

    /// The name of the script or module that it runs, if it is an interpreter.
    #[must_use]
    pub fn script(self) -> Option<&'a str> {
        let (command, args) = self.cmdline.split_first()?;
        let stem = file_name(command).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !INTERPRETERS.contains(&stem) {
            return None;
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Program text is no name.
                "-c" | "-e" => return None,
                "-m" | "-jar" => return args.next().map(|module| file_name(module)),
                // These options of python take a value.
                "-X" | "-W" => {
                    args.next();
                }
                option if option.starts_with('-') => {}
                script => return Some(file_name(script)),
            }
        }
        None
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A name and the arguments of a process, if they could be read.
pub type NameAndArguments = (Arc<str>, Option<Arc<[String]>>);

/// The processes that have one of `names`; `read` reads the name and the arguments of each, if it still can.
///
/// # Errors
/// No process has one of the names.
pub fn find_named<T: Copy>(
    names: &[String],
    processes: &[T],
    mut read: impl FnMut(T) -> Option<NameAndArguments>,
) -> Result<Vec<T>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut hits = vec![false; names.len()];
    let mut found = Vec::new();
    for &process in processes {
        let Some((name, cmdline)) = read(process) else { continue };
        let program = ProgramName { name: &name, cmdline: cmdline.as_deref().unwrap_or_default() };
        let mut any = false;
        for (wanted, hit) in names.iter().zip(&mut hits) {
            let matches = program.matches(wanted);
            (*hit, any) = (*hit || matches, any || matches);
        }
        found.extend(any.then_some(process));
    }
    match names.iter().zip(hits).find(|(_, hit)| !hit) {
        Some((name, _)) => Err(Failure::new(
            format!("no process is named '{name}'"),
            "list names with 'ps -eo pid,comm,args', or give a pid with -p",
        )),
        None => Ok(found),
    }
}

/// Separates processes from those that are below another one of them. The latter are returned with that one; `place` gives the
/// identity of a process and the pid of its parent.
pub fn outermost<T: Copy + PartialEq>(
    candidates: &[T],
    all: &[T],
    place: impl Fn(&T) -> (ProcessId, u32),
) -> (Vec<T>, Vec<(T, T)>) {
    let parents: HashMap<u32, u32> = all.iter().map(&place).map(|(id, parent)| (id.pid, parent)).collect();
    let (mut roots, mut inner) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let (id, mut pid) = place(candidate);
        let mut above = None;
        // A chain of parents is at most as long as there are processes; this also ends a cycle.
        for _ in 0..=parents.len() {
            let named = candidates.iter().find(|other| {
                let (other, _) = place(other);
                other.pid == pid && other != id
            });
            above = named.or(above);
            let Some(&parent) = parents.get(&pid).filter(|parent| **parent != 0) else { break };
            pid = parent;
        }
        match above {
            Some(root) => inner.push((*candidate, *root)),
            None if roots.contains(candidate) => {}
            None => roots.push(*candidate),
        }
    }
    (roots, inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(name: &str, args: &[&str], wanted: &str) -> bool {
        let cmdline: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        ProgramName { name, cmdline: &cmdline }.matches(wanted)
    }

    fn full_name(name: &str, command: &str) -> String {
        ProgramName { name, cmdline: &[command.to_owned()] }.full().to_owned()
    }

    #[test]
    fn names_match_command_and_script() {
        let bot = ["/venv/bin/python3.11", "-u", "-X", "dev", "src/bot.py", "serve"];
        for (name, hit) in [("python3.11", true), ("bot.py", true), ("serve", false), ("python", false)] {
            assert_eq!(matches("python3.11", &bot, name), hit, "{name}");
        }
        let bot = ["python3", "-u", "src/bot.py", "worker.py"];
        assert!(matches("python3", &bot, "bot.py") && !matches("python3", &bot, "worker.py"));
        assert!(matches("python3", &["python3", "-m", "celery", "worker"], "celery"));
        assert!(!matches("python3", &["python3", "-c", "celery"], "celery"));
        assert!(matches("MainThread", &["/usr/bin/gunicorn"], "gunicorn"));
        assert!(!matches("vim", &["vim", "bot.py"], "bot.py"), "an editor of a script is not the script");
        assert!(!matches("kthreadd", &[], "bot.py"));
    }

    #[test]
    fn cut_name_is_completed() {
        assert_eq!(full_name("a-name-of-many-", "/opt/bin/a-name-of-many-bytes"), "a-name-of-many-bytes");
        assert_eq!(full_name("a-name-of-many-", "a-name-of-many-"), "a-name-of-many-");
        assert_eq!(full_name("a-name-of-many-", "/opt/another"), "a-name-of-many-");
        assert_eq!(full_name("short", "short-of-nothing"), "short", "nothing was cut from it");
    }

    #[test]
    fn title_adds_its_first_word() {
        assert_eq!(full_name("gunicorn: maste", "gunicorn: master [app --key=x/y]"), "gunicorn: master");
        assert_eq!(full_name("a-name-of-many-", "/x/a-name-of-many-parts --key=x"), "a-name-of-many-parts");
        assert_eq!(full_name("a-name-of-many-", "a-name-of-many-\u{1b}[31m"), "a-name-of-many-");
        let long = full_name("a-name-of-many-", &format!("a-name-of-many-{}", "é".repeat(100_000)));
        assert_eq!(long.len(), FILE_NAME_BYTES);
    }

    #[test]
    fn each_name_needs_a_process() {
        let read = |pid: u32| (pid != 3).then(|| (format!("p{pid}").into(), None));
        let find = |names: &[&str]| {
            find_named(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), &[1, 2, 3], read)
        };
        assert_eq!(find(&[]), Ok(vec![]));
        assert_eq!(find(&["p2", "p1"]), Ok(vec![1, 2]));
        assert!(find(&["p2", "p3"]).unwrap_err().message.contains("p3"));
    }

    fn found(pid: u32, parent: u32) -> (ProcessId, u32) {
        (ProcessId { pid, start: u64::from(pid) }, parent)
    }

    #[test]
    fn inner_processes_are_separated() {
        let all = [found(1, 0), found(10, 1), found(11, 10), found(12, 11), found(20, 1)];
        let (roots, inner) = outermost(&[all[3], all[1], all[4], all[1]], &all, |place| *place);
        assert_eq!(roots, [all[1], all[4]]);
        assert_eq!(inner, [(all[3], all[1])]);
    }

    proptest! {
        #[test]
        fn any_parent_table_terminates(
            table in proptest::collection::vec((1_u32..50, 0_u32..50), 0..80)
        ) {
            let all: Vec<_> = table.iter().map(|&(pid, parent)| found(pid, parent)).collect();
            let (roots, inner) = outermost(&all, &all, |place| *place);
            prop_assert!(roots.len() + inner.len() <= all.len());
        }
    }
}
