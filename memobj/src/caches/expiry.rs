//! Expired entries: by a deadline in each entry, or in a dict beside the cache.

use std::sync::Arc;

use common::record::CacheClock;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::clock::ClockReadings;
use super::metadata;
use super::name_heuristics::{Meaning, means};
use crate::names::NameReader;

/// Entries that are sampled to find their times.
const SAMPLE: usize = 64;
/// Samples of ten that must have a time in a field.
const MAX_OF_TEN: usize = 8;
/// Items of a tuple or list, and names of a dict or object, that are tried.
const MAX_ITEMS: u64 = 8;
const MAX_NAMES: usize = 64;

/// The field of an entry's value with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TimeField {
    /// The value itself.
    Itself,
    /// The item with this number in a tuple or list.
    Item(u64),
    /// The value of this key in a dict.
    Entry(Arc<str>),
    /// This attribute of an object.
    Attribute(Arc<str>),
}

/// The times of a cache's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryTimes {
    /// Their clock.
    pub clock: CacheClock,
    /// Times that are past; `None` if they may not be deadlines.
    pub expired: Option<u64>,
    /// Whether the values alone show that these are times, by their name or by the wall clock.
    pub is_recognizable: bool,
}

/// Reads times.
struct Reader<'n, 'p, 'm, M> {
    names: &'n mut NameReader<'p, 'm, M>,
    now: ClockReadings,
}

/// Finds the times of these values. `are_deadlines`: their name says that they are deadlines.
pub(super) fn times<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    values: &[Addr],
    now: &ClockReadings,
    are_deadlines: bool,
) -> Option<EntryTimes> {
    let every = values.len().div_ceil(SAMPLE).max(1);
    let mut sample: Vec<Addr> = values.iter().copied().step_by(every).collect();
    // `None` never expires.
    sample.retain(|&value| !names.objects().is_none(value));
    let mut reader = Reader { names, now: *now };
    let (field, clock) = reader.field(&sample)?;
    let now = now.reading(clock)?;
    let (mut past, mut ahead) = (0_u64, 0_u64);
    for &value in values {
        match reader.at(value, &field) {
            Some(time) if time <= now => past += 1,
            Some(_) => ahead += 1,
            None => {}
        }
    }
    let name = match &field {
        TimeField::Entry(name) | TimeField::Attribute(name) => Some(name),
        TimeField::Itself | TimeField::Item(_) => None,
    };
    let is_deadline =
        name.map_or(are_deadlines && field == TimeField::Itself, |name| means(name, Meaning::Deadline));
    let is_stamp = name.is_some_and(|name| means(name, Meaning::Timestamp));
    // A timestamp lies in the past.
    let expired = (is_deadline || (ahead > 0 && !is_stamp)).then_some(past);
    let is_recognizable = name.is_some() || (clock == CacheClock::Wall && field != TimeField::Itself);
    Some(EntryTimes { clock, expired, is_recognizable })
}

impl<M: Memory> Reader<'_, '_, '_, M> {
    /// Finds the field where most of these values have a time, and its clock. Names of deadlines come first.
    fn field(&mut self, sample: &[Addr]) -> Option<(TimeField, CacheClock)> {
        let mut fields: Vec<((TimeField, CacheClock), usize)> = Vec::new();
        for &value in sample {
            for field in self.fields(value) {
                let Some(time) = self.at(value, &field) else { continue };
                let Some(clock) = self.now.clock_for(time) else { continue };
                let is_named = matches!(field, TimeField::Entry(_) | TimeField::Attribute(_));
                // Prices and temperatures are as large; they seldom have as many digits.
                if clock == CacheClock::Monotonic && !is_named && (time * 1000.0).fract() == 0.0 {
                    continue;
                }
                match fields.iter_mut().find(|((known, of), _)| *known == field && *of == clock) {
                    Some((_, count)) => *count += 1,
                    None => fields.push(((field, clock), 1)),
                }
            }
        }
        let needed = (sample.len() * MAX_OF_TEN).div_ceil(10);
        fields.retain(|&(_, count)| count >= needed && count > 0);
        let rank = |field: &TimeField| match field {
            TimeField::Entry(name) | TimeField::Attribute(name) if means(name, Meaning::Deadline) => 0,
            TimeField::Itself | TimeField::Item(_) => 1,
            TimeField::Entry(_) | TimeField::Attribute(_) => 2,
        };
        // Of equal ones the first.
        fields.into_iter().map(|(found, _)| found).min_by_key(|(field, _)| rank(field))
    }

    /// The fields of a value that may have a time.
    fn fields(&mut self, value: Addr) -> Vec<TimeField> {
        let Some(of) = self.names.type_of(value) else { return Vec::new() };
        let objects = self.names.objects();
        let is_time_name =
            |name: &Arc<str>| means(name, Meaning::Deadline) || means(name, Meaning::Timestamp);
        match of.kind {
            Some(Builtin::Int | Builtin::Number) => vec![TimeField::Itself],
            Some(Builtin::Tuple | Builtin::List) => {
                let count = objects.read_length(value).unwrap_or(0).min(MAX_ITEMS);
                (0..count).map(TimeField::Item).collect()
            }
            Some(Builtin::Dict | Builtin::OrderedDict | Builtin::DefaultDict) => {
                let pairs = objects.read_pairs(value, MAX_NAMES);
                let names = pairs.into_iter().filter_map(|(key, _)| self.names.key(key));
                names.filter(is_time_name).map(TimeField::Entry).collect()
            }
            None | Some(Builtin::Set | Builtin::Deque) if of.class.is_some() && !of.is_metatype() => {
                let all = metadata::attributes(self.names, value);
                let names = all.into_iter().take(MAX_NAMES).map(|(name, _)| name);
                names.filter(is_time_name).map(TimeField::Attribute).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reads the number in a field.
    fn at(&mut self, value: Addr, field: &TimeField) -> Option<f64> {
        let objects = self.names.objects();
        let at = match field {
            TimeField::Itself => value,
            TimeField::Item(index) => {
                let (memory, layout) = (self.names.python().memory, self.names.python().layout);
                let offset = index.checked_mul(8)?;
                let items = match self.names.type_of(value)?.kind? {
                    Builtin::Tuple => value.plus(u64::from(layout.tuple_object.ob_item)),
                    Builtin::List => memory.read_pointer(value, layout.list_object.ob_item).ok()?,
                    _ => return None,
                };
                (*index < objects.read_length(value)?).then_some(())?;
                memory.read_pointer(items.plus(offset), 0).ok()?
            }
            TimeField::Entry(key) => objects.read_item(value, key)?,
            TimeField::Attribute(name) => self.names.attribute(value, name)?,
        };
        self.number(at)
    }

    /// Reads a `float`, or an `int` near to now by the wall clock.
    fn number(&mut self, at: Addr) -> Option<f64> {
        let number = metadata::number(self.names, at)?;
        let is_int = self.names.type_of(at)?.kind == Some(Builtin::Int);
        (!is_int || self.now.clock_for(number) == Some(CacheClock::Wall)).then_some(number)
    }
}
