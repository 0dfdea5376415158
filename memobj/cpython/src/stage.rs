//! The steps of this crate that can fail, for [`memobj_process::error::Error`].

use memobj_process::error::Stage;

/// Finding a Python in a process.
pub const LOCATE: Stage = Stage("locate");
/// Finding the layout of its objects.
pub const LAYOUT: Stage = Stage("layout");
/// Walking its objects.
pub const HEAP: Stage = Stage("heap");
