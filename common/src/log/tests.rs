//! What is reported of bad inputs, and what is kept of them.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::sample::select;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::jsonl::Writer;
use crate::record::{ErrorRecord, Header, Record, Run};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("memtools-log-{}", Run::start().id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What became of some inputs.
#[derive(Debug)]
struct Outcome {
    result: Result<Summary, Failure>,
    /// Input, line and iteration of each moment.
    moments: Vec<(usize, u64, u64)>,
    /// What was reported, without the folder.
    reported: Vec<String>,
}

fn read_files(folder: &Folder, paths: &[PathBuf], options: &Options<'_>) -> Outcome {
    let reported = RefCell::new(Vec::new());
    let mut moments = Vec::new();
    let prefix = format!("{}/", folder.0.display());
    let result = read_reporting(
        &Input::from_args(paths),
        options,
        &mut |moment| {
            moments.push((moment.input, moment.line, moment.iteration));
            ControlFlow::Continue(())
        },
        &|message| reported.borrow_mut().push(message.replace(&prefix, "")),
    );
    Outcome { result, moments, reported: reported.into_inner() }
}

fn read_bytes(content: &[u8], max_line_bytes: usize) -> Outcome {
    let folder = Folder::new();
    let log = folder.file("log", content);
    read_files(&folder, &[log], &Options { max_line_bytes, ..Options::new("test") })
}

/// A line that is a moment.
fn line(iteration: u64) -> String {
    line_with(iteration, "gone")
}

fn line_with(iteration: u64, message: &str) -> String {
    let mut writer = Writer::new(Vec::new());
    let header = Header::now(&Run::start(), iteration);
    writer.write(&Record::Error(ErrorRecord::new(header, "sample", message.to_owned()))).unwrap();
    String::from_utf8(writer.get_mut().clone()).unwrap()
}

fn log(iterations: std::ops::RangeInclusive<u64>) -> String {
    iterations.map(line).collect()
}

#[test]
fn bad_lines_are_reported() {
    let text =
        format!("{}\r\ngarbage\n\n{}[1]\n{{\"a\":1}}\n\"x\"\nnull\n{{\n}}\n{}", line(1), line(2), line(3));
    let found = read_bytes(text.as_bytes(), MAX_LINE_BYTES);
    assert_eq!(found.moments, [(0, 1, 1), (0, 5, 2), (0, 12, 3)]);
    let summary = found.result.unwrap();
    assert_eq!((summary.bad_lines, summary.moments, summary.torn_lines), (7, 3, 0));
    let begins = [
        "log:3: not a record",
        "log:6: ",
        "log:7: ",
        "log:8: ",
        "log:9: ",
        "log: 2 more lines are no records",
    ];
    assert_eq!(found.reported.len(), begins.len(), "{:?}", found.reported);
    for (reported, begin) in found.reported.iter().zip(begins) {
        assert!(reported.starts_with(begin), "{reported} for {begin}");
    }
    assert!(found.reported[2].contains("no \"type\" field"), "{}", found.reported[2]);
}

#[test]
fn torn_last_line_is_silent() {
    let whole = log(1..=3);
    for cut in 1..line(3).len() {
        let found = read_bytes(&whole.as_bytes()[..whole.len() - cut], MAX_LINE_BYTES);
        // Without its end alone the line is whole.
        let (moments, torn) = if cut == 1 { (3, 0) } else { (2, 1) };
        assert_eq!(found.moments, (1..=moments).map(|n| (0, n, n)).collect::<Vec<_>>(), "{cut}");
        let summary = found.result.unwrap();
        assert_eq!((summary.moments, summary.torn_lines, summary.bad_lines), (moments, torn, 0), "{cut}");
        assert!(found.reported.is_empty());
    }
    let found = read_bytes(format!("{}no record", line(1)).as_bytes(), MAX_LINE_BYTES);
    assert_eq!(found.result.unwrap().bad_lines, 1, "what no writer can have begun is reported");
}

#[test]
fn record_after_torn_line_is_read() {
    let (first, second) = (line(1), line(2));
    let found =
        read_bytes(format!("{}{second}{}", &first[..first.len() - 7], line(3)).as_bytes(), MAX_LINE_BYTES);
    assert_eq!(found.moments, [(0, 1, 2), (0, 2, 3)]);
    assert_eq!((found.result.unwrap().bad_lines, found.reported.len()), (1, 1), "{:?}", found.reported);
}

#[test]
fn long_lines_are_skipped() {
    let limit = 4000;
    let fits = format!("{}{}", " ".repeat(limit - line(9).len() + 1), line(9));
    for length in [limit + 1, 3 * pieces::PIECE_BYTES, 2 * pieces::PIECE_BYTES - line(1).len()] {
        let long = "x".repeat(length);
        let text = format!("{}{long}\n{fits}{long}\n{}{long}", line(1), line(2));
        let found = read_bytes(text.as_bytes(), limit);
        assert_eq!(found.moments, [(0, 1, 1), (0, 3, 9), (0, 5, 2)], "{length}");
        let places = ["log:2: ", "log:4: ", "log:6: "];
        assert_eq!(found.reported.len(), 3, "{:?}", found.reported);
        for (reported, place) in found.reported.iter().zip(places) {
            assert!(reported.starts_with(place) && reported.contains("longer than 4000 bytes"), "{reported}");
        }
    }
}

#[test]
fn complete_last_line_needs_no_end() {
    let found = read_bytes(line(1).trim_end().as_bytes(), MAX_LINE_BYTES);
    let summary = found.result.unwrap();
    assert_eq!((summary.moments, summary.torn_lines, summary.bad_lines), (1, 0, 0));
    assert_eq!((found.moments, found.reported), (vec![(0, 1, 1)], vec![]));
}

#[test]
fn line_of_exact_limit_is_read() {
    assert_eq!(Options::new("test").max_line_bytes, 64 << 20);
    // The end of a line does not count. The second and the third line are read in several pieces.
    for limit in [1000, pieces::PIECE_BYTES, 2 * pieces::PIECE_BYTES + 7] {
        let room = limit - line_with(1, "").trim_end().len();
        for (excess, moments) in [(0, vec![(0, 1, 1), (0, 2, 2)]), (1, vec![(0, 2, 2)])] {
            let long = line_with(1, &"x".repeat(room + excess));
            assert_eq!(long.len() - 1, limit + excess);
            let found = read_bytes(format!("{long}{}", line(2)).as_bytes(), limit);
            assert_eq!(found.moments, moments, "{limit} {excess}");
            assert_eq!(found.reported.len(), excess, "{:?}", found.reported);
            let expected = format!("log:1: line longer than {limit} bytes, left out");
            assert!(found.reported.iter().all(|reported| *reported == expected), "{:?}", found.reported);
            assert_eq!(found.result.unwrap().bad_lines, excess as u64);

            let found = read_bytes(format!("{}{}", line(2), long.trim_end()).as_bytes(), limit);
            assert_eq!(found.moments.len(), 2 - excess, "{limit} {excess}");
            let summary = found.result.unwrap();
            assert_eq!((summary.bad_lines, summary.torn_lines), (excess as u64, 0));
        }
    }
}

#[test]
fn garbage_costs_only_its_lines() {
    let mut log = b"\xff\xfe\n\n[1,2]\n{\"no\":\"type\"}\n{\"type\":\"later\",\"schema\":1}\n".to_vec();
    log.extend(line(1).bytes());
    let found = read_bytes(&log, MAX_LINE_BYTES);
    let summary = found.result.unwrap();
    assert_eq!((summary.bad_lines, summary.unknown, summary.torn_lines), (3, 1, 0));
    assert_eq!(found.moments, [(0, 6, 1)]);
    let reported = found.reported;
    assert_eq!(reported.len(), 3, "{reported:?}");
    assert!(reported[0].starts_with("log:1: not a record"), "{reported:?}");
    assert!(reported[2].starts_with("log:4: ") && reported[2].contains("\"type\""), "{reported:?}");
}

/// Bytes of any kind, or of those that JSON, line ends and archives consist of.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let special = select(b"\n\n\n\r \"\\{}[]:,01\xef\xbb\xbf\x1f\x8b\x28\xb5\x2f\xfd\0".to_vec());
    prop_oneof![any::<Vec<u8>>(), proptest::collection::vec(special, 0..100)]
}

/// The number of lines that count: longer than `limit`, or not blank.
fn count_lines(bytes: &[u8], limit: usize) -> usize {
    bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| line.len() > limit || !line.trim_ascii().is_empty())
        .count()
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in bytes(), limit in 1_usize..64) {
        let found = read_bytes(&bytes, limit);
        // An archive that is damaged is reported itself.
        prop_assert!(found.reported.len() <= count_lines(&bytes, limit).max(1), "{:?}", found.reported);
        prop_assert!(found.moments.is_empty() && found.result.is_err());

        let first = &b"{\"type\":\"later\",\"schema\":1}\n"[..];
        let last = line(9);
        for limit in [first.len() + limit, MAX_LINE_BYTES] {
            let lines = count_lines(&bytes, limit);
            let summary = read_bytes(&[first, &bytes].concat(), limit).result.unwrap();
            prop_assert_eq!((summary.unknown, summary.moments, summary.other_records), (1, 0, 0));
            prop_assert_eq!(summary.bad_lines + summary.torn_lines, lines as u64);

            let found = read_bytes(&[first, &bytes, b"\n", last.as_bytes()].concat(), limit);
            let fits = last.len() - 1 <= limit;
            prop_assert_eq!(found.moments.len(), usize::from(fits));
            let summary = found.result.unwrap();
            prop_assert_eq!((summary.unknown, summary.torn_lines), (1, 0));
            prop_assert_eq!(summary.bad_lines, lines as u64 + u64::from(!fits));
        }
    }

    #[test]
    fn any_messages_are_read_back(messages in proptest::collection::vec(any::<String>(), 1..8)) {
        let folder = Folder::new();
        let log: String = (1..).zip(&messages).map(|(number, message)| line_with(number, message)).collect();
        let path = folder.file("log", log.as_bytes());
        let mut found = Vec::new();
        let summary = read(&Input::from_args(&[path]), &Options::new("test"), &mut |moment| {
            found.push(moment.data);
            ControlFlow::Continue(())
        });
        let expected: Vec<_> =
            messages.iter().map(|message| MomentData::Failed(message.as_str().into())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(summary.unwrap().bad_lines, 0);
    }
}

#[test]
fn order_holds_over_pieces() {
    let folder = Folder::new();
    let logs = [
        folder.file("a", log(1..=20_000).as_bytes()),
        folder.file("b", format!("x\n{}", line(7)).as_bytes()),
    ];
    let found = read_files(&folder, &logs, &Options::new("test"));
    assert!(std::fs::metadata(&logs[0]).unwrap().len() > 2 * pieces::PIECE_BYTES as u64);
    let expected: Vec<(usize, u64, u64)> = (1..=20_000).map(|n| (0, n, n)).chain([(1, 2, 7)]).collect();
    assert!(found.moments == expected);
    assert_eq!(found.reported.len(), 1);
    assert!(found.reported[0].starts_with("b:1: "), "{:?}", found.reported);
}

#[test]
fn input_without_records_fails() {
    for content in [&b""[..], b"\n\n", b"\x00\xff\x7fELF\n\n\x01", b"{\"type\":\"process\"", b"\xef\xbb\xbf"]
    {
        let failure = read_bytes(content, MAX_LINE_BYTES).result.unwrap_err();
        assert!(failure.message.ends_with("log: no records") && failure.code == 2, "{failure:?}");
    }
    let unknown = read_bytes(b"{\"type\":\"later\",\"schema\":1}\n", MAX_LINE_BYTES).result.unwrap();
    assert_eq!((unknown.unknown, unknown.moments, unknown.bad_lines), (1, 0, 0));
}

#[test]
fn unreadable_file_is_named() {
    let folder = Folder::new();
    let good = folder.file("good", line(1).as_bytes());
    let missing = read_files(&folder, &[good.clone(), folder.0.join("missing")], &Options::new("test"));
    let failure = missing.result.unwrap_err();
    assert!(failure.message.contains("/missing: ") && missing.moments.is_empty(), "{failure:?}");
    let failure = read_files(&folder, &[good, folder.0.clone()], &Options::new("test")).result.unwrap_err();
    assert!(failure.message.ends_with(": is a folder"), "{failure:?}");
}

#[test]
fn bom_and_crlf_are_accepted() {
    let text = format!("\u{feff}{}{}", line(1), line(2)).replace('\n', "\r\n");
    let found = read_bytes(text.as_bytes(), MAX_LINE_BYTES);
    assert_eq!((found.moments, found.reported), (vec![(0, 1, 1), (0, 2, 2)], vec![]));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
}

#[test]
fn multipart_archives_are_read() {
    // A frame that holds something else, between the two.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
    for archive in [
        [gzip(&log(1..=3000)), gzip(&log(3001..=6000))].concat(),
        [&zstd(&log(1..=3000))[..], &skipped, &zstd(&log(3001..=6000))].concat(),
    ] {
        let found = read_bytes(&archive, MAX_LINE_BYTES);
        assert!(found.moments == (1..=6000).map(|n| (0, n, n)).collect::<Vec<_>>());
        assert!(
            found.reported.is_empty() && found.result.unwrap().truncated_inputs == 0,
            "{:?}",
            found.reported
        );
    }
}

#[test]
fn truncated_archive_is_kept() {
    let text = log(1..=6000);
    for archive in [gzip(&text), zstd(&text)] {
        let found = read_bytes(&archive[..archive.len() * 3 / 4], MAX_LINE_BYTES);
        let count = found.moments.len();
        assert!((3000..6000).contains(&count), "{count}");
        assert!(found.moments == (1..=count as u64).map(|n| (0, n, n)).collect::<Vec<_>>());
        assert_eq!(found.reported, ["log: the archive is cut off; what was read before is kept"]);
        let summary = found.result.unwrap();
        assert_eq!((summary.truncated_inputs, summary.bad_lines), (1, 0));
    }
}

#[test]
fn damaged_archive_is_reported() {
    let text = log(1..=3000);
    for mut archive in [gzip(&text), zstd(&text)] {
        let middle = archive.len() / 2;
        archive[middle..middle + 64].fill(0xff);
        let folder = Folder::new();
        let logs = [folder.file("bad", &archive), folder.file("good", line(1).as_bytes())];
        let found = read_files(&folder, &logs, &Options::new("test"));
        assert_eq!(found.moments.last(), Some(&(1, 1, 1)));
        assert!(found.reported.iter().any(|reported| reported.starts_with("bad: ")), "{:?}", found.reported);
        assert_eq!(found.result.unwrap().truncated_inputs, 1);
    }
}

#[test]
fn caller_stops_reading() {
    let folder = Folder::new();
    let path = folder.file("log", log(1..=5000).as_bytes());
    let mut seen = 0;
    let summary = read(&Input::from_args(&[path]), &Options::new("test"), &mut |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let summary = summary.unwrap();
    assert_eq!((seen, summary.moments, summary.stopped), (3, 3, true));
}
