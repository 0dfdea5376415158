//! Locks of the C library inside of CPython's states. The tables are made on x86-64, where a `pthread_mutex_t` has 40 bytes. With glibc on
//! 64-bit Arm it has 48 (sysdeps/aarch64/nptl/bits/pthreadtypes-arch.h), with musl 40 too. The lock of the GIL (`struct _gil_runtime_state`)
//! has two of them: it is in `_PyRuntime` up to 3.11, and from 3.12 on in each interpreter. What follows it stands further on.

use super::Layout;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

/// What the two mutexes are longer.
const LONGER: u32 = 16;
/// The distance from `_config_init`, the first member of `PyPreConfig`, to `allocator`: the same in all versions with an own place for it.
const TO_ALLOCATOR: u32 = 36;
/// Values of `_config_init`.
const CONFIG_INIT: std::ops::RangeInclusive<u32> = 1..=3;

/// The layout with the locks of the target, whose `_PyRuntime` is at `at`: with longer ones if only so its state makes sense.
pub(super) fn with_own_locks(layout: &Layout, memory: &dyn Memory, at: Addr) -> Layout {
    let fits = |layout: &Layout| makes_sense(layout, memory, at).unwrap_or(false);
    let longer = with_longer_locks(layout);
    if !fits(layout) && fits(&longer) { longer } else { *layout }
}

fn with_longer_locks(layout: &Layout) -> Layout {
    let mut longer = *layout;
    if layout.interpreter_state.types.is_none() {
        let state = &mut longer.runtime_state;
        state.allocator = state.allocator.saturating_add(LONGER);
        state.small_ints = state.small_ints.map(|offset| offset.saturating_add(LONGER));
        return longer;
    }
    let state = &mut longer.interpreter_state;
    let certain = [
        &mut state.codec_search_path,
        &mut state.codec_search_cache,
        &mut state.codec_error_registry,
        &mut state.dict,
        &mut state.audit_hooks,
    ];
    let optional = [
        &mut state.types,
        &mut state.obmalloc,
        &mut state.mimalloc,
        &mut state.cached_objects,
        &mut state.interned_strings,
        &mut state.before_forkers,
        &mut state.after_forkers_parent,
        &mut state.after_forkers_child,
        &mut state.builtins_copy,
        &mut state.brc,
        &mut state.unique_ids,
    ];
    for offset in certain.into_iter().chain(optional.into_iter().flatten()) {
        *offset = offset.saturating_add(LONGER);
    }
    longer
}

/// Whether what stands behind the lock of the GIL is what it should be: the state of the type `dict`, or the configuration.
fn makes_sense(layout: &Layout, memory: &dyn Memory, at: Addr) -> Result<bool, Unreadable> {
    let member = |at: Addr, offset: u32| at.plus(offset.into());
    let (state, types) = (&layout.interpreter_state, &layout.type_object);
    let known = layout.managed_static_type_state.as_ref().and_then(|known| Some((known.size, known.r#type?)));
    let (Some(offset), Some(of_types), Some((size, named))) = (state.types, &layout.types_state, known)
    else {
        let Some(first) = layout.runtime_state.allocator.checked_sub(TO_ALLOCATOR) else { return Ok(false) };
        return Ok(CONFIG_INIT.contains(&memory.read_u32(member(at, first))?));
    };
    let interpreter = memory.read_addr(member(at, layout.runtime_state.interpreters_head))?;
    let modules = memory.read_addr(member(interpreter, state.modules))?;
    let dict = memory.read_addr(member(modules, layout.object.ob_type))?;
    // `tp_subclasses` of such a type holds its index plus one (`managed_static_type_index_get`).
    let index = memory.read_u64(member(dict, types.tp_subclasses))?;
    let Some(index) = index.checked_sub(1) else { return Ok(false) };
    let array = member(member(interpreter, offset), of_types.builtins);
    Ok(memory.read_addr(member(array.plus(index.wrapping_mul(size.into())), named))? == dict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Build, candidates};
    use memobj_process::memory::FakeMemory;

    const RUNTIME: Addr = Addr(0x10_0000);
    const INTERPRETER: Addr = Addr(0x20_0000);
    const MODULES: Addr = Addr(0x30_0000);
    const DICT: Addr = Addr(0x40_0000);

    fn layout(minor: u32) -> &'static Layout {
        let build = Build { hexversion: 0x300_00f0 | minor << 16, free_threaded: false, debug: false };
        candidates(build).unwrap()[0]
    }

    fn put(memory: &mut FakeMemory, at: Addr, offset: u32, word: u64) {
        memory.put_u64(at.plus(offset.into()), word);
    }

    /// The states of a process of this layout.
    fn image(layout: &Layout) -> FakeMemory {
        let mut memory = FakeMemory::new();
        let state = &layout.interpreter_state;
        memory.put_u32(RUNTIME.plus((layout.runtime_state.allocator - TO_ALLOCATOR).into()), 2);
        put(&mut memory, RUNTIME, layout.runtime_state.interpreters_head, INTERPRETER.0);
        put(&mut memory, INTERPRETER, state.modules, MODULES.0);
        put(&mut memory, MODULES, layout.object.ob_type, DICT.0);
        put(&mut memory, DICT, layout.type_object.tp_subclasses, 7);
        if let (Some(types), Some(known)) = (&layout.types_state, &layout.managed_static_type_state) {
            let record = types.builtins + 6 * known.size + known.r#type.unwrap();
            put(&mut memory, INTERPRETER.plus(state.types.unwrap().into()), record, DICT.0);
        }
        memory
    }

    #[test]
    fn longer_locks_are_recognized() {
        for minor in [8, 11, 12, 13, 14, 15] {
            let short = *layout(minor);
            let long = with_longer_locks(&short);
            assert_ne!(short, long);
            assert_eq!(with_own_locks(&short, &image(&short), RUNTIME), short, "3.{minor}");
            assert_eq!(with_own_locks(&short, &image(&long), RUNTIME), long, "3.{minor}");
            // Nothing can be known yet.
            assert_eq!(with_own_locks(&short, &FakeMemory::new(), RUNTIME), short, "3.{minor}");
        }
    }
}
