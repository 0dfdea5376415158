//! Pools made by hand.

use super::*;
use crate::layout::{self, Build};
use memobj_process::memory::FakeMemory;

/// The layout of 3.9, with pools of 4 KiB, or of 3.13.
fn layout(minor: u32) -> &'static Layout {
    let build = Build { hexversion: 0x0300_00f0 | minor << 16, free_threaded: false, debug: false };
    layout::candidates(build).unwrap()[0]
}

/// A pool at `at` of blocks of 32 bytes: `handed_out` were given out, of which those of `free` were given back, the last one first.
fn put_pool(image: &mut FakeMemory, layout: &Layout, at: Addr, handed_out: u32, free: &[u32]) {
    let fields = layout.pool_header.as_ref().unwrap();
    let size = layout.encodings.pymalloc.pool_bytes;
    let place = |index: u32| at.plus(u64::from(fields.size + 32 * index));
    image.put(at, &vec![0xaa; size as usize]);
    let mut int = |offset: u32, value: u32| {
        image.put_u32(at.plus(offset.into()), value);
    };
    int(fields.ref_count, handed_out - free.len() as u32);
    int(fields.szidx, 1);
    int(fields.arenaindex, 7);
    int(fields.nextoffset, fields.size + 32 * handed_out);
    int(fields.maxnextoffset, size - 32);
    let mut next = 0;
    for &index in free {
        image.put_u64(place(index), next);
        next = place(index).0;
    }
    image.put_u64(at.plus(fields.freeblock.into()), next);
}

#[test]
fn free_blocks_are_not_in_use() {
    for minor in [9, 13] {
        let layout = layout(minor);
        let mut image = FakeMemory::new();
        let at = Addr(0x10_0000);
        put_pool(&mut image, layout, at, 10, &[3, 0, 9]);
        let pool = Pool::read(&image, layout, at).unwrap().unwrap();
        assert_eq!((pool.used, pool.block_bytes, pool.used_bytes()), (7, 32, 224));
        let mut blocks = Vec::new();
        assert!(pool.for_each_used_block(&image, |block| {
            blocks.push((block.0 - at.0 - u64::from(pool.header)) / 32)
        }));
        assert_eq!(blocks, [1, 2, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn implausible_pool_is_refused() {
    let layout = layout(13);
    let fields = layout.pool_header.as_ref().unwrap();
    let at = Addr(0x10_0000);
    let mut good = FakeMemory::new();
    put_pool(&mut good, layout, at, 10, &[]);
    assert!(Pool::read(&good, layout, at).unwrap().is_some());
    for (offset, value) in [
        (fields.szidx, 32),
        (fields.szidx, u32::MAX),
        (fields.ref_count, 2000),
        (fields.maxnextoffset, 8),
        (fields.nextoffset, 17),
        (fields.nextoffset, u32::MAX),
    ] {
        let mut image = good.clone();
        image.put_u32(at.plus(offset.into()), value);
        assert_eq!(Pool::read(&image, layout, at), Err(Unreadable { at }), "{offset} {value}");
    }
    let mut empty = good.clone();
    empty.put_u32(at.plus(fields.ref_count.into()), 0);
    assert_eq!(Pool::read(&empty, layout, at), Ok(None));
}

#[test]
fn damaged_free_list_ends() {
    let layout = layout(13);
    let at = Addr(0x10_0000);
    for wrong in [0x10_0030 + 64, 0x10_0031, 0xdead_0000, u64::MAX, 1] {
        let mut image = FakeMemory::new();
        put_pool(&mut image, layout, at, 10, &[2]);
        image.put_u64(Addr(0x10_0030 + 64), wrong);
        let pool = Pool::read(&image, layout, at).unwrap().unwrap();
        let mut blocks = 0;
        assert!(!pool.for_each_used_block(&image, |_| blocks += 1), "{wrong:#x}");
        assert_eq!(blocks, 9);
    }
}

#[test]
fn arena_table_and_scan_agree() {
    let layout = layout(13);
    let (fields, sizes) = (layout.arena_object.as_ref().unwrap(), layout.encodings.pymalloc);
    let (pool, table) = (u64::from(sizes.pool_bytes), Addr(0x1000));
    // An arena that does not begin at a multiple of a pool's size.
    let arena = Addr(0x20_1000);
    let first = Addr(0x20_4000);
    let mut image = FakeMemory::new();
    for index in 0..3 {
        put_pool(&mut image, layout, first.plus(index * pool), 5, &[1]);
    }
    // Slot 0 is not used.
    image.put_u64(table.plus(u64::from(fields.size + fields.address)), arena.0);
    image.put_u64(table.plus(u64::from(fields.size + fields.pool_address)), first.plus(3 * pool).0);
    let by_table = read_listed_pools(&image, layout, &[ArenaArray { at: table, slots: 2 }]).unwrap();
    let by_scan = scan_pools(&image, layout, image.regions());
    assert_eq!(by_table.pools, by_scan.pools);
    assert_eq!((by_table.ranges.len(), by_scan.ranges.len(), by_table.pools.len()), (1, 1, 3));
    assert_eq!((by_table.blocks(), by_table.used_bytes()), (12, 384));
}
