//! Anonymous memory that a program or library has mapped for itself: its static data has a pointer to the beginning.
//!
//! OpenBLAS has buffers of 32 MiB for each thread, CPython chunks of its frames' stack; such memory is no malloc's, and nobody else says
//! whose it is. A pointer to exactly the beginning of a page, in static data, that leads into memory of which nothing else is known, is hardly chance.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::span::{RowId, Span, Spans};

/// Static data that is looked through, in bytes.
const MOST_DATA: u64 = 1 << 28;
/// Pointers that are taken note of: nobody maps so many pieces.
const MOST_POINTERS: usize = 1 << 16;
/// Read at once.
const PIECE: u64 = 1 << 16;
const PAGE: u64 = 4096;

/// What of `unknown` somebody has a pointer to: each piece from there to the next such place, or its end. `data` is static data with whose it
/// is; both are by address.
pub(super) fn find(memory: &(impl Memory + ?Sized), data: &[Span], unknown: &[Range<Addr>]) -> Vec<Span> {
    let mut found: Vec<(Addr, RowId)> = Vec::new();
    let mut left = MOST_DATA;
    let mut buffer = vec![0; PIECE as usize];
    for span in data {
        let length = span.end.0.saturating_sub(span.start.0).min(left);
        left -= length;
        let mut from = 0;
        while from < length && found.len() < MOST_POINTERS {
            let size = PIECE.min(length - from);
            let Some(piece) = buffer.get_mut(..size as usize) else { break };
            if memory.read(span.start.plus(from), piece).is_ok() {
                let words = piece.as_chunks::<8>().0.iter().map(|word| Addr(u64::from_le_bytes(*word)));
                let pointers = words.filter(|to| to.0 & (PAGE - 1) == 0 && within(unknown, *to).is_some());
                found.extend(pointers.map(|to| (to, span.row)));
            }
            from += size;
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|(at, _)| *at);
    let mut spans = Spans::default();
    for (number, (at, row)) in found.iter().enumerate() {
        let end = within(unknown, *at).map_or(*at, |range| range.end);
        let next = found.get(number + 1).map_or(end, |(next, _)| end.min(*next));
        spans.push(Span { start: *at, end: next, row: *row });
    }
    spans.sorted()
}

/// The range that an address lies in.
fn within(ranges: &[Range<Addr>], at: Addr) -> Option<&Range<Addr>> {
    let behind = ranges.partition_point(|range| range.start <= at);
    ranges.get(behind.checked_sub(1)?).filter(|range| at < range.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memobj_process::memory::FakeMemory;

    #[test]
    fn what_static_data_points_to_is_its_library_s() {
        let mut image = FakeMemory::new();
        image.put(Addr(0x1000), &[0; 64]);
        image.put(Addr(0x3000), &[0; 64]);
        for (at, to) in
            [(0x1008, 0x7000_2000), (0x1010, 0x7000_2001), (0x1018, 0x9000_0000), (0x3000, 0x7000_4000)]
        {
            image.put_u64(Addr(at), to);
        }
        let data = |at: u64, row: u32| Span::at(Addr(at), 64, RowId(row));
        let unknown = [Addr(0x7000_1000)..Addr(0x7000_8000), Addr(0x7100_0000)..Addr(0x7200_0000)];
        let found = find(&image, &[data(0x1000, 5), data(0x3000, 6)], &unknown);
        let piece =
            |start: u64, end: u64, row: u32| Span { start: Addr(start), end: Addr(end), row: RowId(row) };
        assert_eq!(found, [piece(0x7000_2000, 0x7000_4000, 5), piece(0x7000_4000, 0x7000_8000, 6)]);
    }
}
