//! Buckets of time that double their width when there are too many of them.

/// A summary of the items in one interval of time.
pub trait Bucket {
    /// The time of the first item.
    fn first_ms(&self) -> i64;
    /// The time of the last item.
    fn last_ms(&self) -> i64;
    /// Adds the items of the bucket that follows.
    fn join(&mut self, next: Self);
}

/// Buckets in order of time.
#[derive(Debug, Clone)]
pub struct Buckets<B> {
    limit: usize,
    width_ms: i64,
    /// The end of the last bucket.
    end_ms: i64,
    buckets: Vec<B>,
}

impl<B: Bucket> Buckets<B> {
    /// No buckets yet. Keeps at most `limit`, and at least one.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), width_ms: 1, end_ms: i64::MIN, buckets: Vec::new() }
    }

    /// The last bucket, if it covers a moment that is not earlier than its items.
    pub fn covering(&mut self, unix_ms: i64) -> Option<&mut B> {
        if unix_ms < self.end_ms { self.buckets.last_mut() } else { None }
    }

    /// Joins a bucket that is not earlier than the others to the last one, or appends it.
    pub fn add(&mut self, bucket: B) {
        if let Some(last) = self.covering(bucket.first_ms()) {
            return last.join(bucket);
        }
        let index = bucket.first_ms().div_euclid(self.width_ms);
        self.end_ms = index.saturating_add(1).saturating_mul(self.width_ms);
        self.buckets.push(bucket);
    }

    /// Whether there are more buckets than wanted.
    pub fn is_over_limit(&self) -> bool {
        self.buckets.len() > self.limit
    }

    /// Doubles the width of the buckets.
    pub fn coarsen(&mut self) {
        self.width_ms = self.width_ms.saturating_mul(2);
        let buckets = std::mem::take(&mut self.buckets);
        self.buckets.reserve(buckets.len() / 2 + 1);
        self.end_ms = i64::MIN;
        buckets.into_iter().for_each(|bucket| self.add(bucket));
    }

    /// Removes buckets that end before a moment.
    pub fn drop_before(&mut self, unix_ms: i64) {
        let expired = self.buckets.partition_point(|bucket| bucket.last_ms() < unix_ms);
        self.buckets.drain(..expired);
        if self.buckets.is_empty() {
            *self = Self::new(self.limit);
        }
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// All buckets.
    pub fn iter(&self) -> std::slice::Iter<'_, B> {
        self.buckets.iter()
    }

    /// All buckets, to change them.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, B> {
        self.buckets.iter_mut()
    }
}
