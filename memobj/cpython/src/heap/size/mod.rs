//! Sizes of objects: exactly those of `sys.getsizeof`, and storage that the object owns beyond that.
//!
//! Facts: `_PySys_GetSizeOf` in `Python/sysmodule.c`, and the `__sizeof__` of each type, named where it is followed.

mod core_types;
mod extensions;
mod overhead;
mod sizer;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

use super::builtins::{Builtin, builtin_rows};
use super::python_heap::PythonHeap;
use super::types::Type;

pub use overhead::prefix_bytes;
use sizer::ObjectSizer;

/// The size of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// As `sys.getsizeof` says.
    pub bytes: u64,
    /// The values of the object's attributes, where they are in no dict: `getsizeof` leaves them out.
    pub overhead_bytes: u64,
}

/// Measures the object at `at`.
///
/// # Errors
/// If memory that is needed cannot be read.
#[inline]
pub fn read_size<M: Memory>(python: &PythonHeap<'_, M>, at: Addr, ty: &Type) -> Result<Size, Unreadable> {
    let sizer = ObjectSizer::new(python, at, ty);
    let own = match ty.sizeof {
        None => sizer.default()?,
        Some(builtin) => read_builtin_size(&sizer, builtin)?,
    };
    let bytes = own.saturating_add(sizer.prefix()?);
    Ok(Size { bytes, overhead_bytes: sizer.overhead()? })
}

/// Expands to the dispatch by the column `sized`.
macro_rules! dispatch_sizes {
    ($(
        $(#[$doc:meta])+
        $builtin:ident $(($payload:ty))?: named [$($name:literal),* $(,)?] $struct_size:expr, sized |$o:ident| $size:expr,
        visits $visits:ident, hides $hides:ident, holds $content:ident, grows $growth:ident;
    )+) => {
        /// The `__sizeof__` of a builtin.
        fn read_builtin_size<M: Memory>(sizer: &ObjectSizer<'_, '_, M>, builtin: Builtin) -> Result<u64, Unreadable> {
            match builtin {
                $(Builtin::$builtin { .. } => { let $o = sizer; $size })+
            }
        }
    };
}

builtin_rows!(dispatch_sizes);
