//! Chores of the project, each run as `cargo xtask CHORE`.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | words | [`workspace`], [`command`], [`tools`] | where the project is, how other programs run, which commands have arguments to document |
//! | tables | [`support`] | the README's table of Pythons; a table in its place in a text |
//! | chores | [`man`], [`completions`], [`goldens`], [`layouts`], [`shapes`], [`ci`] | manual pages, shell completions, what tests compare with, tables of CPython's structs, the table of leaks, every check |
//! | packages | [`dist`] | wheel, Debian package, image, crates |
//!
//! A library as well as a program, so that a test can hold the committed files to what the chores make.

pub mod ci;
pub mod command;
pub mod completions;
pub mod dist;
pub mod goldens;
pub mod layouts;
pub mod man;
pub mod shapes;
pub mod support;
pub mod tools;
pub mod workspace;
