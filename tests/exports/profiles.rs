//! Profiles for pprof and speedscope: their stacks add up to the heap, and are the tree of holders of the same census.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{census_types, export, start};
use crate::support::Tool;
use crate::support::interpreters::{interpreters, script};
use crate::support::log::number;
use crate::support::python::python;

/// Objects and bytes by stack: kinds and names of frames, the module first.
type Stacks = BTreeMap<Vec<(String, String)>, (u64, u64)>;

/// Unpacks a file by Python.
#[track_caller]
pub fn unpacked(file: &Path) -> Vec<u8> {
    let program = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
    let python = python().map_or(Path::new("python3"), |python| &python.path);
    Tool::new(python).args(["-c", program]).arg(file).run().expect_code(0).stdout
}

/// Reads a varint of Protocol Buffers from the beginning of `bytes`.
fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number of more than 64 bits");
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(&self) -> u64 {
        let Self::Number(number) = self else { panic!("no number") };
        *number
    }

    fn bytes(&self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("a number") };
        bytes
    }

    fn numbers(&self) -> Vec<u64> {
        let mut bytes = self.bytes();
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            numbers.push(varint(&mut bytes));
        }
        numbers
    }
}

/// The fields of a message by number.
fn fields(mut message: &[u8]) -> BTreeMap<u64, Vec<Field<'_>>> {
    let mut fields: BTreeMap<u64, Vec<Field<'_>>> = BTreeMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(bytes)
            }
            other => panic!("wire type {other}"),
        };
        fields.entry(tag >> 3).or_default().push(field);
    }
    fields
}

/// The stacks of a profile of pprof, and its comments.
#[track_caller]
fn pprof(file: &Path) -> (Stacks, Vec<String>) {
    let profile = unpacked(file);
    assert!(profile.len() <= 4 << 20, "{} bytes", profile.len());
    let profile = fields(&profile);
    let strings: Vec<&str> =
        profile[&6].iter().map(|field| std::str::from_utf8(field.bytes()).unwrap()).collect();
    assert_eq!(strings[0], "", "the first string is empty");
    let text = |number: u64| strings[usize::try_from(number).unwrap()].to_owned();
    let value_types: Vec<_> = profile[&1]
        .iter()
        .map(|of| fields(of.bytes()))
        .map(|of| (text(of[&1][0].number()), text(of[&2][0].number())))
        .collect();
    let named = |name: &str, unit: &str| (name.to_owned(), unit.to_owned());
    assert_eq!(value_types, [named("inuse_objects", "count"), named("inuse_space", "bytes")]);
    assert_eq!(text(profile[&14][0].number()), "inuse_space");
    let functions: BTreeMap<u64, (String, String)> = profile[&5]
        .iter()
        .map(|of| fields(of.bytes()))
        .map(|of| (of[&1][0].number(), (text(of[&4][0].number()), text(of[&2][0].number()))))
        .collect();
    let locations: BTreeMap<u64, u64> = profile[&4]
        .iter()
        .map(|of| fields(of.bytes()))
        .map(|of| (of[&1][0].number(), fields(of[&4][0].bytes())[&1][0].number()))
        .collect();
    assert!(
        functions.len() == profile[&5].len() && locations.len() == profile[&4].len(),
        "numbers are unique"
    );
    assert!(!functions.contains_key(&0) && !locations.contains_key(&0), "0 is no number");
    assert!(profile[&2].len() <= 4000, "{} samples", profile[&2].len());
    let mut stacks = Stacks::new();
    for sample in profile[&2].iter().map(|sample| fields(sample.bytes())) {
        let frames = sample[&1][0].numbers();
        assert!(!frames.is_empty() && frames.len() <= 1000, "{} frames", frames.len());
        let frames = frames.iter().rev().map(|location| functions[&locations[location]].clone()).collect();
        let values = sample[&2][0].numbers();
        assert!(
            values.len() == 2 && stacks.insert(frames, (values[0], values[1])).is_none(),
            "a stack twice"
        );
    }
    let comments = profile[&13].iter().flat_map(Field::numbers).map(text).collect();
    (stacks, comments)
}

/// The stacks of a file of speedscope.
#[track_caller]
fn speedscope(file: &Path) -> Stacks {
    let json: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(json["$schema"], "https://www.speedscope.app/file-format-schema.json");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let frames: Vec<_> = json["shared"]["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| (text(&frame["file"]), text(&frame["name"])))
        .collect();
    let profiles = json["profiles"].as_array().unwrap();
    let units: Vec<_> = profiles.iter().map(|of| (text(&of["type"]), text(&of["unit"]))).collect();
    assert_eq!(units, [("sampled".into(), "bytes".into()), ("sampled".into(), "none".into())]);
    let mut stacks = Stacks::new();
    for (number, profile) in profiles.iter().enumerate() {
        let (samples, weights) =
            (profile["samples"].as_array().unwrap(), profile["weights"].as_array().unwrap());
        assert_eq!(samples.len(), weights.len());
        for (sample, weight) in samples.iter().zip(weights) {
            let numbers = sample.as_array().unwrap().iter().map(|frame| frame.as_u64().unwrap());
            let names = numbers.map(|frame| frames[usize::try_from(frame).unwrap()].clone()).collect();
            let values = stacks.entry(names).or_default();
            let value = if number == 0 { &mut values.1 } else { &mut values.0 };
            *value += weight.as_u64().unwrap();
        }
        let sum: u64 = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
        assert_eq!((number_of(profile, "startValue"), number_of(profile, "endValue")), (0, sum));
    }
    stacks
}

fn number_of(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap()
}

fn sum<'a>(stacks: impl Iterator<Item = (&'a Vec<(String, String)>, &'a (u64, u64))>) -> (u64, u64) {
    stacks.fold((0, 0), |sum, (_, of)| (sum.0 + of.0, sum.1 + of.1))
}

/// What is in stacks that end with nodes that are summed up.
fn omitted(stacks: &Stacks) -> (u64, u64) {
    sum(stacks.iter().filter(|(frames, _)| frames.last().unwrap().0 == "omitted"))
}

/// Compares stacks with a census with `--retained`.
#[track_caller]
fn check_stacks(python: &str, stacks: &Stacks, record: &Value) {
    let total = (number(record, "total_objects"), number(record, "total_size_bytes"));
    assert_eq!(sum(stacks.iter()), total, "{python}: the sum of all stacks");
    let mut path: Vec<(String, String)> = Vec::new();
    let mut compared = 0;
    for node in record["heap_tree"].as_array().unwrap().iter().skip(1) {
        path.truncate(usize::try_from(number(node, "depth")).unwrap() - 1);
        path.push((node["kind"].as_str().unwrap().into(), node["name"].as_str().unwrap().into()));
        let below = sum(stacks.iter().filter(|(frames, _)| frames.starts_with(&path)));
        assert_eq!(below, (number(node, "count"), number(node, "size_bytes")), "{python}: {path:?}");
        compared += 1;
    }
    assert!(compared > 20, "{python}: {compared} nodes");
    let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (frames, values) in stacks {
        let (kind, name) = frames.last().unwrap();
        assert!(kind == "type" || kind == "omitted", "{python}: {frames:?} holds objects");
        let of = types.entry(name).or_default();
        *of = (of.0 + values.0, of.1 + values.1);
    }
    let omitted = omitted(stacks);
    for (name, of) in census_types(record) {
        let found = types.get(&*name).copied().unwrap_or_default();
        let (count, bytes) = (of.0 - found.0, of.1 - found.1);
        assert!(count <= omitted.0 && bytes <= omitted.1, "{python}: {name} {found:?} {of:?}");
    }
}

#[test]
fn profiles_are_the_heap_tree() {
    if interpreters().is_empty() {
        crate::skip!("no Python from 3.8 on");
    }
    for interpreter in interpreters() {
        let python = &interpreter.to_string();
        let folder = tempfile::tempdir().unwrap();
        let process = start(interpreter);
        let saved = folder.path().join("saved").to_str().unwrap().to_owned();
        let file = folder.path().join("a.pb.gz");
        let record =
            export(&file, &["-p", &process.pid().to_string(), "--retained", "--save-snapshot", &saved]);
        let (stacks, _) = pprof(&file);
        check_stacks(python, &stacks, &record);
        let kinds_and_names = [("module", "__main__"), ("holder", "__main__.sessions"), ("type", "dict")];
        let path = kinds_and_names.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        let below = sum(stacks.iter().filter(|(frames, _)| frames.starts_with(&path)));
        assert!(below.0 > 2000, "{python}: {below:?}");
        let other = folder.path().join("a.speedscope.json");
        export(&other, &["--snapshot", &saved]);
        assert_eq!(speedscope(&other), stacks, "{python}");
    }
}

/// Classes with objects of different sizes: more parts than a profile may have.
const WIDE: &str = "import time
held = [type('Part%d' % i, (), {'__slots__': ('a',)})() for i in range(6000)]
for i, part in enumerate(held):
    part.a = bytes(4 * i)
print('ready now', flush=True)
time.sleep(600)
";

#[test]
fn profiles_are_bounded() {
    let Some(interpreter) = interpreters().last() else { crate::skip!("no Python from 3.8 on") };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("wide.py");
    fs::write(&program, WIDE).unwrap();
    let mut process = script(interpreter, &program).start();
    process.wait_line("ready ");
    let file = folder.path().join("a.pb.gz");
    let record = export(&file, &["-p", &process.pid().to_string(), "--retained"]);
    let (stacks, comments) = pprof(&file);
    check_stacks("wide", &stacks, &record);
    let omitted = omitted(&stacks);
    assert!(omitted.0 > 1000 && stacks.len() > 1000, "{omitted:?} {}", stacks.len());
    let bytes = common::units::thousands(omitted.1);
    let said = comments.iter().any(|comment| comment.ends_with(&format!(" {bytes} bytes")));
    assert!(said, "{bytes}: {comments:?}");
}
