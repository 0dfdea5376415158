//! Files that other tools open, by the ending of their name.
//!
//! A file holds names, types and sizes: no value of the program, and no key of a dict that is not a namespace.

mod edges;
mod heap_snapshot;
mod ids;
mod strings;

use std::io::{self, BufWriter, Write};

use common::output_file::{self, Existing};
use memobj_cpython::heap::python_heap::PythonHeap;
use memobj_process::error::{Error, Stage};
use memobj_process::memory::Memory;

use crate::config::{ExportFile, ExportFormat};
use crate::holders::Holders;
use crate::names::NameReader;

/// Writing a file for another tool.
const EXPORT: Stage = Stage("export");

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes the objects to a file that only its owner can read.
///
/// # Errors
/// If it cannot be written.
pub fn export<M: Memory>(
    python: &PythonHeap<'_, M>,
    holders: &Holders<'_>,
    to: &ExportFile,
) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let file = output_file::open(&to.path, Existing::Replace)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        match to.format {
            ExportFormat::HeapSnapshot => {
                heap_snapshot::write(&mut NameReader::new(python), holders, &mut out)?;
            }
        }
        out.flush()
    };
    write().map_err(|error| {
        let hint = "choose a writable folder with enough free space";
        Error::new(EXPORT, format!("cannot write {}: {error}", to.path.display()), hint)
    })
}
