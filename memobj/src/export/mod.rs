//! Files that other tools open, by the ending of their name.
//!
//! A file holds names, types and sizes: no value of the program, and no key of a dict that is not a namespace.

mod edges;
mod heap_snapshot;
mod ids;
mod pprof;
mod speedscope;
mod stacks;
mod strings;
mod types_table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use common::output_file::{self, Readers};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_process::error::{Error, Stage};
use memobj_process::memory::Memory;

use crate::config::{ExportFile, ExportFormat};
use crate::holders::Holders;
use crate::holders::heap_tree::HeapTree;
use crate::names::NameReader;
use crate::object_sum::TypeCount;

/// Writing a file for another tool.
const EXPORT: Stage = Stage("export");

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes the objects to a file that only its owner can read. Formats with the tree of holders need the `tree`.
///
/// # Errors
/// If it cannot be written.
pub fn export_objects<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    tree: Option<&HeapTree<'_, '_>>,
    to: &ExportFile,
) -> Result<(), Error> {
    write_file(to, |out| match (to.format, tree) {
        (ExportFormat::Pprof, Some(tree)) => pprof::write(tree, out),
        (ExportFormat::Speedscope, Some(tree)) => speedscope::write(tree, out),
        _ => heap_snapshot::write(&mut NameReader::new(python), holders, out),
    })
}

/// Writes the types to a file that only its owner can read. `retained` are the sizes that they retain, by name.
///
/// # Errors
/// If it cannot be written.
pub fn export_types(
    types: &[TypeCount],
    retained: Option<&BTreeMap<Arc<str>, u64>>,
    to: &ExportFile,
) -> Result<(), Error> {
    write_file(to, |out| types_table::write(types, retained, out))
}

fn write_file(
    to: &ExportFile,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), Error> {
    let written = output_file::write_whole(&to.path, Readers::Owner, |file| {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| {
        let hint = "choose a writable folder with enough free space";
        Error::new(EXPORT, format!("cannot write {}: {error}", to.path.display()), hint)
    })
}
