//! The profile of pprof: `go tool pprof`, Pyroscope and Grafana open it.
//!
//! Facts: `proto/profile.proto` of google/pprof; the wire types of Protocol Buffers' encoding. The file is that message, compressed with gzip.

use std::io::{self, Write};

use common::units::thousands;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::stacks::{Stack, Stacks, make_bounded};
use super::strings::Strings;
use crate::holders::heap_tree::HeapTree;

/// The most bytes before compression. Pyroscope took no more in 2023 (its issue 2157).
const MAX_BYTES: usize = 4 << 20;

/// The values of a sample, each with its unit.
const VALUES: [[&str; 2]; 2] = [["inuse_objects", "count"], ["inuse_space", "bytes"]];

/// Writes the tree of holders.
pub(super) fn write(tree: &HeapTree<'_, '_>, out: &mut impl Write) -> io::Result<()> {
    let profile = make_bounded(tree, encode, |profile| profile.len() <= MAX_BYTES);
    let mut packed = GzEncoder::new(out, Compression::default());
    packed.write_all(&profile)?;
    packed.finish().map(drop)
}

/// Encodes the message `Profile`: a function and a location for each frame, a sample for each stack.
fn encode(stacks: &Stacks) -> Vec<u8> {
    let mut strings = Strings::new("");
    let mut profile = Message::default();
    for [name, unit] in VALUES {
        let value_type = Message::default().varint(1, strings.number(name)).varint(2, strings.number(unit));
        profile = profile.message(1, &value_type);
    }
    for Stack { frames, count, size_bytes } in &stacks.list {
        // The leaf comes first there. A number of 0 is none.
        let locations = frames.iter().rev().map(|&frame| frame as u64 + 1);
        let sample = Message::default().packed(1, locations).packed(2, [*count, *size_bytes]);
        profile = profile.message(2, &sample);
    }
    for (number, frame) in (1_u64..).zip(&stacks.frames) {
        let line = Message::default().varint(1, number);
        profile = profile.message(4, &Message::default().varint(1, number).message(4, &line));
        let name = strings.number(&frame.name);
        let kind = strings.number(&frame.kind());
        let function = Message::default().varint(1, number).varint(2, name).varint(3, name).varint(4, kind);
        profile = profile.message(5, &function);
    }
    let comments = comments(stacks).map(|comment| strings.number(&comment));
    let default = strings.number("inuse_space");
    let profile = profile.packed(13, comments).varint(14, default);
    strings.list().iter().fold(profile, |profile, text| profile.bytes(6, text.as_bytes())).0
}

/// What wrote the file, and what is not in it.
fn comments(stacks: &Stacks) -> [String; 2] {
    let writer = format!("memobj {}: Python objects by holder", env!("CARGO_PKG_VERSION"));
    let omitted = stacks.omitted;
    let parts = match omitted.rows {
        0 => "all parts are in the file".to_owned(),
        rows => format!(
            "(smaller parts) sums up {} parts: {} objects, {} bytes",
            thousands(rows),
            thousands(omitted.count),
            thousands(omitted.size_bytes)
        ),
    };
    [writer, parts]
}

/// A message in the encoding of Protocol Buffers: fields, each with its number and wire type.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// Wire types.
    const VARINT: u64 = 0;
    const LENGTH_DELIMITED: u64 = 2;

    /// Seven bits a byte, the low ones first; the eighth says that more follow.
    fn put(mut self, mut value: u64) -> Self {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }

    fn varint(self, field: u64, value: impl Into<u64>) -> Self {
        self.put(field << 3 | Self::VARINT).put(value.into())
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut message = self.put(field << 3 | Self::LENGTH_DELIMITED).put(bytes.len() as u64);
        message.0.extend_from_slice(bytes);
        message
    }

    fn message(self, field: u64, inner: &Self) -> Self {
        self.bytes(field, &inner.0)
    }

    fn packed(self, field: u64, values: impl IntoIterator<Item = impl Into<u64>>) -> Self {
        let values = values.into_iter().fold(Self::default(), |packed, value| packed.put(value.into()));
        self.message(field, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_varints() {
        let bytes = |value: u64| Message::default().put(value).0;
        assert_eq!((bytes(0), bytes(127), bytes(128)), (vec![0], vec![127], vec![0x80, 1]));
        // The example of the documentation of Protocol Buffers.
        assert_eq!(Message::default().varint(1, 150_u64).0, [0x08, 0x96, 0x01]);
        assert_eq!(bytes(u64::MAX).len(), 10);
        assert_eq!(Message::default().packed(6, [3_u64, 270, 86942]).0, [0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]);
        assert_eq!(Message::default().bytes(2, b"testing").0, b"\x12\x07testing");
    }
}
