//! Scales map moments and values to positions on an axis, and choose its ticks.

mod tick;
mod time;
mod value;

pub use tick::Tick;
pub use time::TimeScale;
pub use value::ValueScale;
