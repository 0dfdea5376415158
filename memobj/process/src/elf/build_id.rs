//! Build ids: in files and in memory.

use object::elf;

use crate::addr::Addr;
use crate::memory::Memory;

/// The longest build id that is read, in bytes; linkers write 20.
const MAX_BUILD_ID: usize = 64;
/// The bytes of a note segment that are searched.
const MAX_NOTES: u64 = 1 << 16;
const MAX_SEGMENTS: u16 = 1024;

/// The linker's hash of a build's content: equal in copies, different in every other build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildId {
    length: usize,
    /// Zeros after `length`.
    bytes: [u8; MAX_BUILD_ID],
}

impl BuildId {
    /// Copies a build id; `None` if it is longer than any that linkers write.
    #[must_use]
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_BUILD_ID];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { length: id.len(), bytes })
    }
}

/// Reads the build id of the file whose beginning is mapped at `start`, by its headers in memory.
#[must_use]
pub fn build_id_in_memory(memory: &dyn Memory, start: Addr) -> Option<BuildId> {
    let mut magic = [0; 6];
    memory.read(start, &mut magic).ok()?;
    // 64 bits, little endian.
    (magic == [0x7f, b'E', b'L', b'F', 2, 1]).then_some(())?;
    let is_fixed = memory.read_u16(start.plus(16)).ok()? == elf::ET_EXEC.0;
    let table = start.plus(memory.read_u64(start.plus(32)).ok()?);
    let size = u64::from(memory.read_u16(start.plus(54)).ok()?);
    let count = memory.read_u16(start.plus(56)).ok()?.min(MAX_SEGMENTS);
    let header = |number: u16| table.plus(u64::from(number).wrapping_mul(size));
    let is = |number: u16, kind: u32| memory.read_u32(header(number)).is_ok_and(|found| found == kind);
    let address = |number: u16| memory.read_u64(header(number).plus(16)).ok();
    let first = (0..count).filter(|&part| is(part, elf::PT_LOAD.0)).filter_map(address).min()?;
    let bias = if is_fixed { 0 } else { start.minus(Addr(first).page_start().0).0 };
    (0..count).filter(|&part| is(part, elf::PT_NOTE.0)).find_map(|part| {
        let notes = Addr(address(part)?.wrapping_add(bias));
        let length = memory.read_u64(header(part).plus(40)).ok()?.min(MAX_NOTES);
        build_id_of_notes(memory, notes, length)
    })
}

/// Each note is the length of its name, the length of its content and its type, then both, each padded to four bytes: elf(5).
fn build_id_of_notes(memory: &dyn Memory, notes: Addr, length: u64) -> Option<BuildId> {
    let mut at = 0_u64;
    while at.checked_add(12)? <= length {
        let field = |offset: u64| memory.read_u32(notes.plus(at).plus(offset)).ok().map(u64::from);
        let (name, content, kind) = (field(0)?, field(4)?, field(8)?);
        let content_at = at.checked_add(12)?.checked_add(name.next_multiple_of(4))?;
        if kind == u64::from(elf::NT_GNU_BUILD_ID.0) && name == 4 && content <= MAX_BUILD_ID as u64 {
            let mut id = [0; MAX_BUILD_ID];
            let id = id.get_mut(..usize::try_from(content).ok()?)?;
            memory.read(notes.plus(content_at), id).ok()?;
            return BuildId::new(id);
        }
        at = content_at.checked_add(content.next_multiple_of(4))?;
    }
    None
}
