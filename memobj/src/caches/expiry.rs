//! Which entries of a cache are past their time, where that can be read: a deadline in each entry, or in a dict beside it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::names::NameReader;
use memobj_cpython::heap::builtins::Builtin;
use memobj_cpython::object::memory_ext::MemoryExt;
use memobj_process::addr::Addr;
use memobj_process::memory::Memory;

use super::clock::{Clock, ClockReadings};
use super::metadata;
use super::name_heuristics;

/// So many entries are looked at to find out where their times are.
const SAMPLE: usize = 64;
/// A place is that of times if so many of ten have one there.
const MOST_OF_TEN: usize = 8;
/// Items of a tuple or list, names of a dict or object that are looked at.
const MOST_ITEMS: u64 = 8;
const MOST_NAMES: usize = 64;

/// Where in an entry's value a time is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TimeField {
    /// The value is the time.
    Itself,
    /// The item of that number in a tuple or list.
    Item(u64),
    /// The value of that key in a dict.
    Entry(Arc<str>),
    /// That attribute of an object.
    Attribute(Arc<str>),
}

/// What times the entries of a cache have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryTimes {
    /// By which clock.
    pub clock: Clock,
    /// How many are past their deadline; `None` if it cannot be told that these are deadlines: times in the past may be of anything.
    pub expired: Option<u64>,
    /// Whether it takes no more than the values to see that these are times: a name that says so, or the wall clock's.
    pub is_telling: bool,
}

/// Reads numbers.
struct Reader<'n, 'p, 'm, M> {
    names: &'n mut NameReader<'p, 'm, M>,
    now: ClockReadings,
}

/// What times these values have. `are_deadlines`: what they are is called so.
pub(super) fn times<M: Memory>(
    names: &mut NameReader<'_, '_, M>,
    values: &[Addr],
    now: &ClockReadings,
    are_deadlines: bool,
) -> Option<EntryTimes> {
    let every = values.len().div_ceil(SAMPLE).max(1);
    let mut sample: Vec<Addr> = values.iter().copied().step_by(every).collect();
    // What never expires says so.
    sample.retain(|&value| !names.objects().is_none(value));
    let mut reader = Reader { names, now: *now };
    let (spot, clock) = reader.spot(&sample)?;
    let now = now.of(clock)?;
    let (mut past, mut ahead) = (0_u64, 0_u64);
    for &value in values {
        match reader.at(value, &spot) {
            Some(time) if time <= now => past += 1,
            Some(_) => ahead += 1,
            None => {}
        }
    }
    let name = match &spot {
        TimeField::Entry(name) | TimeField::Attribute(name) => Some(name),
        TimeField::Itself | TimeField::Item(_) => None,
    };
    let is_deadline =
        name.map_or(are_deadlines && spot == TimeField::Itself, |name| name_heuristics::is_deadline(name));
    let is_stamp = name.is_some_and(|name| name_heuristics::is_stamp(name));
    // Nobody remembers when something will have been made.
    let expired = (is_deadline || (ahead > 0 && !is_stamp)).then_some(past);
    let is_telling = name.is_some() || (clock == Clock::Wall && spot != TimeField::Itself);
    Some(EntryTimes { clock, expired, is_telling })
}

impl<M: Memory> Reader<'_, '_, '_, M> {
    /// The spot where most of these values have a time, and of which clock; a named one before others.
    fn spot(&mut self, sample: &[Addr]) -> Option<(TimeField, Clock)> {
        let mut spots: Vec<((TimeField, Clock), usize)> = Vec::new();
        for &value in sample {
            for spot in self.spots(value) {
                let Some(time) = self.at(value, &spot) else { continue };
                let Some(clock) = self.now.clock_of(time) else { continue };
                let is_named = matches!(spot, TimeField::Entry(_) | TimeField::Attribute(_));
                // Prices and temperatures are as large; they seldom have so many digits.
                if clock == Clock::Monotonic && !is_named && (time * 1000.0).fract() == 0.0 {
                    continue;
                }
                match spots.iter_mut().find(|((known, of), _)| *known == spot && *of == clock) {
                    Some((_, count)) => *count += 1,
                    None => spots.push(((spot, clock), 1)),
                }
            }
        }
        let needed = (sample.len() * MOST_OF_TEN).div_ceil(10);
        spots.retain(|&(_, count)| count >= needed && count > 0);
        let rank = |spot: &TimeField| match spot {
            TimeField::Entry(name) | TimeField::Attribute(name) if name_heuristics::is_deadline(name) => 0,
            TimeField::Itself | TimeField::Item(_) => 1,
            TimeField::Entry(_) | TimeField::Attribute(_) => 2,
        };
        // Of as good ones the first.
        spots.into_iter().map(|(found, _)| found).min_by_key(|(spot, _)| rank(spot))
    }

    /// Where a value may have a time.
    fn spots(&mut self, value: Addr) -> Vec<TimeField> {
        let Some(of) = self.names.type_of(value) else { return Vec::new() };
        let objects = self.names.objects();
        let tells = |name: &Arc<str>| name_heuristics::is_deadline(name) || name_heuristics::is_stamp(name);
        match of.kind {
            Some(Builtin::Int | Builtin::Number) => vec![TimeField::Itself],
            Some(Builtin::Tuple | Builtin::List) => {
                let count = objects.length(value).unwrap_or(0).min(MOST_ITEMS);
                (0..count).map(TimeField::Item).collect()
            }
            Some(Builtin::Dict | Builtin::OrderedDict | Builtin::DefaultDict) => {
                let mut keys = Vec::new();
                objects.entries(value, |key, _| {
                    keys.push(key);
                    if keys.len() < MOST_NAMES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                let names = keys.into_iter().filter_map(|key| self.names.key(key));
                names.filter(tells).map(TimeField::Entry).collect()
            }
            None | Some(Builtin::Set | Builtin::Deque) if of.class.is_some() && !of.is_metatype() => {
                let all = metadata::attributes(self.names, value);
                let names = all.into_iter().take(MOST_NAMES).map(|(name, _)| name);
                names.filter(tells).map(TimeField::Attribute).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The number at a spot of a value.
    fn at(&mut self, value: Addr, spot: &TimeField) -> Option<f64> {
        let objects = self.names.objects();
        let at = match spot {
            TimeField::Itself => value,
            TimeField::Item(index) => {
                let (memory, layout) = (self.names.python().memory, self.names.python().layout);
                let offset = index.checked_mul(8)?;
                let items = match self.names.type_of(value)?.kind? {
                    Builtin::Tuple => value.plus(u64::from(layout.tuple_object.ob_item)),
                    Builtin::List => memory.read_pointer(value, layout.list_object.ob_item).ok()?,
                    _ => return None,
                };
                (*index < objects.length(value)?).then_some(())?;
                memory.read_pointer(items.plus(offset), 0).ok()?
            }
            TimeField::Entry(key) => objects.item(value, key)?,
            TimeField::Attribute(name) => self.names.attribute(value, name)?,
        };
        self.number(at)
    }

    /// A `float`, or an `int` that is near to now: the monotonic clock is no one's in whole seconds.
    fn number(&mut self, at: Addr) -> Option<f64> {
        let number = metadata::number(self.names, at)?;
        let is_int = self.names.type_of(at)?.kind == Some(Builtin::Int);
        (!is_int || self.now.clock_of(number) == Some(Clock::Wall)).then_some(number)
    }
}
