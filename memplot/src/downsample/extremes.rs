//! The items of a group that a plot needs.

/// The indices of the first and last item and of those with the least and greatest value, in order and without duplicates.
pub fn extremes<T>(group: &[T], value: impl Fn(&T) -> f64) -> Vec<usize> {
    let by_value = |a: &(usize, &T), b: &(usize, &T)| value(a.1).total_cmp(&value(b.1));
    let least = group.iter().enumerate().min_by(by_value).map(|(index, _)| index);
    let greatest = group.iter().enumerate().max_by(by_value).map(|(index, _)| index);
    let mut indices: Vec<usize> =
        [(!group.is_empty()).then_some(0), least, greatest, group.len().checked_sub(1)]
            .into_iter()
            .flatten()
            .collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}
