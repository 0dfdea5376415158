//! Reference counts of objects.
//!
//! Facts: `Include/object.h` and `Include/refcount.h` of 3.8 to 3.14.

use memobj_cpython::layout::Layout;
use memobj_cpython::layout::encoding::RefCounts;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, Unreadable};

/// Greater values are flags: immortal objects, and objects whose references from frames are not counted (free-threaded builds).
const MARK: u64 = 1 << 40;

/// Reads the reference count of an object; `None` for an immortal one.
pub(super) fn read_count<M: Memory>(
    memory: &M,
    layout: &Layout,
    at: Addr,
) -> Result<Option<u64>, Unreadable> {
    let known = &layout.object;
    let none = Unreadable { at };
    let count = match layout.encodings.refcounts {
        RefCounts::Word => memory.read_word(at, known.ob_refcnt.ok_or(none)?)?,
        RefCounts::WordOrImmortal => {
            let word = memory.read_word(at, known.ob_refcnt.ok_or(none)?)?;
            // Bit 31: the sign of the lower half.
            if word >> 31 & 1 == 1 {
                return Ok(None);
            }
            word
        }
        RefCounts::HalfOrImmortal => {
            let half = memory.read_int(at, known.ob_refcnt.ok_or(none)?)?;
            match u64::try_from(half) {
                Ok(count) => count,
                Err(_) => return Ok(None),
            }
        }
        RefCounts::Biased => {
            let local = memory.read_int(at, known.ob_ref_local.ok_or(none)?)?.cast_unsigned();
            if local == u32::MAX {
                return Ok(None);
            }
            // Its two lowest bits are flags (`_Py_REF_SHARED_SHIFT`).
            let shared = memory.read_signed(at, known.ob_ref_shared.ok_or(none)?)? >> 2;
            u64::try_from(i64::from(local).saturating_add(shared)).unwrap_or(0)
        }
    };
    Ok((count < MARK).then_some(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memobj_cpython::layout::{Build, candidates};
    use memobj_process::memory::FakeMemory;

    fn count(minor: u32, word: u64) -> Option<u64> {
        let build = Build { hexversion: 0x300_00f0 | minor << 16, free_threaded: false, debug: false };
        let layout = candidates(build).unwrap().first().copied().unwrap();
        let mut image = FakeMemory::new();
        image.put_u64(Addr(0x1000), word);
        read_count(&image, layout, Addr(0x1000)).unwrap()
    }

    #[test]
    fn immortal_objects_do_not_count() {
        assert_eq!(count(8, 3), Some(3));
        assert_eq!(count(8, 0xffff_ffff), Some(0xffff_ffff));
        assert_eq!(count(12, 3), Some(3));
        assert_eq!(count(12, 0xffff_ffff), None);
        assert_eq!(count(13, 0xc000_0000), None);
        assert_eq!(count(13, u64::MAX), None);
    }
}
