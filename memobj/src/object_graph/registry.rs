//! What a program registers with its interpreter, by functions of the standard library.

use common::record::{AUDIT_HOOKS, CODEC_ERRORS, CODECS, FORK_CALLBACKS};
use memobj_cpython::layout::Layout;
use memobj_cpython::object::Objects;
use memobj_process::addr::Addr;

/// A registry in the state of an interpreter: `Include/internal/pycore_interp.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// `sys.addaudithook`.
    AuditHooks,
    /// `codecs.register_error`.
    CodecErrors,
    /// `codecs.register`, and the codecs that were looked up.
    Codecs,
    /// `os.register_at_fork`.
    ForkCallbacks,
}

impl Registry {
    /// Its name as a holder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuditHooks => AUDIT_HOOKS,
            Self::CodecErrors => CODEC_ERRORS,
            Self::Codecs => CODECS,
            Self::ForkCallbacks => FORK_CALLBACKS,
        }
    }

    /// The lists and dicts of the interpreter whose state is at `interpreter`.
    pub(super) fn read_all(objects: Objects<'_>, layout: &Layout, interpreter: Addr) -> Vec<(Self, Addr)> {
        let state = &layout.interpreter_state;
        let fields = [
            (Self::AuditHooks, Some(state.audit_hooks)),
            (Self::CodecErrors, Some(state.codec_error_registry)),
            (Self::Codecs, Some(state.codec_search_path)),
            (Self::Codecs, Some(state.codec_search_cache)),
            (Self::ForkCallbacks, state.before_forkers),
            (Self::ForkCallbacks, state.after_forkers_parent),
            (Self::ForkCallbacks, state.after_forkers_child),
        ];
        let read = |(registry, offset): (Self, Option<u32>)| {
            let at = objects.read_pointer(interpreter, offset?).filter(|at| !at.is_null())?;
            Some((registry, at))
        };
        fields.into_iter().filter_map(read).collect()
    }
}
