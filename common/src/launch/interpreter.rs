//! Chooses the program for a command: the command itself or, for a Python script, the interpreter of its project.
//!
//! A first word that ends in `.py` and names a file is run by the first interpreter found; its `#!` line is ignored:
//!
//! 1. the project's: `.venv`, then `venv`, in the folder of the script (symbolic links are followed, as Python does for its
//!    module path), then in the folders above it, nearest first. The search ends below the home folder and the root, where an
//!    environment belongs to no project. Then the same in the current folder. The interpreter is `bin/python`, else
//!    `Scripts/python.exe`;
//! 2. `$VIRTUAL_ENV`, the activated one;
//! 3. `python3`, then `python`, of `$PATH`.
//!
//! An environment in a folder must belong to the user, the owner of the script or root: in `/tmp` anyone can create one. The
//! link to the interpreter is not resolved: Python finds its environment by the name it was started with.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::cli::Failure;

/// The exit code of shells for a command that is not found.
pub(super) const EXIT_NOT_FOUND: u8 = 127;

/// The program to start, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A path, or a name to look up in `$PATH`.
    pub program: OsString,
    /// The arguments without the program's name.
    pub args: Vec<OsString>,
    /// The command's name: the last part of its first word, not escaped for a terminal.
    pub name: String,
    /// A message about the chosen interpreter, or about one that was not chosen; not escaped for a terminal.
    pub note: Option<String>,
}

/// The environment in which a command is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The current folder.
    pub current: PathBuf,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// `$VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// `$PATH`.
    pub path: OsString,
    /// The effective user.
    pub user: u32,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn current() -> Self {
        let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            // If the current folder was removed, nothing is found in it.
            current: env::current_dir().unwrap_or_else(|_| ".".into()),
            home: folder("HOME"),
            virtual_env: folder("VIRTUAL_ENV"),
            // The default of exec(3).
            path: env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into()),
            user: rustix::process::geteuid().as_raw(),
        }
    }

    /// The first file called `name` in the folders of `$PATH` for which `accepts` is true.
    pub(super) fn find_in_path(&self, name: &OsStr, accepts: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        env::split_paths(&self.path).map(|dir| self.current.join(dir).join(name)).find(|file| accepts(file))
    }

    /// `path`, relative to the current folder if it is below it.
    fn shown<'a>(&self, path: &'a Path, real_current: &Path) -> &'a Path {
        path.strip_prefix(real_current).or_else(|_| path.strip_prefix(&self.current)).unwrap_or(path)
    }
}

/// Chooses the program for `command`.
///
/// # Errors
/// An empty command; a Python script that does not exist, or no interpreter for it (exit 127).
pub fn resolve(command: &[OsString], environment: &Environment) -> Result<Plan, Failure> {
    let Some((first, args)) = command.split_first().filter(|(first, _)| !first.is_empty()) else {
        return Err(Failure::new("the command is empty", "give a program and its arguments"));
    };
    let name = Path::new(first).file_name().unwrap_or(first).to_string_lossy().into_owned();
    let itself = || Plan { program: first.clone(), args: args.to_vec(), name: name.clone(), note: None };
    if !is_python(first) {
        return Ok(Plan { note: passed_over(first, args, environment), ..itself() });
    }

    let script = environment.current.join(first);
    match fs::metadata(&script) {
        Ok(metadata) if metadata.is_file() => {}
        // An installed command may be called `rst2html.py`.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let is_bare = !first.as_bytes().contains(&b'/');
            if is_bare && environment.find_in_path(first, is_executable).is_some() {
                return Ok(itself());
            }
            return Err(Failure {
                message: format!("{}: no such file", first.display()),
                hint: if Path::new(first).is_absolute() {
                    String::new()
                } else {
                    format!("the current folder is {}", environment.current.display())
                },
                code: EXIT_NOT_FOUND,
            });
        }
        // A folder, or no permission: starting it gives the error.
        _ => return Ok(itself()),
    }

    let real_current = fs::canonicalize(&environment.current).unwrap_or_else(|_| environment.current.clone());
    let Choice { python, broken } = choose(&script, &real_current, environment).ok_or_else(|| Failure {
        message: format!("{}: no Python interpreter was found", first.display()),
        hint: format!("make a .venv beside it, or name the interpreter: /path/to/python {}", first.display()),
        code: EXIT_NOT_FOUND,
    })?;
    let mut note =
        format!("running {} with {}", first.display(), environment.shown(&python, &real_current).display());
    if let Some(broken) = broken {
        note +=
            &format!(", because {} is a broken link", environment.shown(&broken, &real_current).display());
    }
    let word = if first.as_bytes().starts_with(b"-") {
        // Python would take it for an option.
        Path::new(".").join(first).into_os_string()
    } else {
        first.clone()
    };
    let args = std::iter::once(word).chain(args.iter().cloned()).collect();
    Ok(Plan { program: python.into_os_string(), args, name, note: Some(note) })
}

/// A message if the command names a Python that is not the project's: it may not find the project's packages.
fn passed_over(command: &OsStr, args: &[OsString], environment: &Environment) -> Option<String> {
    let version = command.to_str()?.strip_prefix("python")?;
    let script = args.iter().find(|arg| !arg.as_bytes().starts_with(b"-")).filter(|arg| is_python(arg))?;
    if !version.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let running = environment.find_in_path(command, is_executable)?;
    let real_current = fs::canonicalize(&environment.current).ok()?;
    let python = choose(&environment.current.join(script), &real_current, environment)?.python;
    let in_path = |folder: &Path| {
        let mut folders = env::split_paths(&environment.path).map(|dir| environment.current.join(dir));
        folders.any(|dir| dir == folder || fs::canonicalize(dir).is_ok_and(|dir| dir == folder))
    };
    // An activated environment is in `$PATH`.
    if python.parent().is_none_or(in_path) {
        return None;
    }
    let python = environment.shown(&python, &real_current).display();
    let (command, running, script) = (command.display(), running.display(), script.display());
    Some(format!("{command} is {running}, not the project's {python}; `-- {script}` runs the latter"))
}

fn is_python(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    bytes.last_chunk::<3>().is_some_and(|end| end.eq_ignore_ascii_case(b".py"))
}

/// The chosen interpreter, and the first broken link that came before it.
struct Choice {
    python: PathBuf,
    broken: Option<PathBuf>,
}

fn choose(script: &Path, real_current: &Path, environment: &Environment) -> Option<Choice> {
    let mut broken = None;
    let mut usable = |python: &PathBuf| {
        if is_executable(python) {
            return true;
        }
        if fs::symlink_metadata(python).is_ok_and(|link| link.is_symlink()) && !python.exists() {
            broken.get_or_insert_with(|| python.clone());
        }
        false
    };
    let owner = fs::metadata(script).map_or(environment.user, |metadata| metadata.uid());
    let python = project_folders(script, real_current, environment)
        .iter()
        .flat_map(|folder| [folder.join(".venv"), folder.join("venv")])
        .filter(|venv| is_trusted(venv, environment.user, owner))
        .chain(environment.virtual_env.iter().map(|venv| real_current.join(venv)))
        .flat_map(|venv| [venv.join("bin/python"), venv.join("Scripts/python.exe")])
        .find(&mut usable)
        .or_else(|| {
            ["python3", "python"]
                .iter()
                .find_map(|name| environment.find_in_path(OsStr::new(name), is_executable))
        })?;
    Some(Choice { python, broken })
}

/// The folders that may have an environment of the script's project, nearest first.
fn project_folders(script: &Path, real_current: &Path, environment: &Environment) -> Vec<PathBuf> {
    let real = fs::canonicalize(script).unwrap_or_else(|_| script.to_owned());
    let home = environment.home.as_ref().and_then(|home| fs::canonicalize(home).ok());
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in real.ancestors().skip(1) {
        let no_project = folder.parent().is_none() || home.as_deref() == Some(folder);
        if no_project && !folders.is_empty() {
            break;
        }
        folders.push(folder.to_owned());
    }
    if !folders.iter().any(|folder| folder == real_current) {
        folders.push(real_current.to_owned());
    }
    folders
}

/// Whether a folder and a link to it belong to root, `user` or the script's owner.
fn is_trusted(folder: &Path, user: u32, script_owner: u32) -> bool {
    [fs::symlink_metadata(folder), fs::metadata(folder)]
        .into_iter()
        .all(|metadata| metadata.is_ok_and(|metadata| [0, user, script_owner].contains(&metadata.uid())))
}

/// Whether `file` is a file with an execute permission. The kernel may still refuse it.
pub(super) fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder of its own for a test, with a home in it, and nothing in `$PATH`.
    struct Place {
        folder: tempfile::TempDir,
        environment: Environment,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(folder.path()).unwrap();
            let environment = Environment {
                current: root.join("home/project"),
                home: Some(root.join("home")),
                virtual_env: None,
                path: OsString::new(),
                user: rustix::process::geteuid().as_raw(),
            };
            fs::create_dir_all(&environment.current).unwrap();
            Self { folder, environment }
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.folder.path()).unwrap().join(name)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn resolve(&self, command: &[&str]) -> Result<Plan, Failure> {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            resolve(&command, &self.environment)
        }

        /// What runs `script`.
        fn python(&self, script: &str) -> PathBuf {
            self.resolve(&[script]).unwrap().program.into()
        }
    }

    #[test]
    fn other_programs_are_unchanged() {
        let place = Place::new();
        let plan = place.resolve(&["/bin/tool", "--flag", "x.py"]).unwrap();
        assert_eq!(plan.program, "/bin/tool");
        assert_eq!(plan.args, ["--flag", "x.py"]);
        assert_eq!((plan.name.as_str(), plan.note), ("tool", None));
        assert!(place.resolve(&[]).is_err() && place.resolve(&[""]).is_err());
    }

    #[test]
    fn script_arguments_are_unchanged() {
        let place = Place::new();
        // A #! line and the right to execute change nothing.
        place.file("home/project/Bot.PY", 0o755);
        let python = place.file("home/project/.venv/bin/python", 0o755);
        let odd = OsString::from_vec(b"a\xff\n".to_vec());
        let plan = resolve(&["Bot.PY".into(), odd.clone()], &place.environment).unwrap();
        assert_eq!(plan.program, python);
        assert_eq!(plan.args, [OsString::from("Bot.PY"), odd]);
        assert_eq!(plan.name, "Bot.PY");
        assert_eq!(plan.note.unwrap(), "running Bot.PY with .venv/bin/python");
    }

    #[test]
    fn nearest_venv_wins() {
        let place = Place::new();
        place.file("home/project/app/deep/bot.py", 0o644);
        let activated = place.file("envs/mine/bin/python", 0o755);
        let in_path = place.file("bin/python3", 0o755);
        let mut place = place;
        place.environment.path = place.path("bin").into();
        assert_eq!(place.python("app/deep/bot.py"), in_path);
        place.environment.virtual_env = Some(place.path("envs/mine"));
        assert_eq!(place.python("app/deep/bot.py"), activated);
        let top = place.file("home/project/venv/bin/python", 0o755);
        assert_eq!(place.python("app/deep/bot.py"), top);
        let near = place.file("home/project/app/venv/Scripts/python.exe", 0o755);
        assert_eq!(place.python("app/deep/bot.py"), near);
        let hidden = place.file("home/project/app/.venv/bin/python", 0o755);
        assert_eq!(place.python("app/deep/bot.py"), hidden);
    }

    #[test]
    fn venv_search_stops_below_home() {
        let mut place = Place::new();
        place.file("home/project/app/bot.py", 0o644);
        let in_path = place.file("bin/python", 0o755);
        place.environment.path = place.path("bin").into();
        place.file("home/.venv/bin/python", 0o755);
        assert_eq!(place.python("app/bot.py"), in_path);
        let project = place.file("home/project/.venv/bin/python", 0o755);
        place.environment.current = place.path("home/project/app");
        assert_eq!(place.python("bot.py"), project);
        place.environment.current = place.path("bin");
        assert_eq!(place.python("../home/project/app/bot.py"), project);
        // Whoever works in the home folder itself means what is there.
        let home = place.file("home/bot.py", 0o644);
        assert_eq!(place.python(home.to_str().unwrap()), place.path("home/.venv/bin/python"));
    }

    #[test]
    fn current_folder_venv_is_used() {
        let place = Place::new();
        let script = place.file("elsewhere/bot.py", 0o644);
        let python = place.file("home/project/.venv/bin/python", 0o755);
        assert_eq!(place.python(script.to_str().unwrap()), python);
    }

    #[test]
    fn script_links_are_followed() {
        let place = Place::new();
        place.file("real/bot.py", 0o644);
        symlink(place.path("real/bot.py"), place.path("home/project/bot.py")).unwrap();
        let system = place.file("system/python3.12", 0o755);
        fs::create_dir_all(place.path("real/.venv/bin")).unwrap();
        symlink(system, place.path("real/.venv/bin/python")).unwrap();
        assert_eq!(place.python("bot.py"), place.path("real/.venv/bin/python"));
    }

    #[test]
    fn broken_venv_is_reported() {
        let mut place = Place::new();
        place.file("home/project/bot.py", 0o644);
        fs::create_dir_all(place.path("home/project/.venv/bin")).unwrap();
        symlink("/nowhere/python3", place.path("home/project/.venv/bin/python")).unwrap();
        place.environment.path = place.path("bin").into();
        let in_path = place.file("bin/python3", 0o755);
        let plan = place.resolve(&["bot.py"]).unwrap();
        assert_eq!(plan.program, in_path);
        let note = plan.note.unwrap();
        assert!(note.ends_with("bin/python3, because .venv/bin/python is a broken link"), "{note}");
    }

    #[test]
    fn named_python_beside_a_venv_gets_a_note() {
        let mut place = Place::new();
        place.file("home/project/bot.py", 0o644);
        let running = place.file("bin/python3", 0o755);
        place.environment.path = place.path("bin").into();
        let note = |place: &Place, command: &[&str]| place.resolve(command).unwrap().note;
        assert_eq!(note(&place, &["python3", "bot.py"]), None, "there is no other");
        place.file("home/project/.venv/bin/python", 0o755);
        let expected = format!(
            "python3 is {}, not the project's .venv/bin/python; `-- bot.py` runs the latter",
            running.display()
        );
        for command in [&["python3", "bot.py"][..], &["python3", "-u", "bot.py", "serve"]] {
            assert_eq!(note(&place, command).as_deref(), Some(&*expected), "{command:?}");
        }
        for command in
            [&["python3", "-c", "1"][..], &["pythonista", "bot.py"], &[running.to_str().unwrap(), "bot.py"]]
        {
            assert_eq!(note(&place, command), None, "{command:?}");
        }
        place.file("home/project/.venv/bin/python3", 0o755);
        place.environment.path = place.path("home/project/.venv/bin").into();
        assert_eq!(note(&place, &["python3", "bot.py"]), None, "it is activated");
    }

    #[test]
    fn foreign_venv_is_refused() {
        let place = Place::new();
        let venv = place.path("home/project");
        let owner = fs::metadata(&venv).unwrap().uid();
        assert!(is_trusted(&venv, owner, 1) && is_trusted(&venv, 1, owner));
        if owner != 0 {
            assert!(!is_trusted(&venv, owner + 1, owner + 2));
        } else {
            // Only root can give files away.
            std::os::unix::fs::chown(&venv, Some(12345), None).unwrap();
            assert!(!is_trusted(&venv, 0, 1) && is_trusted(&venv, 1, 12345));
        }
        assert!(!is_trusted(&place.path("absent"), owner, owner));
    }

    #[test]
    fn missing_file_exits_with_127() {
        let mut place = Place::new();
        let failure = place.resolve(&["src/bot.py"]).unwrap_err();
        assert_eq!((failure.message.as_str(), failure.code), ("src/bot.py: no such file", 127));
        assert!(failure.hint.contains("home/project"));
        place.file("home/project/src/bot.py", 0o644);
        let failure = place.resolve(&["src/bot.py"]).unwrap_err();
        assert!(failure.message.contains("no Python interpreter") && failure.code == 127);
        // A file in $PATH that may not be executed is no interpreter.
        place.file("bin/python3", 0o644);
        place.environment.path = place.path("bin").into();
        assert!(place.resolve(&["src/bot.py"]).is_err());
    }

    #[test]
    fn py_command_in_path_is_run() {
        let mut place = Place::new();
        place.file("bin/rst2html.py", 0o755);
        place.environment.path = place.path("bin").into();
        assert_eq!(place.python("rst2html.py"), Path::new("rst2html.py"));
        assert!(place.resolve(&["./rst2html.py"]).is_err());
    }

    #[test]
    fn folders_and_dashes_are_handled() {
        let place = Place::new();
        fs::create_dir(place.path("home/project/pkg.py")).unwrap();
        assert_eq!(place.python("pkg.py"), Path::new("pkg.py"));
        place.file("home/project/-c.py", 0o644);
        place.file("home/project/.venv/bin/python", 0o755);
        assert_eq!(place.resolve(&["-c.py", "-x"]).unwrap().args, ["./-c.py", "-x"]);
    }
}
