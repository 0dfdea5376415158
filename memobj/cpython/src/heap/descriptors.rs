//! File descriptors that objects own: files, sockets, epoll objects and mappings of files.
//!
//! A type is recognized like those of [`builtins`](super::builtins): by the name in its C source and the size of its struct.

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use crate::layout::{BitField, Layout};
use crate::object::memory_ext::MemoryExt;

/// Where the objects of a type have a file descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorField {
    /// The offset of its number, an `int`.
    number: u32,
    /// Whether the object closes it; `None` if it always does.
    owned: Option<BitField>,
}

impl DescriptorField {
    /// The file descriptor of the object at `at`; `None` if it has none, has closed it, does not own it, or cannot be read.
    pub fn read<M: Memory + ?Sized>(self, memory: &M, at: Addr) -> Option<u32> {
        if let Some(owned) = self.owned
            && owned.extract(memory.read_byte(at, owned.byte).ok()?.into(), owned.byte) == 0
        {
            return None;
        }
        // It is -1 once it is closed.
        u32::try_from(memory.read_int(at, self.number).ok()?).ok()
    }
}

/// Where the objects of the C type with this name and this basic size have a file descriptor; `None` if they have none.
pub fn find_descriptor_field(name: &[u8], basicsize: u64, layout: &Layout) -> Option<DescriptorField> {
    let (size, number, owned) = match name {
        b"_io.FileIO" => layout.file_io.map(|of| (of.size, of.fd, Some(of.closefd)))?,
        b"_socket.socket" | b"socket.socket" => layout.socket_object.map(|of| (of.size, of.sock_fd, None))?,
        b"select.epoll" => layout.epoll_object.map(|of| (of.size, of.epfd, None))?,
        b"mmap.mmap" => layout.mmap_object.map(|of| (of.size, of.fd, None))?,
        _ => return None,
    };
    (u64::from(size) == basicsize).then_some(DescriptorField { number, owned })
}
