//! Which line an instruction is on: the tables that a code object carries for that.
//!
//! Each decoder takes the whole table, however broken, and reads each byte once at most.

use crate::layout::encoding::LineTable;

/// The line of the instruction at the byte `offset` of a code object that begins on the line `first`; `None` where the table says that it
/// has none, or does not reach so far.
pub fn line_at(kind: LineTable, table: &[u8], first: i32, offset: u64) -> Option<i32> {
    match kind {
        LineTable::Steps => steps(table, first, offset),
        LineTable::Ranges => ranges(table, first, offset),
        LineTable::Locations => locations(table, first, offset),
    }
}

/// `PyCode_Addr2Line` of 3.8 and 3.9: what follows the last step belongs to its line.
fn steps(table: &[u8], first: i32, offset: u64) -> Option<i32> {
    let (mut at, mut line) = (0_u64, first);
    for &[bytes, lines] in table.as_chunks().0 {
        at = at.saturating_add(u64::from(bytes));
        if at > offset {
            break;
        }
        line = line.checked_add(i32::from(lines.cast_signed()))?;
    }
    Some(line)
}

fn ranges(table: &[u8], first: i32, offset: u64) -> Option<i32> {
    const NO_LINE: i8 = -128;
    let (mut end, mut line) = (0_u64, first);
    for &[length, lines] in table.as_chunks().0 {
        end = end.saturating_add(u64::from(length));
        let lines = lines.cast_signed();
        if lines != NO_LINE {
            line = line.checked_add(i32::from(lines))?;
        }
        if end > offset {
            return (lines != NO_LINE).then_some(line);
        }
    }
    None
}

fn locations(table: &[u8], first: i32, offset: u64) -> Option<i32> {
    /// The kinds of an entry that say more of lines than that it is the same one (`_PyCodeLocationInfoKind`).
    const ONE_LINE: std::ops::RangeInclusive<u8> = 10..=12;
    const NO_COLUMNS: u8 = 13;
    const LONG: u8 = 14;
    const NONE: u8 = 15;
    /// Bytes of a code unit.
    const UNIT: u64 = 2;

    let (mut end, mut line) = (0_u64, first);
    let mut rest = table;
    while let Some((&head, behind)) = rest.split_first() {
        let kind = head >> 3 & 15;
        let length = behind.iter().take_while(|&&byte| byte < 128).count();
        let (body, next) = behind.split_at_checked(length)?;
        rest = next;
        line = line.checked_add(match kind {
            NO_COLUMNS | LONG => signed(body)?,
            kind if ONE_LINE.contains(&kind) => i32::from(kind.saturating_sub(*ONE_LINE.start())),
            _ => 0,
        })?;
        end = end.saturating_add(u64::from(head & 7).saturating_add(1).saturating_mul(UNIT));
        if end > offset {
            return (kind != NONE).then_some(line);
        }
    }
    None
}

/// The number that `bytes` begin with: six bits a byte, the lowest first, bit 6 where more follow; the lowest bit of all is the sign.
fn signed(bytes: &[u8]) -> Option<i32> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(6).enumerate() {
        value |= u64::from(byte & 63) << index.saturating_mul(6);
        if byte & 64 == 0 {
            let size = i32::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 1 { 0_i32.saturating_sub(size) } else { size });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lnotab_steps_give_lines() {
        // Bytes 0 to 5 on line 10, 6 to 15 on 12, 16 and on on 11.
        let table = [6, 2, 10, 0xff];
        let line = |offset| line_at(LineTable::Steps, &table, 10, offset);
        assert_eq!([0, 5, 6, 15, 16, 1000].map(line), [10, 10, 12, 12, 11, 11].map(Some));
    }

    #[test]
    fn ranges_without_line() {
        // Bytes 0 to 3 on line 10, 4 to 7 on none, 8 to 9 on 13.
        let table = [4, 0, 4, 0x80, 2, 3];
        let line = |offset| line_at(LineTable::Ranges, &table, 10, offset);
        assert_eq!(
            [0, 3, 4, 7, 8, 9, 10].map(line),
            [Some(10), Some(10), None, None, Some(13), Some(13), None]
        );
    }

    #[test]
    fn every_location_kind_gives_line() {
        let table = [
            0x80,
            0x11, // kind 0: the same line; 1 unit
            0xd9,
            1,
            2, // kind 11: a line on; 2 units
            0xe8,
            0x03, // kind 13, one back (2 << 0 | 1 = 3); 1 unit
            0xf0,
            0x40 | 8,
            1,
            0,
            0,
            0,    // kind 14: (8 | 1 << 6) >> 1 = 36 lines on; 1 unit
            0xf8, // kind 15: none; 1 unit
        ];
        let line = |offset| line_at(LineTable::Locations, &table, 10, offset);
        assert_eq!(
            [0, 2, 4, 6, 8, 10, 12].map(line),
            [Some(10), Some(11), Some(11), Some(10), Some(46), None, None]
        );
    }

    proptest! {
        #[test]
        fn any_line_table_is_read(table in proptest::collection::vec(any::<u8>(), 0..200), first: i32, offset: u64) {
            for kind in [LineTable::Steps, LineTable::Ranges, LineTable::Locations] {
                let _ = line_at(kind, &table, first, offset);
            }
        }
    }
}
