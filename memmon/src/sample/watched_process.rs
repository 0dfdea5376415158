//! The state of one watched process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::process::ProcessId;
use common::record::{EventKind, Header, ProcessEvent, ProcessSample};
use common::time::Stamp;

use crate::source::{ProcessDetails, ProcessEntry, ProcessSizes, ProportionalSizes};

/// The length of command lines in samples.
const MAX_CMDLINE_BYTES: usize = 4096;

/// The shortest time over which a CPU share is meaningful: the kernel counts in steps of 10 ms.
const MIN_CPU_WINDOW: Duration = Duration::from_millis(50);

/// One watched process.
#[derive(Debug, Default)]
pub struct WatchedProcess {
    pub id: ProcessId,
    pub root: usize,
    pub ppid: u32,
    pub name: Arc<str>,
    /// Cut, for samples.
    pub cmdline: Option<Arc<[String]>>,
    /// Complete, for events.
    full_cmdline: Option<Arc<[String]>>,
    start_time: Option<Arc<str>>,
    start_ticks: Option<u64>,
    /// Its start as the kernel reported it, on the monotonic clock since boot.
    pub born_at: Option<Duration>,
    pub sizes: Option<ProcessSizes>,
    pub first_rss: Option<u64>,
    pub peak_rss: Option<u64>,
    pub details: Option<Box<ProcessDetails>>,
    /// Whether `details` were read in this tick.
    pub details_fresh: bool,
    cpu: Option<(Duration, Instant)>,
    pub pss: Option<(ProportionalSizes, Instant)>,
    pub pss_fresh: bool,
    pub pss_cost: Option<Duration>,
    image: Option<u64>,
    /// The kernel reported an exec.
    pub exec_seen: bool,
    /// Its details showed the exec before the kernel reported it.
    exec_seen_early: bool,
    /// It released its memory; the next reading will find its exit.
    pub is_exiting: bool,
    /// The error that it cannot be read was recorded.
    pub reported_unreadable: bool,
}

impl WatchedProcess {
    pub fn new(entry: &ProcessEntry, root: usize, start_ticks: bool) -> Self {
        let start_ticks = start_ticks.then_some(entry.id.start);
        Self { id: entry.id, root, ppid: entry.ppid, start_ticks, ..Self::default() }
    }

    /// Whether this user may read it. Only then a wait status of 0 is certain.
    pub fn is_readable(&self) -> bool {
        self.image.is_some()
    }

    /// Notes an exec that the kernel reported. It may have been seen already.
    pub fn note_exec(&mut self) {
        if !std::mem::take(&mut self.exec_seen_early) {
            self.exec_seen = true;
        }
    }

    pub fn update_sizes(&mut self, sizes: ProcessSizes) {
        self.sizes = Some(sizes);
        self.first_rss.get_or_insert(sizes.rss_bytes);
        self.peak_rss = self.peak_rss.max(Some(sizes.rss_bytes));
    }

    /// Takes new details. Returns whether they show an exec. Without `with_cmdline` the name is not completed either.
    pub fn update_details(&mut self, mut details: ProcessDetails, now: Instant, with_cmdline: bool) -> bool {
        let name = if with_cmdline { details.full_name() } else { Arc::clone(&details.sample.name) };
        let replaced = self.exec_seen
            || match (self.image, details.image) {
                (Some(before), Some(after)) => before != after,
                // Only the name is left to compare.
                _ => self.details.is_some() && details.image.is_none() && self.name != name,
            };
        let replaced = replaced && self.details.is_some();
        self.exec_seen_early = replaced && !self.exec_seen || self.exec_seen_early && !replaced;
        self.exec_seen = false;
        // During an exec the image is hidden; its next value is not another exec.
        self.image = if replaced { details.image } else { details.image.or(self.image) };
        if self.name != name {
            self.name = name;
        }
        if with_cmdline {
            let cmdline = &details.sample.cmdline;
            let is_same = matches!((&self.full_cmdline, cmdline), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
            if !is_same {
                self.cmdline = cmdline.as_ref().map(cut);
                self.full_cmdline.clone_from(cmdline);
            }
        }
        if self.start_time.is_none() {
            let stamp = details.start_unix_seconds.and_then(Stamp::from_unix_seconds);
            self.start_time = stamp.map(|stamp| stamp.to_string().into());
        }
        self.ppid = details.entry.ppid;
        self.peak_rss = self.peak_rss.max(details.sample.rss_peak_bytes);
        match (self.cpu, details.cpu_time) {
            (Some((before, at)), Some(used)) if now.duration_since(at) >= MIN_CPU_WINDOW => {
                let share = used.saturating_sub(before).as_secs_f64() / now.duration_since(at).as_secs_f64();
                details.sample.cpu_ratio = Some(round(share, 1e4));
                self.cpu = Some((used, now));
            }
            (None, Some(used)) => self.cpu = Some((used, now)),
            _ => {}
        }
        self.details = Some(Box::new(details));
        self.details_fresh = true;
        replaced
    }

    /// Its part of a record. `machine` and `limit` are the denominators of ratios.
    pub fn sample(&self, machine: Option<u64>, limit: Option<u64>) -> ProcessSample {
        let rss = self.sizes.map(|sizes| sizes.rss_bytes);
        let details = self.details.as_ref().filter(|_| self.details_fresh);
        let pss = self.pss.filter(|_| self.pss_fresh).map(|(sizes, _)| sizes);
        ProcessSample {
            pid: self.id.pid,
            ppid: Some(self.ppid),
            start_time: self.start_time.clone(),
            start_ticks: self.start_ticks,
            name: Arc::clone(&self.name),
            cmdline: self.cmdline.clone(),
            rss_bytes: rss,
            vms_bytes: self.sizes.map(|sizes| sizes.vms_bytes),
            pss_bytes: pss.map(|p| p.pss_bytes),
            uss_bytes: pss.map(|p| p.uss_bytes),
            memory_ratio: share(rss, machine),
            cgroup_ratio: share(rss, limit),
            ..details.map(|details| details.sample.clone()).unwrap_or_default()
        }
    }

    /// An event of this process.
    pub fn event(&self, header: Header, event: EventKind, root_pid: u32) -> ProcessEvent {
        let whole = matches!(event, EventKind::Started | EventKind::Replaced);
        ProcessEvent {
            ppid: Some(self.ppid),
            start_time: self.start_time.clone(),
            start_ticks: self.start_ticks,
            name: (!self.name.is_empty()).then(|| Arc::clone(&self.name)),
            cmdline: self.full_cmdline.clone().filter(|_| whole),
            ..ProcessEvent::new(header, event, self.id.pid, root_pid)
        }
    }

    /// Its age, if its start is known.
    pub fn age_seconds(&self) -> Option<f64> {
        let start = self.details.as_ref()?.start_unix_seconds?;
        Some((Stamp::now().unix_seconds() - start).max(0.0))
    }
}

fn share(bytes: Option<u64>, of: Option<u64>) -> Option<f64> {
    let of = of.filter(|of| *of > 0)?;
    Some(round(bytes? as f64 / of as f64, 1e6))
}

/// Rounds to `1 / steps`: a log should not carry meaningless digits.
pub fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// The first [`MAX_CMDLINE_BYTES`] bytes of the arguments. The argument at the limit is cut and marked; the rest is left out.
fn cut(cmdline: &Arc<[String]>) -> Arc<[String]> {
    let mut room = MAX_CMDLINE_BYTES;
    if cmdline.iter().map(String::len).sum::<usize>() <= room {
        return Arc::clone(cmdline);
    }
    let mut kept = Vec::new();
    for arg in cmdline.iter() {
        if arg.len() > room {
            kept.push(format!("{}…", &arg[..arg.floor_char_boundary(room)]));
            break;
        }
        room -= arg.len();
        kept.push(arg.clone());
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use common::process::ProcessState;

    use super::*;

    fn found() -> ProcessEntry {
        ProcessEntry { id: ProcessId { pid: 5, start: 50 }, ppid: 1, group: 0, session: 0 }
    }

    fn details(name: &str, image: Option<u64>, cpu_ms: u64) -> ProcessDetails {
        ProcessDetails {
            sample: ProcessSample {
                cmdline: Some(Arc::new([name.to_owned()])),
                threads: Some(1),
                state: Some(ProcessState::Sleeping),
                ..ProcessSample::unread(5, name)
            },
            start_unix_seconds: Some(1e9),
            cpu_time: Some(Duration::from_millis(cpu_ms)),
            image,
            entry: found(),
        }
    }

    #[test]
    fn new_image_is_exec_new_name_is_not() {
        let now = Instant::now();
        let mut member = WatchedProcess::new(&found(), 0, true);
        assert!(!member.update_details(details("a", Some(1), 0), now, true));
        assert!(!member.update_details(details("title", Some(1), 0), now, true), "a new title is no exec");
        assert!(
            member.update_details(details("title", Some(2), 0), now, true),
            "the same name may be another image"
        );
        assert!(!member.update_details(details("title", Some(2), 0), now, true));
    }

    #[test]
    fn exec_seen_early_is_reported_once() {
        let now = Instant::now();
        let mut member = WatchedProcess::new(&found(), 0, true);
        assert!(!member.update_details(details("a", Some(1), 0), now, true));
        assert!(member.update_details(details("b", Some(2), 0), now, true));
        assert!(!member.update_details(details("b", Some(2), 0), now, true));
        member.note_exec();
        assert!(!member.update_details(details("b", Some(2), 0), now, true));
        // The next is heard of first. It may have the same image where addresses are not random.
        member.note_exec();
        assert!(member.update_details(details("b", Some(2), 0), now, true));
        assert!(!member.update_details(details("b", Some(2), 0), now, true));
    }

    #[test]
    fn half_done_exec_is_reported_once() {
        let now = Instant::now();
        let mut member = WatchedProcess::new(&found(), 0, true);
        assert!(!member.update_details(details("a", Some(1), 0), now, true));
        assert!(member.update_details(details("b", None, 0), now, true));
        assert!(!member.update_details(details("b", Some(2), 0), now, true));
        assert!(member.update_details(details("b", Some(3), 0), now, true));
    }

    #[test]
    fn hidden_image_falls_back_to_name() {
        let now = Instant::now();
        let mut member = WatchedProcess::new(&found(), 0, true);
        assert!(!member.update_details(details("a", None, 0), now, true));
        assert!(member.update_details(details("b", None, 0), now, true));
    }

    #[test]
    fn cpu_ratio_needs_two_readings() {
        let start = Instant::now();
        let mut member = WatchedProcess::new(&found(), 0, true);
        member.update_details(details("a", Some(1), 100), start, true);
        assert_eq!(member.sample(None, None).cpu_ratio, None, "one reading is no share");
        member.update_details(details("a", Some(1), 120), start + Duration::from_millis(10), true);
        assert_eq!(member.sample(None, None).cpu_ratio, None, "too short a time");
        member.update_details(details("a", Some(1), 600), start + Duration::from_secs(1), true);
        assert_eq!(member.sample(None, None).cpu_ratio, Some(0.5));
    }

    #[test]
    fn stale_details_are_left_out() {
        let mut member = WatchedProcess::new(&found(), 0, true);
        member.update_details(details("a", Some(1), 0), Instant::now(), true);
        assert_eq!(member.sample(None, None).threads, Some(1));
        member.details_fresh = false;
        let sample = member.sample(None, None);
        assert_eq!((sample.threads, sample.state, &*sample.name), (None, None, "a"));
        assert_eq!(sample.rss_bytes, None);
    }

    #[test]
    fn samples_cut_command_lines() {
        let long: Arc<[String]> = Arc::new(["cmd".into(), "é".repeat(60_000), "behind".into()]);
        let mut member = WatchedProcess::new(&found(), 0, true);
        let mut details = details("a", None, 0);
        details.sample.cmdline = Some(long);
        member.update_details(details, Instant::now(), true);
        let cut = member.sample(None, None).cmdline.unwrap();
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…') && cut[1].len() <= MAX_CMDLINE_BYTES + '…'.len_utf8());
        let header = Header::now(&common::record::Run::start(), 1);
        let event = member.event(header.clone(), EventKind::Started, 5);
        assert_eq!(event.cmdline.unwrap()[1].len(), 120_000);
        assert_eq!(member.event(header, EventKind::Exited, 5).cmdline, None);
    }

    #[test]
    fn ratio_of_zero_is_unknown() {
        assert_eq!(share(Some(5), Some(0)), None);
        assert_eq!(share(None, Some(5)), None);
        assert_eq!(share(Some(1), Some(3)), Some(0.333_333));
    }
}
