//! From any address to the pool that it lies in, in a few nanoseconds.

use memobj_process::addr::Addr;

use super::{Pool, Pools};

/// No pool: there are never so many.
const NONE: u32 = u32::MAX;

/// The pools by the numbers of the addresses they begin at, hashed.
#[derive(Debug)]
pub struct PoolIndex<'p> {
    pools: &'p [Pool],
    /// The unit of pools: each begins at a multiple of it, and has a slot for each unit.
    pool_bytes: u64,
    /// The lowest address of a pool, and the first behind all of them.
    bounds: (u64, u64),
    /// The number of the pool, at the place of its hash or behind; twice as many places as pools, a power of two.
    slots: Vec<u32>,
}

impl<'p> PoolIndex<'p> {
    /// Indexes some pools.
    pub fn new(pools: &'p Pools) -> Self {
        let bounds = match (pools.pools.first(), pools.pools.last()) {
            (Some(first), Some(last)) => (first.at.0, last.range().end.0),
            _ => (0, 0),
        };
        // Pools do not overlap and are in existing memory, so there are not too many.
        let parts = |pool: &Pool| pool.bytes.div_ceil(pools.pool_bytes.max(1));
        let all = pools.pools.iter().map(parts).fold(0, u64::saturating_add);
        let all = usize::try_from(all).unwrap_or(0);
        let slots = vec![NONE; all.saturating_mul(2).next_power_of_two()];
        let mut index = Self { pools: &pools.pools, pool_bytes: pools.pool_bytes.max(1), bounds, slots };
        for (number, pool) in (0..NONE).zip(&pools.pools) {
            let first = pool.at.0.checked_div(index.pool_bytes).unwrap_or(0);
            (first..first.saturating_add(parts(pool))).for_each(|part| index.insert(part, number));
        }
        index
    }

    fn insert(&mut self, part: u64, number: u32) {
        let mut place = self.place(part);
        while self.slots.get(place).is_some_and(|&slot| slot != NONE) {
            place = self.wrap(place.wrapping_add(1));
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = number;
        }
    }

    /// A place in the table, which is as long as a power of two.
    #[inline]
    const fn wrap(&self, place: usize) -> usize {
        place & self.slots.len().wrapping_sub(1)
    }

    /// Fibonacci hashing: neighbours come to lie far apart.
    #[inline]
    fn place(&self, number: u64) -> usize {
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.wrap((hash >> 32) as usize)
    }

    /// The number of the pool that `at` lies in, and of the block in it. Blocks that were never given out have none.
    #[inline]
    pub fn block_at(&self, at: Addr) -> Option<(usize, usize)> {
        if at.0 < self.bounds.0 || at.0 >= self.bounds.1 {
            return None;
        }
        let mut place = self.place(at.0.checked_div(self.pool_bytes)?);
        loop {
            let number = *self.slots.get(place)?;
            if number == NONE {
                return None;
            }
            let pool = self.pools.get(number as usize)?;
            if at.0.wrapping_sub(pool.at.0) < pool.bytes {
                let offset = at.0.wrapping_sub(pool.at.0);
                let block = offset.checked_sub(pool.header.into())?.checked_div(pool.block_bytes)?;
                let block = usize::try_from(block).ok().filter(|&block| block < pool.handed_out())?;
                return Some((number as usize, block));
            }
            place = self.wrap(place.wrapping_add(1));
        }
    }

    /// A pool by its number.
    #[inline]
    pub fn pool(&self, number: usize) -> Option<&Pool> {
        self.pools.get(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeapTag, LISTS};
    use super::*;

    #[test]
    fn index_finds_blocks_by_any_address() {
        let pool = |at: u64| Pool {
            at: Addr(at),
            bytes: 0x4000,
            block_bytes: 48,
            used: 1,
            handed_out: 10,
            header: 48,
            heap: HeapTag::Any,
            free: [Addr::NULL; LISTS],
        };
        let pools = Pools {
            pools: (0..1000).map(|index| pool(0x7000_0000_0000 + index * 3 * 0x4000)).collect(),
            pool_bytes: 0x4000,
            ..Pools::default()
        };
        let index = PoolIndex::new(&pools);
        for (number, pool) in pools.pools.iter().enumerate() {
            for (offset, block) in [(48, 0), (95, 0), (96, 1), (48 + 48 * 10 - 1, 9)] {
                assert_eq!(index.block_at(pool.at.plus(offset)), Some((number, block)), "{number} {offset}");
            }
            for none in [0, 47, 48 + 48 * 10, 0x3fff, 0x4000, 0x8000] {
                assert_eq!(index.block_at(pool.at.plus(none)), None, "{number} {none}");
            }
        }
        assert_eq!(index.block_at(Addr(0)), None);
        // All parts of a long pool are found.
        let long =
            Pool { bytes: 3 * 0x4000, block_bytes: 0x2800, handed_out: 4, header: 0, ..pool(0x10_0000) };
        let pools = Pools { pools: vec![long, pool(0x10_c000)], pool_bytes: 0x4000, ..Pools::default() };
        let index = PoolIndex::new(&pools);
        for (offset, found) in [(0, (0, 0)), (0x4000, (0, 1)), (0x9fff, (0, 3)), (0xc030, (1, 0))] {
            assert_eq!(index.block_at(Addr(0x10_0000 + offset)), Some(found), "{offset:#x}");
        }
        assert_eq!(index.block_at(Addr(0x10_a000)), None);
        assert_eq!(index.block_at(Addr(u64::MAX)), None);
        assert_eq!(PoolIndex::new(&Pools::default()).block_at(Addr(0x1000)), None);
    }
}
