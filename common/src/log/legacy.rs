//! Logs of the older Python tool that these tools replace: no `type`, local time without a zone, and numbers that restart with
//! each run.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::Error as _;

use super::moment::{Census, Moment, MomentData, Total};
use crate::record::RecordError;
use crate::time::Stamp;

#[derive(Deserialize)]
struct Snapshot {
    timestamp: Option<String>,
    iteration: Option<u64>,
    total_objects: Option<u64>,
    threads: Option<Vec<Thread>>,
    summary: Option<Vec<Row>>,
    #[serde(default)]
    module_stats: Modules,
}

#[derive(Deserialize)]
struct Thread {
    name: Arc<str>,
    #[serde(default = "yes")]
    alive: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "type")]
    name: Arc<str>,
    count: u64,
    size: u64,
}

#[derive(Deserialize, Default)]
struct Modules {
    #[serde(default)]
    top_modules: Vec<(Arc<str>, u64, u64)>,
}

/// Parses a line. The moment's `run` is empty, see [`Runs`].
///
/// # Errors
/// The object is not of the older tool, so that its `type` is missing, or it is damaged.
pub(super) fn parse(line: &[u8]) -> Result<Moment, RecordError> {
    let snapshot: Snapshot = serde_json::from_slice(line)?;
    let (Some(time), Some(iteration), Some(total_objects), Some(summary)) =
        (snapshot.timestamp, snapshot.iteration, snapshot.total_objects, snapshot.summary)
    else {
        return Err(RecordError::NoType);
    };
    let Some(stamp) = time.parse().ok().or_else(|| Stamp::from_local_text(&time)) else {
        let message = format!("timestamp {time:?} is no local time, YYYY-mm-dd HH:MM:SS");
        return Err(RecordError::Json(serde_json::Error::custom(message)));
    };
    let data = if total_objects == 0 && summary.is_empty() {
        MomentData::Failed("the census failed".to_owned())
    } else {
        let alive = |threads: Vec<Thread>| threads.into_iter().filter(|t| t.alive).map(|t| t.name).collect();
        let total = |(name, count, size_bytes)| Total { name, count, size_bytes };
        MomentData::Census(Census {
            total_objects,
            types: summary.into_iter().map(|row| total((row.name, row.count, row.size))).collect(),
            types_cut: true,
            modules: snapshot.module_stats.top_modules.into_iter().map(total).collect(),
            modules_cut: true,
            threads: snapshot.threads.map(alive),
            ..Census::default()
        })
    };
    Ok(Moment {
        input: 0,
        line: 0,
        run: "".into(),
        host: "".into(),
        iteration,
        unix_ms: stamp.unix_ms(),
        elapsed_seconds: None,
        interval_seconds: None,
        missed_ticks: 0,
        data,
    })
}

/// Names the runs of the older tool, which only numbers its moments. A number that does not rise starts a new run.
#[derive(Debug, Default)]
pub(super) struct Runs {
    count: u64,
    current: Option<(usize, u64, Arc<str>)>,
}

impl Runs {
    /// The name of the next moment's run, from its input and its number. Each input starts a new run.
    pub(super) fn name(&mut self, input: usize, iteration: u64) -> Arc<str> {
        let name = match &self.current {
            Some((same, last, name)) if *same == input && *last < iteration => Arc::clone(name),
            _ => {
                self.count += 1;
                format!("legacy-{}", self.count).into()
            }
        };
        self.current = Some((input, iteration, Arc::clone(&name)));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_runs_start_at_drop() {
        let mut runs = Runs::default();
        let mut name = |input, iteration| runs.name(input, iteration).to_string();
        assert_eq!([name(0, 1), name(0, 2), name(0, 5)], ["legacy-1"; 3]);
        assert_eq!([name(0, 1), name(0, 2)], ["legacy-2"; 2]);
        assert_eq!(name(0, 2), "legacy-3", "the same number twice is another run");
        assert_eq!(name(1, 3), "legacy-4", "no run goes on in another input");
    }
}
