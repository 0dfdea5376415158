//! The machines that packages are built for, and what it takes to compile for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::command::output;
use crate::workspace;

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Its name for Rust.
    pub target: &'static str,
    /// Its name for Debian.
    pub debian: &'static str,
    /// The tags of a wheel that runs with glibc and with musl: a static program needs neither.
    pub wheel: &'static str,
    /// The linker, if programs for it are made on a machine of another kind.
    linker: &'static str,
}

/// All of them. The first is always built.
pub const MACHINES: [Machine; 2] = [
    Machine {
        target: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        wheel: "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
        linker: "x86_64-linux-gnu-gcc",
    },
    Machine {
        target: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        wheel: "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        linker: "aarch64-linux-gnu-gcc",
    },
];

/// A compiler that has the standard library of a machine, and a linker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossTools {
    rustc: PathBuf,
    linker: &'static str,
}

impl Machine {
    /// Finds what it takes to compile for it: the compiler in use, or the one that `packaging/cross-tools` unpacks.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn tools(&self) -> Result<CrossTools, String> {
        let named = env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
        let unpacked = workspace::target().join("cross/bin/rustc");
        let Some(rustc) = [named, unpacked].into_iter().find(|rustc| has_std(rustc, self.target)) else {
            return Err(format!(
                "no standard library: `rustup target add {}`, or packaging/cross-tools",
                self.target
            ));
        };
        if !is_in_path(self.linker) {
            return Err(format!(
                "no {}: `apt install gcc-{}`",
                self.linker,
                self.linker.trim_end_matches("-gcc")
            ));
        }
        Ok(CrossTools { rustc, linker: self.linker })
    }
}

impl CrossTools {
    /// Sets them for a run of cargo.
    pub fn set_for<'c>(&self, command: &'c mut Command, target: &str) -> &'c mut Command {
        let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        command.env("RUSTC", &self.rustc).env(variable, self.linker)
    }
}

fn has_std(rustc: &Path, target: &str) -> bool {
    let folder = output(Command::new(rustc).args(["--print", "target-libdir", "--target", target]));
    folder.is_ok_and(|folder| fs::read_dir(folder.trim()).is_ok_and(|mut files| files.next().is_some()))
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_named() {
        let none = Machine { target: "riscv64gc-unknown-linux-gnu", linker: "no-such-gcc", ..MACHINES[0] };
        assert!(none.tools().unwrap_err().contains("rustup target add riscv64gc-unknown-linux-gnu"));
        let host = Machine { target: MACHINES[0].target, ..none };
        assert_eq!(host.tools().unwrap_err(), "no no-such-gcc: `apt install gcc-no-such`");
    }
}
