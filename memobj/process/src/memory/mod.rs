//! Reading the memory of another process: live, copied, in a core file or in a snapshot.

mod address_table;
mod any_memory;
mod buffers;
mod earlier_copy;
mod fake;
mod file_part;
mod frozen;
mod lazy_copy;
mod page_cache;
mod page_index;
mod proc_mem;
mod ranges;
mod read;

pub use crate::addr::PAGE_SIZE;
pub use any_memory::AnyMemory;
pub use buffers::CopyBuffer;
pub use earlier_copy::EarlierCopy;
pub use fake::FakeMemory;
pub use file_part::FilePart;
pub use frozen::{Backing, BufferFull, CopyBuilder, FrozenMemory, Uncopied};
pub use lazy_copy::LazyCopy;
pub use page_cache::{PageCache, ReadCounts};
pub use page_index::PageUse;
pub use proc_mem::{ProcMem, read_scattered};
pub use ranges::{contiguous_end, gaps, merge_nearby, merge_overlapping, range_at};
pub use read::{Memory, Unreadable, for_each_word};
