//! The target's clocks at the moment of a census.

use std::time::{SystemTime, UNIX_EPOCH};

use common::process::ProcessId;
use rustix::time::{ClockId, clock_gettime};

use crate::caches::ClockReadings;

/// The clocks of this machine, for a process that runs on it.
pub(crate) fn read_clocks(id: ProcessId) -> ClockReadings {
    let seconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (monotonic, boot) = (seconds(ClockId::Monotonic), seconds(ClockId::Boottime));
    // The start of a process includes time in which the machine was suspended; the monotonic clock does not.
    let began = id.start as f64 / rustix::param::clock_ticks_per_second() as f64 - (boot - monotonic);
    ClockReadings {
        wall: since_1970(SystemTime::now()),
        monotonic: Some(monotonic),
        began: (id.start > 0).then_some(began),
    }
}

/// The clocks when a process was saved. Its monotonic clock is unknown: it may have run on another machine.
pub(crate) fn clocks_at(at: SystemTime) -> Option<ClockReadings> {
    let wall = since_1970(at);
    (wall > 0.0).then_some(ClockReadings { wall, monotonic: None, began: None })
}

fn since_1970(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
