//! From values and moments to places, and where on an axis words stand.

mod time;
mod value;

pub use time::TimeScale;
pub use value::ValueScale;

/// A place on an axis with its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<T> {
    /// The place.
    pub at: T,
    /// What stands there.
    pub label: String,
}

/// `part` of the way from `from` to `to`, on whole units of the canvas.
fn interpolate(from: i32, to: i32, part: f64) -> i32 {
    let place = f64::from(from) + (f64::from(to) - f64::from(from)) * part;
    #[expect(clippy::cast_possible_truncation, reason = "between two i32, or clamped to what an i32 holds")]
    let place = place.round().clamp(f64::from(i32::MIN / 4), f64::from(i32::MAX / 4)) as i32;
    place
}
