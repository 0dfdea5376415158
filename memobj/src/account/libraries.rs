//! Anonymous memory that a program or library has mapped for itself, known by a pointer to its start in their static data.
//!
//! OpenBLAS has buffers of 32 MiB for each thread, CPython chunks of its frames' stack; such memory is not malloc's. A pointer in static
//! data to exactly the start of a page, in memory of which nothing else is known, is hardly chance.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::{Memory, for_each_word, range_at};

use super::span::{RowId, Span, Spans};

/// Bytes of static data that are searched.
const MAX_DATA: u64 = 1 << 28;
/// Pointers that are collected; no program maps so many pieces.
const MAX_POINTERS: usize = 1 << 16;
const PAGE: u64 = 4096;

/// The parts of `unknown` to which `data` has pointers: each from there to the next such address, or to its end. `data` is static data
/// with its owners; both lists are by address.
pub(super) fn find(memory: &(impl Memory + ?Sized), data: &[Span], unknown: &[Range<Addr>]) -> Vec<Span> {
    let mut found: Vec<(Addr, RowId)> = Vec::new();
    let mut left = MAX_DATA;
    for span in data {
        let length = span.end.0.saturating_sub(span.start.0).min(left);
        left = left.saturating_sub(length);
        for_each_word(memory, &[span.start..span.start.plus(length)], |_, word| {
            let is_page = word & (PAGE - 1) == 0;
            if is_page && found.len() < MAX_POINTERS && range_at(unknown, Addr(word)).is_some() {
                found.push((Addr(word), span.row));
            }
        });
    }
    found.sort_unstable();
    found.dedup_by_key(|(at, _)| *at);
    let next = found.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
    let span = |(&(start, row), next): (&(Addr, RowId), Option<Addr>)| {
        let end = range_at(unknown, start).map_or(start, |range| range.end);
        Span { start, end: next.map_or(end, |next| end.min(next)), row }
    };
    found.iter().zip(next).map(span).collect::<Spans>().sorted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memobj_process::memory::FakeMemory;

    #[test]
    fn static_pointers_name_owners() {
        let mut image = FakeMemory::new();
        image.put(Addr(0x1000), &[0; 64]);
        image.put(Addr(0x3000), &[0; 64]);
        for (at, to) in
            [(0x1008, 0x7000_2000), (0x1010, 0x7000_2001), (0x1018, 0x9000_0000), (0x3000, 0x7000_4000)]
        {
            image.put_u64(Addr(at), to);
        }
        let data = |at: u64, row: u32| Span { start: Addr(at), end: Addr(at + 64), row: RowId(row) };
        let unknown = [Addr(0x7000_1000)..Addr(0x7000_8000), Addr(0x7100_0000)..Addr(0x7200_0000)];
        let found = find(&image, &[data(0x1000, 5), data(0x3000, 6)], &unknown);
        let piece =
            |start: u64, end: u64, row: u32| Span { start: Addr(start), end: Addr(end), row: RowId(row) };
        assert_eq!(found, [piece(0x7000_2000, 0x7000_4000, 5), piece(0x7000_4000, 0x7000_8000, 6)]);
    }
}
