//! From any address to the pool that it lies in, in a few nanoseconds.

use crate::addr::Addr;

use super::{Pool, Pools};

/// No pool: there are never so many.
const NONE: u32 = u32::MAX;

/// The pools by the numbers of the addresses they begin at, hashed.
#[derive(Debug)]
pub struct Index<'p> {
    pools: &'p [Pool],
    pool_bytes: u64,
    /// The lowest address of a pool, and the first behind all of them.
    bounds: (u64, u64),
    /// The number of the pool, at the place of its hash or behind; twice as many places as pools, a power of two.
    slots: Vec<u32>,
}

impl<'p> Index<'p> {
    /// That of some pools.
    #[must_use]
    pub fn new(pools: &'p Pools) -> Self {
        let bounds = match (pools.pools.first(), pools.pools.last()) {
            (Some(first), Some(last)) => (first.at.0, last.at.0.saturating_add(pools.pool_bytes)),
            _ => (0, 0),
        };
        let slots = vec![NONE; (pools.pools.len() * 2).next_power_of_two()];
        let mut index = Self { pools: &pools.pools, pool_bytes: pools.pool_bytes.max(1), bounds, slots };
        for (number, pool) in (0..NONE).zip(&pools.pools) {
            let mut place = index.place(pool.at.0 / index.pool_bytes);
            while index.slots.get(place).is_some_and(|&slot| slot != NONE) {
                place = (place + 1) & (index.slots.len() - 1);
            }
            if let Some(slot) = index.slots.get_mut(place) {
                *slot = number;
            }
        }
        index
    }

    /// Fibonacci hashing: neighbours come to lie far apart.
    #[inline]
    fn place(&self, number: u64) -> usize {
        let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    /// The number of the pool that `at` lies in, and of the block in it. Blocks that were never given out have none.
    #[inline]
    #[must_use]
    pub fn block_at(&self, at: Addr) -> Option<(usize, usize)> {
        if at.0 < self.bounds.0 || at.0 >= self.bounds.1 {
            return None;
        }
        let start = at.0 - at.0 % self.pool_bytes;
        let mut place = self.place(at.0 / self.pool_bytes);
        loop {
            let number = *self.slots.get(place)?;
            if number == NONE {
                return None;
            }
            let pool = self.pools.get(number as usize)?;
            if pool.at.0 == start {
                let offset = u32::try_from(at.0 - start).ok()?;
                let block = offset.checked_sub(pool.header)? / pool.block_bytes.max(1);
                return (offset < pool.untouched).then_some((number as usize, block as usize));
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// A pool by its number.
    #[inline]
    #[must_use]
    pub fn pool(&self, number: usize) -> Option<&Pool> {
        self.pools.get(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_found_by_any_address_in_it_and_nothing_else_is() {
        let pool = |at: u64| Pool {
            at: Addr(at),
            block_bytes: 48,
            used: 1,
            header: 48,
            untouched: 48 + 48 * 10,
            free: Addr::NULL,
        };
        let pools = Pools {
            pools: (0..1000).map(|index| pool(0x7000_0000_0000 + index * 3 * 0x4000)).collect(),
            pool_bytes: 0x4000,
            ..Pools::default()
        };
        let index = Index::new(&pools);
        for (number, pool) in pools.pools.iter().enumerate() {
            for (offset, block) in [(48, 0), (95, 0), (96, 1), (48 + 48 * 10 - 1, 9)] {
                assert_eq!(index.block_at(pool.at.plus(offset)), Some((number, block)), "{number} {offset}");
            }
            for none in [0, 47, 48 + 48 * 10, 0x3fff, 0x4000, 0x8000] {
                assert_eq!(index.block_at(pool.at.plus(none)), None, "{number} {none}");
            }
        }
        assert_eq!(index.block_at(Addr(0)), None);
        assert_eq!(index.block_at(Addr(u64::MAX)), None);
        assert_eq!(Index::new(&Pools::default()).block_at(Addr(0x1000)), None);
    }
}
