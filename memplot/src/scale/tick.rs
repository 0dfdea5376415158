//! Ticks, and the mapping from a position on an axis to the canvas.

/// A labelled position on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<T> {
    /// The value or moment.
    pub at: T,
    /// The label.
    pub label: String,
}

/// The point at `fraction` of the way from `from` to `to`, rounded to whole units of the canvas.
pub(super) fn interpolate(from: i32, to: i32, fraction: f64) -> i32 {
    let place = f64::from(from) + (f64::from(to) - f64::from(from)) * fraction;
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of an i32")]
    let place = place.round().clamp(f64::from(i32::MIN / 4), f64::from(i32::MAX / 4)) as i32;
    place
}
