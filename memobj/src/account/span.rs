//! Layers of spans over the resident pages: each byte belongs to the topmost span over it.

use std::ops::Range;

use memobj_process::addr::Addr;
use memobj_process::residence::{PageKind, PageRun};

/// A row of the account, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u32);

/// Bytes that belong to one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: Addr,
    /// The byte behind the last one.
    pub end: Addr,
    /// Their row.
    pub row: RowId,
}

impl Span {
    /// The bytes of a range.
    pub const fn new(range: &Range<Addr>, row: RowId) -> Self {
        Self { start: range.start, end: range.end, row }
    }
}

/// Bytes by the kind of their pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageBytes {
    /// Resident, in pages of this process alone.
    pub private_bytes: u64,
    /// Resident, in pages that other processes have mapped too.
    pub shared_bytes: u64,
    /// In swap.
    pub swapped_bytes: u64,
}

impl PageBytes {
    /// Bytes that count as RSS.
    pub const fn resident_bytes(&self) -> u64 {
        self.private_bytes.saturating_add(self.shared_bytes)
    }

    /// Adds bytes in pages of a kind.
    pub const fn add(&mut self, kind: PageKind, bytes: u64) {
        let sum = match kind {
            PageKind::Private => &mut self.private_bytes,
            PageKind::Shared => &mut self.shared_bytes,
            PageKind::Swapped => &mut self.swapped_bytes,
        };
        *sum = sum.saturating_add(bytes);
    }

    /// Adds other bytes.
    pub const fn merge(&mut self, other: Self) {
        self.add(PageKind::Private, other.private_bytes);
        self.add(PageKind::Shared, other.shared_bytes);
        self.add(PageKind::Swapped, other.swapped_bytes);
    }
}

/// A layer of spans in the order of their starts. Where one begins before the last one ends, the earlier one has the bytes of both.
pub type Layer<'a> = Box<dyn Iterator<Item = Span> + 'a>;

/// A layer, and its span at the current byte or behind it.
struct Cursor<'a> {
    spans: Layer<'a>,
    span: Option<Span>,
}

impl Cursor<'_> {
    /// Moves on to the first span that ends behind `at`.
    fn advance(&mut self, at: Addr) {
        while let Some(span) = self.span {
            if span.end > at {
                return;
            }
            self.span = self.spans.next().map(|next| Span { start: next.start.max(span.end), ..next });
        }
    }
}

/// The owner of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteOwner {
    /// The row of the topmost span over them; `None` without one.
    pub row: Option<RowId>,
    /// The row of the topmost span below that, if that is of the topmost layer.
    pub within: Option<RowId>,
}

/// Calls `each` with the owner of the bytes of `pages`, each byte once, by address. `layers` are ordered from the lowest to the topmost.
pub fn attribute_bytes(
    pages: &[PageRun],
    layers: Vec<Layer<'_>>,
    mut each: impl FnMut(ByteOwner, PageKind, u64),
) {
    let topmost_first = layers.into_iter().rev();
    let mut cursors: Vec<Cursor<'_>> =
        topmost_first.map(|mut spans| Cursor { span: spans.next(), spans }).collect();
    for run in pages {
        let mut at = run.range.start;
        while at < run.range.end {
            let mut until = run.range.end;
            let mut owner = ByteOwner { row: None, within: None };
            for (layer, cursor) in cursors.iter_mut().enumerate() {
                cursor.advance(at);
                let Some(span) = cursor.span else { continue };
                if span.start > at {
                    until = until.min(span.start);
                    continue;
                }
                until = until.min(span.end);
                if layer == 0 {
                    owner.row = Some(span.row);
                } else {
                    *if owner.row.is_some() { &mut owner.within } else { &mut owner.row } = Some(span.row);
                    break;
                }
            }
            each(owner, run.kind, until.0.saturating_sub(at.0));
            at = until;
        }
    }
}

/// Collects spans that come by address, and merges neighbours of one row.
#[derive(Debug, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span, unless it is empty.
    pub fn push(&mut self, span: Span) {
        if span.start >= span.end {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.end == span.start && last.row == span.row => last.end = span.end,
            _ => self.0.push(span),
        }
    }

    /// All spans, by address.
    pub fn sorted(mut self) -> Vec<Span> {
        self.0.sort_unstable_by_key(|span| (span.start, span.end));
        self.0
    }
}

impl Extend<Span> for Spans {
    fn extend<I: IntoIterator<Item = Span>>(&mut self, spans: I) {
        spans.into_iter().for_each(|span| self.push(span));
    }
}

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut all = Self::default();
        all.extend(spans);
        all
    }
}

/// Ranges by their starts.
pub(super) fn sorted(ranges: impl Iterator<Item = Range<Addr>>) -> Vec<Range<Addr>> {
    let mut ranges: Vec<Range<Addr>> = ranges.collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start: u64, end: u64, row: u32) -> Span {
        Span { start: Addr(start), end: Addr(end), row: RowId(row) }
    }

    fn run(start: u64, end: u64, kind: PageKind) -> PageRun {
        PageRun { range: Addr(start)..Addr(end), kind }
    }

    fn layer(spans: Vec<Span>) -> Layer<'static> {
        Box::new(spans.into_iter())
    }

    /// The bytes of each row; 0 has no owner.
    fn sums(pages: &[PageRun], layers: Vec<Layer<'_>>) -> Vec<PageBytes> {
        let mut sums = vec![PageBytes::default(); 8];
        attribute_bytes(pages, layers, |owner, kind, bytes| {
            assert!(bytes > 0);
            sums[owner.row.map_or(0, |row| row.0 as usize)].add(kind, bytes);
        });
        sums
    }

    #[test]
    fn topmost_span_knows_the_one_below() {
        let layers =
            vec![layer(vec![span(0, 100, 1)]), layer(vec![span(20, 40, 2)]), layer(vec![span(10, 30, 3)])];
        let mut found = Vec::new();
        attribute_bytes(&[run(0, 110, PageKind::Private)], layers, |owner, _, bytes| {
            found.push((owner.row.map(|row| row.0), owner.within.map(|row| row.0), bytes));
        });
        assert_eq!(
            found,
            [
                (Some(1), None, 10),
                (Some(3), Some(1), 10),
                (Some(3), Some(2), 10),
                (Some(2), None, 10),
                (Some(1), None, 60),
                (None, None, 10)
            ]
        );
    }

    #[test]
    fn topmost_span_owns_the_byte() {
        let pages = [run(0, 100, PageKind::Private), run(200, 300, PageKind::Shared)];
        let layers = vec![
            layer(vec![span(0, 250, 1)]),
            layer(vec![span(10, 20, 2), span(90, 210, 2)]),
            layer(vec![span(15, 18, 3)]),
        ];
        let sums = sums(&pages, layers);
        let resident: Vec<_> = sums.iter().map(|sum| (sum.private_bytes, sum.shared_bytes)).collect();
        assert_eq!(resident[..4], [(0, 50), (80, 40), (17, 10), (3, 0)]);
    }

    #[test]
    fn overlapping_spans_lose_no_byte() {
        let layers =
            vec![layer(vec![span(0, 60, 1), span(40, 80, 2), span(50, 55, 3), span(90, u64::MAX, 7)])];
        let sums = sums(&[run(0, 100, PageKind::Swapped)], layers);
        let swapped: Vec<_> = sums.iter().map(|sum| sum.swapped_bytes).collect();
        assert_eq!(swapped, [10, 60, 20, 0, 0, 0, 0, 10]);
    }

    #[test]
    fn neighbours_of_a_row_merge() {
        let mut spans = Spans::default();
        for one in [span(0, 10, 1), span(10, 20, 1), span(20, 20, 2), span(20, 30, 2)] {
            spans.push(one);
        }
        assert_eq!(spans.sorted(), [span(0, 20, 1), span(20, 30, 2)]);
    }

    proptest! {
        /// The same sum, byte by byte.
        #[test]
        fn each_byte_is_counted_once(
            layers in proptest::collection::vec(proptest::collection::vec((0_u64..120, 0_u64..40, 1_u32..6), 0..12), 0..4),
            gaps in proptest::collection::vec((0_u64..20, 1_u64..20), 0..6),
        ) {
            let mut pages = Vec::new();
            let mut at = 0;
            for (gap, length) in gaps {
                pages.push(run(at + gap, at + gap + length, PageKind::Private));
                at += gap + length;
            }
            let layers: Vec<Vec<Span>> = layers
                .into_iter()
                .map(|spans| {
                    let mut spans: Vec<Span> =
                        spans.into_iter().map(|(start, length, row)| span(start, start + length, row)).collect();
                    spans.sort_by_key(|span| span.start);
                    spans
                })
                .collect();
            let mut expected = vec![0_u64; 8];
            for page in &pages {
                for byte in page.range.start.0..page.range.end.0 {
                    // Within a layer a byte is of the first span that has it.
                    let owner = layers.iter().rev().find_map(|spans| {
                        spans.iter().find(|span| (span.start.0..span.end.0).contains(&byte))
                    });
                    expected[owner.map_or(0, |span| span.row.0 as usize)] += 1;
                }
            }
            let sums = sums(&pages, layers.into_iter().map(layer).collect());
            let found: Vec<u64> = sums.iter().map(PageBytes::resident_bytes).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
