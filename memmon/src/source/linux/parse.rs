//! Parsers for the texts of `/proc` and cgroup files. They accept any bytes: a name can contain parentheses, spaces and line ends.

pub use common::process::{Stat, decimal};

use common::record::{Pressure, ProcessSample};

/// The first two fields of `/proc/PID/statm`: mapped and resident pages.
pub fn statm(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = text.split(|&b| b == b' ');
    Some((decimal(fields.next()?)?, decimal(fields.next()?)?))
}

/// Reads the memory fields of `/proc/PID/status`: proc_pid_status(5).
///
/// The kernel escapes line ends in `Name:`, so a name cannot imitate a field.
pub fn status(text: &[u8], sample: &mut ProcessSample) {
    for (key, bytes) in kib_fields(text) {
        let field = match key {
            b"VmHWM" => &mut sample.rss_peak_bytes,
            b"RssAnon" => &mut sample.rss_anon_bytes,
            b"RssFile" => &mut sample.rss_file_bytes,
            b"RssShmem" => &mut sample.rss_shmem_bytes,
            b"VmSwap" => &mut sample.swap_bytes,
            _ => continue,
        };
        *field = Some(bytes);
    }
}

/// Every `Key:   123 kB` line of a text, in bytes; other lines are skipped.
pub fn kib_fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    fields(text, b':')
        .filter_map(|(key, value)| Some((key, decimal(value.strip_suffix(b" kB")?)?.checked_mul(1024)?)))
}

/// Every `key 123` line of a cgroup file; other lines are skipped.
pub fn plain_fields(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    fields(text, b' ').filter_map(|(key, value)| Some((key, decimal(value)?)))
}

fn fields(text: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&b| b == b'\n').filter_map(move |line| {
        let (key, value) = line.split_at_checked(line.iter().position(|&b| b == separator)?)?;
        Some((key, value.get(1..)?.trim_ascii()))
    })
}

/// The text of `/proc/pressure/memory`, or of `memory.pressure` of a control group.
pub fn pressure(text: &[u8]) -> Option<Pressure> {
    let text = std::str::from_utf8(text).ok()?;
    let [some, full] = [pressure_line(text, "some")?, pressure_line(text, "full")?];
    Some(Pressure {
        some_avg10_ratio: some[0],
        some_avg60_ratio: some[1],
        some_avg300_ratio: some[2],
        some_total_seconds: some[3],
        full_avg10_ratio: full[0],
        full_avg60_ratio: full[1],
        full_avg300_ratio: full[2],
        full_total_seconds: full[3],
    })
}

/// A line of `/proc/pressure/memory`, `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, as three ratios and seconds.
fn pressure_line(text: &str, kind: &str) -> Option<[f64; 4]> {
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(kind))?;
    let value = |key: &str| -> Option<f64> {
        let field = line.split_ascii_whitespace().find_map(|f| f.strip_prefix(key)?.strip_prefix('='))?;
        field.parse().ok()
    };
    // The kernel writes percent and microseconds (Documentation/accounting/psi.rst).
    Some([value("avg10")? / 100.0, value("avg60")? / 100.0, value("avg300")? / 100.0, value("total")? / 1e6])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn status_and_fields() {
        let text =
            b"Name:\ta\\nVmSwap: 9 kB\nVmHWM:\t  2048 kB\nRssAnon:\t 4 kB\nVmSwap:\t 0 kB\nThreads:\t1\n";
        let mut read = ProcessSample::default();
        status(text, &mut read);
        assert_eq!(read.rss_peak_bytes, Some(2 << 20));
        assert_eq!(read.rss_anon_bytes, Some(4096));
        assert_eq!(read.swap_bytes, Some(0));
        assert_eq!(read.rss_file_bytes, None);
        assert_eq!(
            plain_fields(b"anon 5\nfile x\nshmem 7\n").collect::<Vec<_>>(),
            [(&b"anon"[..], 5), (b"shmem", 7)]
        );
        assert_eq!(statm(b"100 50 3 1 0 20 0\n"), Some((100, 50)));
        assert_eq!(statm(b""), None);
    }

    #[test]
    fn pressure_in_ratios_and_seconds() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=2500000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(pressure_line(text, "some"), Some([0.015, 0.0025, 0.0, 2.5]));
        assert_eq!(pressure_line(text, "full"), Some([0.005, 0.0, 0.0, 1e-6]));
        assert_eq!(pressure_line("", "some"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(bytes: Vec<u8>) {
            status(&bytes, &mut ProcessSample::default());
            let _ = statm(&bytes);
            let _ = plain_fields(&bytes).count();
            let _ = pressure_line(&String::from_utf8_lossy(&bytes), "some");
        }
    }
}
