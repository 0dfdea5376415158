//! `cargo xtask dist`: everything that is shipped, from one static build of the four programs.
//!
//! A static program runs on each Linux of its architecture, whatever C library it has, and in a container without one. So one build serves a
//! wheel for glibc and musl, a Debian package for every release, and an image. What packs is pinned in `packaging/requirements.txt`.

mod licences;
mod machine;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{ElfFile, ProgramHeader as _};
use sha2::{Digest as _, Sha256};

use crate::command::{cargo, output, run};
use crate::{completions, man, workspace};
use machine::{CrossTools, MACHINES, Machine};

/// The programs.
pub const PROGRAMS: [&str; 4] = ["memdiff", "memmon", "memobj", "memplot"];
/// The owner of the Debian package; git's author of the last commit without it.
const MAINTAINER: &str = "MEMTOOLS_MAINTAINER";

/// The folder of the packages.
#[must_use]
pub fn folder() -> PathBuf {
    workspace::target().join("dist")
}

/// Builds all packages, with their checksums, and names the files: those for x86-64, and in folders of their own those for other machines whose
/// tools are there. With `verify` each crate is compiled from its archive.
///
/// # Errors
/// A program that packs is missing or fails, or a file cannot be written.
pub fn build(verify: bool) -> io::Result<Vec<PathBuf>> {
    let folder = folder();
    clear(&folder)?;
    let tools = Tools::fetch()?;
    let [own, others @ ..] = MACHINES;
    packages(&tools, own, None, &folder)?;
    for machine in others {
        match machine.tools() {
            Ok(cross) => packages(&tools, machine, Some(&cross), &folder.join(machine.debian))?,
            Err(missing) => writeln!(io::stderr(), "xtask: no packages for {}: {missing}", machine.debian)?,
        }
    }
    crates(&folder, verify)?;
    checksums(&folder)
}

/// Compiles for a machine and packs: wheel, Debian package, image.
fn packages(tools: &Tools, machine: Machine, cross: Option<&CrossTools>, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let compiled = compile(machine, cross)?;
    wheel(tools, machine, &compiled, folder)?;
    debian(tools, machine, &compiled, folder)?;
    image(machine, &compiled, &folder.join("image"))
}

/// Removes what an earlier run left.
fn clear(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let is_package = |name: &OsStr| {
        Path::new(name)
            .extension()
            .is_some_and(|end| ["whl", "deb", "crate"].iter().any(|known| end == *known))
    };
    let [_, others @ ..] = MACHINES;
    for others in others.map(|machine| folder.join(machine.debian)) {
        if others.exists() {
            fs::remove_dir_all(others)?;
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_package(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Compiles the programs, and makes sure that they need no loader. Returns their folder.
fn compile(machine: Machine, cross: Option<&CrossTools>) -> io::Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["build", "--profile", "dist", "--target", machine.target, "--package", "memtools"]);
    if let Some(cross) = cross {
        cross.set_for(&mut command, machine.target);
    }
    run(static_build(&mut command))?;
    let folder = workspace::target().join(machine.target).join("dist");
    for program in PROGRAMS {
        let bytes = fs::read(folder.join(program))?;
        let elf = ElfFile::<FileHeader64<object::Endianness>>::parse(&*bytes).map_err(io::Error::other)?;
        if elf.elf_program_headers().iter().any(|part| part.p_type(elf.endian()) == PT_INTERP) {
            return Err(io::Error::other(format!("{program} is not static: it needs a loader")));
        }
    }
    Ok(folder)
}

/// Sets the compiler's flags of the static build; paths of this machine do not belong into it.
fn static_build(command: &mut Command) -> &mut Command {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .unwrap_or_default();
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=", workspace::root().display()),
        format!("--remap-path-prefix={home}=cargo"),
    ];
    command.current_dir(workspace::root()).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
}

/// The programs that pack, in a virtual environment.
struct Tools(PathBuf);

impl Tools {
    fn fetch() -> io::Result<Self> {
        let folder = workspace::target().join("dist-tools");
        if !folder.join("bin/python").exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        }
        let list = workspace::root().join("packaging/requirements.txt");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(list))?;
        Ok(Self(folder))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.0.join("bin").join(name));
        if let Ok(seconds) = git(&["log", "-1", "--format=%ct"]) {
            command.env("SOURCE_DATE_EPOCH", seconds);
        }
        command
    }
}

/// Packs the wheel from the compiled programs and maturin's metadata. maturin would link each program once more, which takes as long as all
/// the rest, and gives a program for glibc no tag of musl.
fn wheel(tools: &Tools, machine: Machine, compiled: &Path, folder: &Path) -> io::Result<()> {
    let name = concat!("memtools-", env!("CARGO_PKG_VERSION"));
    let stage = workspace::target().join("dist-wheel");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    copy_programs(compiled, &stage.join(format!("{name}.data/scripts")))?;
    // maturin takes the licences that pyproject.toml names from the root of the project.
    let third_party = workspace::root().join("LICENSE-THIRD-PARTY");
    write(&third_party, licences::third_party_with_lgpl(machine.target)?.as_bytes())?;
    let args = ["pep517", "write-dist-info", "--interpreter", "python3", "--metadata-directory"];
    let done = run(tools
        .command("maturin")
        .args(args)
        .arg(&stage)
        .current_dir(workspace::root())
        .stdout(Stdio::null()));
    fs::remove_file(third_party)?;
    done?;
    // Apart from those of other machines.
    let apart = workspace::target().join("dist-packed");
    if apart.exists() {
        fs::remove_dir_all(&apart)?;
    }
    fs::create_dir_all(&apart)?;
    run(tools.command("wheel").arg("pack").arg(&stage).arg("--dest-dir").arg(&apart))?;
    let packed = files(&apart, "whl")?;
    run(tools.command("wheel").args(["tags", "--remove", "--platform-tag", machine.wheel]).args(packed))?;
    files(&apart, "whl")?.iter().try_for_each(|packed| {
        fs::copy(packed, folder.join(packed.file_name().unwrap_or_default())).map(drop)
    })
}

/// Packs the Debian package: programs, manual pages, completions, licences.
fn debian(tools: &Tools, machine: Machine, compiled: &Path, folder: &Path) -> io::Result<()> {
    let stage = workspace::target().join("dist-deb");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    copy_programs(compiled, &stage.join("usr/bin"))?;
    for page in man::pages()? {
        write_packed(&stage.join("usr/share/man/man1").join(format!("{}.gz", page.name)), &page.text)?;
    }
    let shells = workspace::target().join("dist-completions");
    completions::write(&shells)?;
    for program in PROGRAMS {
        for (from, to) in [
            (format!("{program}.bash"), format!("bash-completion/completions/{program}")),
            (format!("_{program}"), format!("zsh/vendor-completions/_{program}")),
            (format!("{program}.fish"), format!("fish/vendor_completions.d/{program}.fish")),
        ] {
            write(&stage.join("usr/share").join(to), &fs::read(shells.join(from))?)?;
        }
    }
    let maintainer = match std::env::var(MAINTAINER) {
        Ok(name) => name,
        Err(_) => git(&["log", "-1", "--format=%an <%ae>"])?,
    };
    let (version, date) = (env!("CARGO_PKG_VERSION"), git(&["log", "-1", "--format=%aD"])?);
    let documents = stage.join("usr/share/doc/memtools");
    let changes = format!(
        "memtools ({version}-1) unstable; urgency=medium\n\n  * Version {version}.\n\n -- {maintainer}  {date}\n"
    );
    write_packed(&documents.join("changelog.Debian.gz"), changes.as_bytes())?;
    write_packed(&documents.join("changelog.gz"), &fs::read(workspace::root().join("CHANGELOG.md"))?)?;
    write(&documents.join("copyright"), licences::all(machine.target)?.as_bytes())?;
    let overrides = fs::read(workspace::root().join("packaging/lintian-overrides"))?;
    write(&stage.join("usr/share/lintian/overrides/memtools"), &overrides)?;
    let config = workspace::root().join("packaging/nfpm.yaml");
    run(tools
        .command("nfpm")
        .args(["package", "--packager", "deb", "--config"])
        .arg(config)
        .arg("--target")
        .arg(folder)
        .env("FILES", stage)
        .env("VERSION", version)
        .env("ARCH", machine.debian)
        .env("MAINTAINER", maintainer)
        .stdout(Stdio::null()))
}

/// Lays out what an image is built from: `docker build target/dist/image`.
fn image(machine: Machine, compiled: &Path, folder: &Path) -> io::Result<()> {
    copy_programs(compiled, &folder.join("bin"))?;
    let apache = fs::read_to_string(workspace::root().join("LICENSE-APACHE"))?;
    let licences = [licences::all(machine.target)?, apache, licences::lgpl()?].join("\n");
    write(&folder.join("LICENSES"), licences.as_bytes())?;
    fs::copy(workspace::root().join("packaging/Dockerfile"), folder.join("Dockerfile")).map(drop)
}

/// Packs the crates.
fn crates(folder: &Path, verify: bool) -> io::Result<()> {
    let args = ["package", "--quiet", "--workspace", "--exclude", "xtask", "--allow-dirty"];
    let unverified = (!verify).then_some("--no-verify");
    run(Command::new(cargo()).args(args).args(unverified).current_dir(workspace::root()))?;
    for packed in files(&workspace::target().join("package"), "crate")? {
        if let Some(name) = packed.file_name() {
            fs::copy(&packed, folder.join(name))?;
        }
    }
    Ok(())
}

/// Writes the checksums of all packages, as sha256sum(1) does.
fn checksums(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let [_, others @ ..] = MACHINES;
    let folders = [folder.to_owned()].into_iter().chain(others.map(|machine| folder.join(machine.debian)));
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.exists()).collect();
    let mut all = Vec::new();
    for folder in &folders {
        for end in ["whl", "deb", "crate"] {
            all.extend(files(folder, end)?);
        }
    }
    let mut text = String::new();
    for file in &all {
        let sum = Sha256::digest(fs::read(file)?);
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
        text += &format!("{}  {name}\n", sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    let sums = folder.join("SHA256SUMS");
    fs::write(&sums, text)?;
    all.extend(folders.iter().map(|folder| folder.join("image")));
    all.push(sums);
    Ok(all)
}

fn copy_programs(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    PROGRAMS.iter().try_for_each(|program| {
        fs::copy(from.join(program), to.join(program))?;
        fs::set_permissions(to.join(program), fs::Permissions::from_mode(0o755))
    })
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    fs::write(file, bytes)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))
}

/// Writes a file as `gzip -9n` does.
fn write_packed(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes)?;
    write(file, &packer.finish()?)
}

/// The files in a folder with an ending, by name.
fn files(folder: &Path, end: &str) -> io::Result<Vec<PathBuf>> {
    let all: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut found = all?;
    found.retain(|file| file.extension().is_some_and(|extension| extension == end));
    found.sort();
    Ok(found)
}

fn git(args: &[&str]) -> io::Result<String> {
    output(Command::new("git").args(args).current_dir(workspace::root())).map(|text| text.trim().to_owned())
}
