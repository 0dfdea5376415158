//! Refines a layout by the offsets that CPython reports of itself since 3.13 (`_Py_DebugOffsets` at the start of `_PyRuntime`,
//! Include/internal/pycore_debug_offsets.h; in 3.13 pycore_runtime.h).
//!
//! The states of runtime, interpreter and thread move between micro versions: their places are taken over. The structs of objects do
//! not: if the target reports another offset of a member, the others moved too, and the table is not of this CPython.

use super::encoding::Encodings;
use super::fields::{DebugOffsets, Layout};
use super::locks::with_own_locks;
use crate::stage;
use memobj_process::addr::Addr;
use memobj_process::error::Error;
use memobj_process::memory::Memory;

/// A layout with the offsets that the target reports.
#[derive(Debug, Clone)]
pub struct Refined {
    /// The layout.
    pub layout: Layout,
    /// The members whose offsets differ from those in the table, in CPython's spelling.
    pub moved: Vec<&'static str>,
}

/// The first bytes of the offsets (`_Py_Debug_Cookie`).
pub const COOKIE: [u8; 8] = *b"xdebugpy";

/// Larger than any struct of CPython: a greater offset is invalid.
const LARGEST: u64 = 1 << 24;

/// An offset that the target reports.
struct ReportedOffset {
    name: &'static str,
    /// Its place in the debug offsets.
    at: fn(&DebugOffsets) -> Option<u32>,
    /// The offset in the layout.
    place: fn(&mut Layout) -> Option<&mut u32>,
}

/// Entries of [`ReportedOffset`]: the field of [`DebugOffsets`], the place in the [`Layout`] (`group?` where versions lack the group).
macro_rules! reported {
    ($($at:ident => $group:ident $($optional:literal)? . $field:ident),* $(,)?) => {
        &[$(ReportedOffset {
            name: concat!(stringify!($group), ".", stringify!($field)),
            at: |offsets| Option::<u32>::from(offsets.$at),
            place: |layout| reported!(@group layout $group $($optional)?)
                .and_then(|group| Option::<&mut u32>::from(&mut group.$field)),
        }),*]
    };
    (@group $layout:ident $group:ident) => { Some(&mut $layout.$group) };
    (@group $layout:ident $group:ident $optional:literal) => { $layout.$group.as_mut() };
}

/// Offsets that are taken from the target.
const STATES: &[ReportedOffset] = reported![
    runtime_state_size => runtime_state.size,
    runtime_state_finalizing => runtime_state.finalizing,
    runtime_state_interpreters_head => runtime_state.interpreters_head,
    interpreter_state_size => interpreter_state.size,
    interpreter_state_id => interpreter_state.id,
    interpreter_state_next => interpreter_state.next,
    interpreter_state_threads_head => interpreter_state.threads_head,
    interpreter_state_threads_main => interpreter_state.threads_main,
    interpreter_state_gc => interpreter_state.gc,
    interpreter_state_imports_modules => interpreter_state.modules,
    interpreter_state_sysdict => interpreter_state.sysdict,
    interpreter_state_builtins => interpreter_state.builtins,
    thread_state_size => thread_state.size,
    thread_state_prev => thread_state.prev,
    thread_state_next => thread_state.next,
    thread_state_interp => thread_state.interp,
    thread_state_current_frame => thread_state.current_frame,
    thread_state_base_frame => thread_state.base_frame,
    thread_state_thread_id => thread_state.thread_id,
    thread_state_native_thread_id => thread_state.native_thread_id,
    thread_state_datastack_chunk => thread_state.datastack_chunk,
    thread_state_current_exception => thread_state.current_exception,
    thread_state_exc_state => thread_state.exc_state,
];

/// Offsets that must agree with the table.
const OBJECTS: &[ReportedOffset] = reported![
    err_stackitem_exc_value => err_stack_item.exc_value,
    interpreter_frame_size => interpreter_frame "?".size,
    interpreter_frame_previous => interpreter_frame "?".previous,
    interpreter_frame_executable => interpreter_frame "?".executable,
    interpreter_frame_instr_ptr => interpreter_frame "?".prev_instr,
    interpreter_frame_localsplus => interpreter_frame "?".localsplus,
    interpreter_frame_owner => interpreter_frame "?".owner,
    interpreter_frame_stackpointer => interpreter_frame "?".stackpointer,
    interpreter_frame_tlbc_index => interpreter_frame "?".tlbc_index,
    code_object_size => code_object.size,
    code_object_filename => code_object.co_filename,
    code_object_name => code_object.co_name,
    code_object_qualname => code_object.co_qualname,
    code_object_linetable => code_object.co_lnotab,
    code_object_firstlineno => code_object.co_firstlineno,
    code_object_argcount => code_object.co_argcount,
    code_object_localsplusnames => code_object.co_localsplusnames,
    code_object_localspluskinds => code_object.co_localspluskinds,
    code_object_co_code_adaptive => code_object.co_code_adaptive,
    code_object_co_tlbc => code_object.co_tlbc,
    pyobject_size => object.size,
    pyobject_ob_type => object.ob_type,
    type_object_size => type_object.size,
    type_object_tp_name => type_object.tp_name,
    type_object_tp_repr => type_object.tp_repr,
    type_object_tp_flags => type_object.tp_flags,
    type_object_tp_basicsize => type_object.tp_basicsize,
    type_object_tp_dictoffset => type_object.tp_dictoffset,
    heap_type_object_size => heap_type_object.size,
    heap_type_object_ht_cached_keys => heap_type_object.ht_cached_keys,
    tuple_object_size => tuple_object.size,
    tuple_object_ob_item => tuple_object.ob_item,
    tuple_object_ob_size => var_object.ob_size,
    list_object_size => list_object.size,
    list_object_ob_item => list_object.ob_item,
    list_object_ob_size => var_object.ob_size,
    set_object_size => set_object.size,
    set_object_used => set_object.used,
    set_object_table => set_object.table,
    set_object_mask => set_object.mask,
    dict_object_size => dict_object.size,
    dict_object_ma_keys => dict_object.ma_keys,
    dict_object_ma_values => dict_object.ma_values,
    float_object_size => float_object.size,
    float_object_ob_fval => float_object.ob_fval,
    long_object_size => long_object.size,
    long_object_lv_tag => long_object.lv_tag,
    long_object_ob_digit => long_object.ob_digit,
    bytes_object_size => bytes_object.size,
    bytes_object_ob_size => var_object.ob_size,
    bytes_object_ob_sval => bytes_object.ob_sval,
    unicode_object_size => unicode_object.size,
    unicode_object_state => ascii_object.state,
    unicode_object_length => ascii_object.length,
    unicode_object_asciiobject_size => ascii_object.size,
    unicode_object_compactunicodeobject_size => compact_unicode_object.size,
    gc_size => gc_state.size,
    gc_collecting => gc_state.collecting,
    gc_frame => gc_state.frame,
    gc_generation_stats => gc_state.generation_stats,
    gc_generation_stats_size => gc_stats "?".size,
    gen_object_size => gen_object.size,
    gen_object_gi_name => gen_object.gi_name,
    gen_object_gi_iframe => gen_object.gi_iframe,
    gen_object_gi_frame_state => gen_object.gi_frame_state,
];

/// Adjusts a layout to the target's own offsets, if its version has them, to the encodings of its micro version, and to the locks of its C library.
/// `at` is the start of its `_PyRuntime`.
///
/// # Errors
/// The offsets are unreadable, of another version, out of bounds, or contradict the layout; the message names the field.
pub fn refine(layout: &Layout, memory: &dyn Memory, at: Addr) -> Result<Refined, Error> {
    let mut refined = Refined { layout: *layout, moved: Vec::new() };
    let Some(offsets) = &layout.debug_offsets else {
        refined.layout = with_own_locks(layout, memory, at);
        return Ok(refined);
    };
    let read = |place: u32| {
        let reported = memory.read_u64(at.plus(u64::from(place)));
        reported.map_err(|e| refused(format!("the target's own offsets cannot be read: {e}")))
    };
    if read(offsets.cookie)? != u64::from_le_bytes(COOKIE) {
        return Err(refused(format!("at {at} there are no debug offsets of CPython")));
    }
    let version = read(offsets.version)?;
    if version >> 16 != u64::from(layout.hexversion >> 16) {
        return Err(refused(format!(
            "the target says that its version is {version:#x}, not {:#x}",
            layout.hexversion
        )));
    }
    // The table's encodings are those of its own build, whatever that was patched with.
    if let Some(hexversion) = u32::try_from(version).ok().filter(|version| *version != layout.hexversion) {
        refined.layout.encodings = Encodings::for_version(hexversion, layout.free_threaded());
    }
    if (read(offsets.free_threaded)? != 0) != layout.free_threaded() {
        return Err(refused("the target says otherwise whether it is free-threaded".to_owned()));
    }
    for (reported, may_move) in
        STATES.iter().map(|reported| (reported, true)).chain(OBJECTS.iter().map(|reported| (reported, false)))
    {
        let (Some(source), Some(place)) = ((reported.at)(offsets), (reported.place)(&mut refined.layout))
        else {
            continue;
        };
        let value = read(source)?;
        if value == u64::from(*place) {
            continue;
        }
        // Members that move are aligned to words.
        let bounded = u32::try_from(value).ok().filter(|value| u64::from(*value) < LARGEST && value % 8 == 0);
        match bounded {
            Some(value) if may_move => {
                *place = value;
                refined.moved.push(reported.name);
            }
            _ => {
                let table = *place;
                return Err(refused(format!(
                    "{} is at {value} in the target, and at {table} in the table of CPython {}",
                    reported.name, layout.origin
                )));
            }
        }
    }
    refined.layout = with_own_locks(&refined.layout, memory, at);
    Ok(refined)
}

fn refused(what: String) -> Error {
    Error::new(stage::LAYOUT, what, "this build of CPython is not one that memobj knows")
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::layout::{Build, candidates};
    use memobj_process::memory::Unreadable;

    /// The first bytes of a runtime's state, at 0x1000.
    struct Image(Vec<u8>);

    impl Memory for Image {
        fn read(&self, at: Addr, into: &mut [u8]) -> Result<(), Unreadable> {
            let from = at.0.checked_sub(0x1000).and_then(|from| usize::try_from(from).ok());
            let bytes = from.and_then(|from| self.0.get(from..)).and_then(|rest| rest.get(..into.len()));
            into.copy_from_slice(bytes.ok_or(Unreadable { at })?);
            Ok(())
        }

        fn regions(&self) -> &[Range<Addr>] {
            &[]
        }
    }

    impl Image {
        /// The memory of a target of this layout.
        fn of(layout: &Layout) -> Self {
            let offsets = layout.debug_offsets.unwrap();
            let mut image = Self(vec![0; offsets.size as usize]);
            image.put(offsets.cookie, u64::from_le_bytes(COOKIE));
            image.put(offsets.version, u64::from(layout.hexversion));
            image.put(offsets.free_threaded, u64::from(layout.free_threaded()));
            let mut copy = *layout;
            for reported in STATES.iter().chain(OBJECTS) {
                if let (Some(at), Some(place)) = ((reported.at)(&offsets), (reported.place)(&mut copy)) {
                    image.put(at, u64::from(*place));
                }
            }
            image
        }

        fn put(&mut self, at: u32, value: u64) {
            self.0[at as usize..][..8].copy_from_slice(&value.to_le_bytes());
        }

        fn refine(&self, layout: &Layout) -> Result<Refined, Error> {
            refine(layout, self, Addr(0x1000))
        }
    }

    fn layout(minor: u32, free_threaded: bool) -> &'static Layout {
        let build = Build { hexversion: 0x300_00f0 | minor << 16, free_threaded, debug: false };
        candidates(build).unwrap()[0]
    }

    #[test]
    fn agreeing_offsets_change_nothing() {
        for layout in [layout(13, false), layout(14, false), layout(15, false), layout(13, true)] {
            let refined = Image::of(layout).refine(layout).unwrap();
            assert_eq!((refined.layout, refined.moved), (*layout, vec![]));
        }
        // No offsets: nothing is read.
        let old = layout(12, false);
        assert_eq!(Image(vec![]).refine(old).unwrap().layout, *old);
    }

    #[test]
    fn states_move_objects_do_not() {
        let layout = layout(13, false);
        let offsets = layout.debug_offsets.unwrap();
        let mut image = Image::of(layout);
        image.put(offsets.interpreter_state_gc, 7416);
        image.put(offsets.runtime_state_interpreters_head, 640);
        let refined = image.refine(layout).unwrap();
        assert_eq!(refined.moved, ["runtime_state.interpreters_head", "interpreter_state.gc"]);
        assert_eq!(refined.layout.interpreter_state.gc, Some(7416));
        assert_eq!(refined.layout.runtime_state.interpreters_head, 640);

        image.put(offsets.type_object_tp_flags, 176);
        let error = image.refine(layout).unwrap_err();
        assert_eq!(error.stage, stage::LAYOUT);
        assert!(
            error
                .message
                .starts_with("type_object.tp_flags is at 176 in the target, and at 168 in the table"),
            "{error}"
        );
    }

    #[test]
    fn hostile_offsets_are_refused() {
        let layout = layout(15, false);
        let offsets = layout.debug_offsets.unwrap();
        for hostile in [u64::MAX, 1 << 32 | 8, LARGEST, 7] {
            let mut image = Image::of(layout);
            image.put(offsets.interpreter_state_id, hostile);
            let error = image.refine(layout).unwrap_err();
            assert!(error.message.starts_with("interpreter_state.id is at"), "{error}");
        }
        for (at, value) in [(offsets.cookie, 0), (offsets.version, 0x030e_00f0), (offsets.free_threaded, 1)] {
            let mut image = Image::of(layout);
            image.put(at, value);
            assert!(image.refine(layout).is_err());
        }
        let mut short = Image::of(layout);
        short.0.truncate(500);
        assert!(short.refine(layout).unwrap_err().message.contains("cannot be read"));
    }
}
