//! The `memdiff` command: everything is in the library of the same name.

fn main() -> std::process::ExitCode {
    memdiff::main()
}
