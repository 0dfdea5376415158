//! Rows of numbers in one compressed table.

/// The targets of each row: 4 bytes a target and 4 a row.
#[derive(Debug)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    /// From pairs of a row and a target, which `edges` gives twice; the targets of a row are in reverse order.
    pub(crate) fn new<E: Iterator<Item = (u32, u32)>>(rows: usize, edges: impl Fn() -> E) -> Self {
        // Sizes of the rows, then their ends, then their starts: filling a row moves its end down.
        let mut starts = vec![0_u32; rows.saturating_add(1)];
        edges().for_each(|(row, _)| {
            if let Some(count) = starts.get_mut(row as usize) {
                *count = count.saturating_add(1);
            }
        });
        let mut sum = 0_u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let mut targets = vec![0; sum as usize];
        edges().for_each(|(row, target)| {
            if let Some(end) = starts.get_mut(row as usize) {
                *end = end.saturating_sub(1);
                if let Some(place) = targets.get_mut(*end as usize) {
                    *place = target;
                }
            }
        });
        Self { starts, targets }
    }

    /// The targets of a row; none of a row that is not there.
    pub(crate) fn row(&self, row: u32) -> &[u32] {
        let start = |row: usize| self.starts.get(row).copied().unwrap_or(0) as usize;
        self.targets.get(start(row as usize)..start((row as usize).saturating_add(1))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_targets() {
        let edges = [(0, 1), (4, 5), (0, 4), (1, 2), (1, 3)];
        let table = Adjacency::new(6, || edges.into_iter().rev());
        assert_eq!(table.row(0), [1, 4]);
        assert_eq!(table.row(1), [2, 3]);
        assert_eq!(table.row(4), [5]);
        assert!(table.row(5).is_empty() && table.row(6).is_empty());
    }
}
