//! A small heap made by hand, in each shape that there is, and damaged.

use proptest::prelude::*;

use super::*;
use memobj_process::memory::FakeMemory;

const DATA: u64 = 0x10_0000;
const HEAP: u64 = 0x20_0000;
/// Where the arena's bytes begin in the data: as far from a multiple of 16 as the compiler may put it.
const STATE: u64 = DATA + 0x140;
const END: u64 = HEAP + 0x4000;

struct Words(Vec<u8>);

impl Words {
    fn put(&mut self, base: u64, at: u64, word: u64) {
        let from = (at - base) as usize;
        self.0[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// The data and the heap: a thread's cache with one chunk, chunks in use, a large free one, one in a fast bin if there are any, a top.
fn made(top: u64, protected: bool) -> [(u64, Vec<u8>); 2] {
    let (mut data, mut heap) = (Words(vec![0; 0x2000]), Words(vec![0; (END - HEAP) as usize]));
    let chunks: [(u64, u64); 7] = [
        (0x290, 1),  // the cache
        (0x40, 1),   // in use
        (0x30, 1),   // in the cache
        (0x2000, 1), // free
        (0x50, 0),   // in use; the one before is free
        (0x20, 1),   // in a fast bin
        (0x30, 1),   // in use
    ];
    let mut at = HEAP;
    let mut starts = Vec::new();
    for (size, before_in_use) in chunks {
        heap.put(HEAP, at + 8, size | before_in_use);
        starts.push(at);
        at += size;
    }
    heap.put(HEAP, at + 8, (END - at) | 1);
    let link = |at: u64| if protected { at >> 12 } else { 0 };
    // The cache's list of chunks of 48 bytes is its second one.
    let (cache, cached) = (starts[0] + 16, starts[2] + 16);
    heap.0[(cache + 2 - HEAP) as usize] = 1;
    heap.put(HEAP, cache + 128 + 8, cached);
    heap.put(HEAP, cached, link(cached));
    if top > 8 {
        data.put(DATA, STATE + 16, starts[5]);
        heap.put(HEAP, starts[5] + 16, link(starts[5] + 16));
    }
    data.put(DATA, STATE + top, at);
    for bin in 0..127 {
        let head = STATE + top + 16 + bin * 16;
        // The free chunk is in the first bin.
        let word = if bin == 0 { starts[3] } else { head - 16 };
        data.put(DATA, head, word);
        data.put(DATA, head + 8, word);
    }
    let next = STATE + top + 16 + 127 * 16 + 16;
    data.put(DATA, next, STATE);
    data.put(DATA, next + 24, END - HEAP);
    [(DATA, data.0), (HEAP, heap.0)]
}

fn read(parts: &[(u64, Vec<u8>); 2]) -> Glibc {
    let mut image = FakeMemory::default();
    for (at, bytes) in parts {
        image.put(Addr(*at), bytes);
    }
    let places = SearchAreas {
        data: vec![Addr(DATA)..Addr(DATA + 0x2000)],
        heap: Some(Addr(HEAP)..Addr(END)),
        ..SearchAreas::default()
    };
    Glibc::read(&image, &places)
}

#[test]
fn arenas_are_found_by_their_bins() {
    for (top, protected, fast) in [(96, true, 0x20), (96, false, 0x20), (8, true, 0)] {
        let glibc = read(&made(top, protected));
        let used = 0x290 + 0x40 + 0x50 + 0x20 + 0x30;
        let expected = Arena {
            main: true,
            system_bytes: END - HEAP,
            used_bytes: used - fast,
            free_bytes: 0x2000,
            fast_bytes: fast,
            cached_bytes: 0x30,
            top_bytes: END - HEAP - used - 0x30 - 0x2000,
            lost_bytes: 0,
        };
        assert_eq!(glibc.arenas, [expected], "top at {top}");
        // Whole pages within the free chunk, which begins at 0x300; and the top's, without the page it begins in.
        let trimmable: Vec<_> =
            glibc.trimmable.iter().map(|range| (range.start.0 - HEAP, range.end.0 - HEAP)).collect();
        assert_eq!(trimmable, [(0x1000, 0x2000), (0x3000, 0x4000)]);
        let image = made(top, protected);
        let mut memory = FakeMemory::default();
        memory.put(Addr(HEAP), &image[1].1);
        let chunk = glibc.chunk(&memory, Addr(HEAP + 0x290 + 16)).unwrap();
        assert_eq!((chunk.start.0, chunk.end.0), (HEAP + 0x290, HEAP + 0x2d0));
        assert_eq!(glibc.chunk(&memory, Addr(HEAP + 0x290 + 32)), None);
    }
}

proptest! {
    #[test]
    fn damaged_chunks_end_the_walk(changes in proptest::collection::vec((0_usize..2, 0_usize..0x2000, any::<u8>()), 1..40)) {
        let mut parts = made(96, true);
        for (part, at, byte) in changes {
            parts[part].1[at] ^= byte;
        }
        let glibc = read(&parts);
        for arena in &glibc.arenas {
            prop_assert!(arena.used_bytes + arena.free_bytes + arena.cached_bytes + arena.fast_bytes <= 2 * (END - HEAP));
        }
    }
}
