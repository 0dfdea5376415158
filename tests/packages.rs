//! The packages that `cargo xtask dist` built: each is installed in a place of its own, and finds a leak there.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::dist::PROGRAMS;

use crate::support::interpreters::{Interpreter, interpreters};
use crate::support::python::python;
use crate::support::{Background, Run, Tool, workspace};

/// The largest wheel that PyPI's users should have to fetch.
const MAX_WHEEL_BYTES: u64 = 20 << 20;
/// Why a test of packages cannot run.
const NOT_BUILT: &str = "no packages were built: run `cargo xtask dist`";
/// Shows the processes of its pid namespace in the root of an image, and runs a program of that image.
const IN_IMAGE: &str = r#"mount -t proc proc "$0/proc" && exec chroot "$0" "$@""#;
/// Takes the capability from a program.
const NO_PTRACE: [&str; 4] = ["--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"];
/// Programs of a namespace of their own, with what `ps` sees.
const APART: [&str; 5] = ["--pid", "--mount", "--fork", "--mount-proc", "--kill-child"];

/// The package with this ending.
fn package(end: &str) -> Option<PathBuf> {
    let files = fs::read_dir(xtask::dist::folder()).ok()?;
    let mut found = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == end));
    found.next()
}

/// The example that leaks, on an interpreter.
fn bot(start: Tool) -> Background {
    let mut bot = start.args(["-B", "-u"]).arg(workspace::root().join("examples/leaky_bot.py")).start();
    bot.wait_line("bot: serving");
    bot
}

/// Whether memobj names the leak of the example and the line that adds to it.
#[track_caller]
fn names_the_leak(memobj: Tool, pid: u32) {
    let run = memobj
        .args(["--leaks", "--for", "6s", "-i", "1s", "--max-pause", "1m", "-p"])
        .arg(pid.to_string())
        .run();
    let records = run.expect_code(1).records();
    let last = records.last().unwrap();
    let leaks = last["leaks"].as_array().unwrap();
    assert_eq!(leaks.len(), 1, "{last}");
    assert_eq!(leaks[0]["holder"], "__main__.bot.sessions", "{last}");
    let lines = [&leaks[0]["additions"]["lines"][0]["frames"][0], &leaks[0]["candidates"][0]];
    assert!(
        lines.iter().any(|line| line["function"].as_str().is_some_and(|name| name.ends_with("on_message"))),
        "{last}"
    );
}

/// Runs all four programs in a folder.
fn all_start(folder: &Path) {
    for program in PROGRAMS {
        let out = Tool::new(folder.join(program)).arg("--version").run().expect_code(0).out();
        assert_eq!(out, format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// The text of the licence of the GNU C Library, and where Debian has it.
const LGPL: [&str; 2] = ["GNU LESSER GENERAL PUBLIC LICENSE", "/usr/share/common-licenses/LGPL-2.1"];

/// A package carries the licences of its font and of all libraries in it, and that of the C library as `lgpl`.
#[track_caller]
fn carries_licences(files: &[PathBuf], lgpl: &str) {
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    // A library of each program, the font, and texts of licences.
    for part in [
        "sysinfo v",
        "object v",
        "resvg v",
        "ratatui v",
        "clap v",
        "Bitstream Vera",
        "GNU C Library",
        lgpl,
        "Permission is hereby granted",
    ] {
        assert!(text.contains(part), "{part}: {files:?}");
    }
    assert!(!text.contains("proptest v"), "a library of the tests alone: {files:?}");
}

/// A virtual environment with the wheel; the reason if there is no pip.
fn with_wheel(python: &Path, wheel: &Path, folder: &Path) -> Result<PathBuf, String> {
    let tried = |run: Run| if run.code() == Some(0) { Ok(()) } else { Err(run.err()) };
    tried(Tool::new(python).args(["-m", "venv"]).arg(folder).run())?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"];
    let run = Tool::new(folder.join("bin/python")).args(pip).arg(wheel).run();
    // A wheel that pip refuses is a failure, not a reason.
    run.expect_code(0);
    Ok(folder.join("bin"))
}

#[test]
fn wheel_gives_the_four_commands() {
    let Some(wheel) = package("whl") else { crate::skip!("{NOT_BUILT}") };
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    assert!(fs::metadata(&wheel).unwrap().len() <= MAX_WHEEL_BYTES);
    let folder = tempfile::tempdir().unwrap();
    let commands = crate::or_skip!(
        with_wheel(&python.path, &wheel, &folder.path().join("venv")),
        "no virtual environment: "
    );
    all_start(&commands);
    let licences = Tool::new("find")
        .arg(folder.path())
        .args(["-path", "*/memtools-*/licenses/*", "-type", "f"])
        .run()
        .out();
    carries_licences(&licences.lines().map(PathBuf::from).collect::<Vec<_>>(), LGPL[0]);
    let bot = bot(Tool::new(&python.path));
    names_the_leak(Tool::new(commands.join("memobj")), bot.pid());
    // The others, in a pipe as in the README.
    let pid = bot.pid().to_string();
    let script = r#""$0/memmon" -i 50ms --count 3 -p "$1" > log.jsonl && "$0/memdiff" log.jsonl > verdict && "$0/memplot" log.jsonl"#;
    let run = Tool::new("sh").args(["-c", script]).arg(&commands).arg(pid).dir(folder.path()).run();
    assert!(run.expect_code(0).out().starts_with("<svg"));
    assert!(!fs::read(folder.path().join("verdict")).unwrap().is_empty());
}

/// A Python that runs on musl.
fn on_musl() -> Option<&'static Interpreter> {
    interpreters().iter().find(|interpreter| interpreter.musl)
}

#[test]
fn wheel_fits_pythons_on_musl() {
    let Some(wheel) = package("whl") else { crate::skip!("{NOT_BUILT}") };
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    let Some(on_musl) = on_musl() else { crate::skip!("no Python on musl: run tests/interpreters") };
    // That Python has no zlib for a pip of its own, so ours installs for its platform.
    let folder = tempfile::tempdir().unwrap();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"];
    let platform = ["--only-binary=:all:", "--platform=musllinux_1_1_x86_64", "--target"];
    let run = Tool::new(&python.path).args(pip).args(platform).arg(folder.path()).arg(&wheel).run();
    if run.err().contains("No module named pip") {
        crate::skip!("no pip on this machine")
    }
    run.expect_code(0);
    let bot = bot(Tool::new(&on_musl.program));
    names_the_leak(Tool::new(folder.path().join("bin/memobj")), bot.pid());
}

#[test]
fn debian_package_installs() {
    let Some(package) = package("deb") else { crate::skip!("{NOT_BUILT}") };
    let Some(python) = python() else { crate::skip!("no Python on this machine") };
    if !rustix::process::geteuid().is_root() {
        crate::skip!("dpkg installs as root only")
    }
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("var/lib/dpkg");
    for part in ["info", "updates", "triggers"] {
        fs::create_dir_all(state.join(part)).unwrap();
    }
    fs::write(state.join("status"), "").unwrap();
    let run = Tool::new("dpkg")
        .arg(format!("--root={}", root.path().display()))
        .arg("--install")
        .arg(&package)
        .run();
    run.expect_code(0);
    all_start(&root.path().join("usr/bin"));
    carries_licences(&[root.path().join("usr/share/doc/memtools/copyright")], LGPL[1]);
    for program in PROGRAMS {
        for file in [
            format!("usr/share/man/man1/{program}.1.gz"),
            format!("usr/share/bash-completion/completions/{program}"),
            format!("usr/share/zsh/vendor-completions/_{program}"),
            format!("usr/share/fish/vendor_completions.d/{program}.fish"),
        ] {
            assert!(root.path().join(&file).is_file(), "{file}");
        }
    }
    let bot = bot(Tool::new(&python.path));
    names_the_leak(Tool::new(root.path().join("usr/bin/memobj")), bot.pid());
}

#[test]
fn lintian_finds_no_error() {
    let Some(package) = package("deb") else { crate::skip!("{NOT_BUILT}") };
    if Tool::new("sh").args(["-c", "command -v lintian"]).run().code() != Some(0) {
        crate::skip!("no lintian on this machine")
    }
    Tool::new("lintian").args(["--fail-on", "error", "--allow-root"]).arg(&package).run().expect_code(0);
}

/// The root file system of the image; the reason if it cannot be tried.
fn image_root(user: &[&str]) -> Result<tempfile::TempDir, String> {
    let image = xtask::dist::folder().join("image/bin");
    if !image.is_dir() {
        return Err(NOT_BUILT.to_owned());
    }
    let inside = Tool::new("unshare").args(user).args(APART).arg("true").run();
    if inside.code() != Some(0) {
        return Err(format!("no namespaces here: {}", inside.err().trim()));
    }
    let root = tempfile::tempdir().unwrap();
    let programs = root.path().join("usr/local/bin");
    for folder in [&programs, &root.path().join("proc")] {
        fs::create_dir_all(folder).unwrap();
    }
    for program in PROGRAMS {
        fs::copy(image.join(program), programs.join(program)).unwrap();
    }
    Ok(root)
}

/// A container in which the bot has pid 1: namespaces of its own, entered with `user` and `limits` on capabilities.
fn container(program: &Path, user: &[&str], limits: &[&str]) -> (Background, u32) {
    let start = Tool::new("unshare").args(user).args(APART).arg("setpriv").args(limits).arg(program);
    let container = bot(start);
    let [child] = crate::support::process::descendants(container.pid())[..] else { panic!("no bot") };
    (container, child)
}

/// memobj of the image in the namespaces of a container's process, as `kubectl debug --target` does.
fn debug(root: &Path, process: u32, user: &[&str], limits: &[&str]) -> Tool {
    Tool::new("nsenter")
        .args(["--target", &process.to_string(), "--pid"])
        .args(user)
        .args(["--", "setpriv"])
        .args(limits)
        .args(["unshare", "--mount", "sh", "-c", IN_IMAGE])
        .arg(root)
        .arg("/usr/local/bin/memobj")
}

#[test]
fn image_looks_into_a_container() {
    let root = crate::or_skip!(image_root(&[]));
    carries_licences(&[xtask::dist::folder().join("image/LICENSES")], LGPL[0]);
    let targets = on_musl()
        .map(|on_musl| on_musl.program.clone())
        .into_iter()
        .chain(python().map(|python| python.path.clone()));
    for program in targets {
        let (_container, child) = container(&program, &[], &[]);
        names_the_leak(debug(root.path(), child, &[], &[]), 1);
        // Root without the capability is not enough for a process that has it.
        let run =
            debug(root.path(), child, &[], &NO_PTRACE).args(["--leaks", "--for", "2s", "-p", "1"]).run();
        assert!(run.expect_code(2).err().contains("SYS_PTRACE"));
    }
}

/// As in containers without root (Podman): root there is an ordinary user outside.
#[test]
fn image_looks_into_a_user_namespace() {
    let own = ["--user", "--map-root-user"];
    let join = ["--user", "--preserve-credentials"];
    let root = crate::or_skip!(image_root(&own));
    let Some(program) = on_musl().map(|on_musl| &*on_musl.program).or(python().map(|python| &*python.path))
    else {
        crate::skip!("no Python on this machine")
    };
    let (strong, child) = container(program, &own, &[]);
    names_the_leak(debug(root.path(), child, &join, &[]), 1);
    let run = debug(root.path(), child, &join, &NO_PTRACE).args(["--leaks", "--for", "2s", "-p", "1"]).run();
    assert!(run.expect_code(2).err().contains("--cap-add SYS_PTRACE"));
    // Root of another user namespace may do nothing here.
    let run = Tool::new("unshare")
        .args(own)
        .arg(root.path().join("usr/local/bin/memobj"))
        .args(["-p", &child.to_string()])
        .run();
    assert!(run.expect_code(2).err().contains("user namespace"));
    drop(strong);
    // A process of the same user without more capabilities needs none, where Yama does not ask for one.
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if ["", "0"].contains(&yama.trim()) {
        let (_container, child) = container(program, &own, &NO_PTRACE);
        names_the_leak(debug(root.path(), child, &join, &NO_PTRACE), 1);
    }
}

#[test]
fn checksums_are_those_of_the_files() {
    let folder = xtask::dist::folder();
    if !folder.join("SHA256SUMS").is_file() {
        crate::skip!("{NOT_BUILT}")
    }
    Tool::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).dir(&folder).run().expect_code(0);
    // Each crate that another one needs is there.
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for name in [
        "memtools-common",
        "memobj-process",
        "memobj-cpython",
        "memobj",
        "memmon",
        "memdiff",
        "memplot",
        "memtools",
    ] {
        let file = format!("  {name}-{}.crate\n", env!("CARGO_PKG_VERSION"));
        assert!(sums.contains(&file), "{file}{sums}");
    }
}
