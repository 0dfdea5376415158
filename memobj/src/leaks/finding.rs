//! Something that grows.

use std::sync::Arc;

use crate::holders::ObjectTotals;

/// Why what grows is not freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeakCause {
    /// The program holds it.
    Held,
    /// It is garbage in circles, and the collector is off.
    Garbage,
    /// It is in `gc.garbage`.
    Uncollectable,
    /// Native code holds it, beside references that were found.
    Native,
    /// Nobody is known to refer to it: a reference was given up by C code and not uncounted, or is kept where memobj does not look.
    Unreferred,
}

impl LeakCause {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Garbage => "garbage",
            Self::Uncollectable => "uncollectable",
            Self::Native => "native",
            Self::Unreferred => "unreferred",
        }
    }
}

/// How a container grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrowthMode {
    /// Items are appended at the end.
    Appended,
    /// Items are put in front of the others.
    Prepended,
    /// Items are put in anywhere.
    Inserted,
    /// Keys are set.
    KeysSet,
    /// Elements are added to a set.
    Added,
    /// Results are cached.
    Cached,
    /// It is no container: attributes are set, or a chain grows.
    Linked,
    /// The object itself grows.
    Enlarged,
}

impl GrowthMode {
    /// Its word in records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Appended => "appended",
            Self::Prepended => "prepended",
            Self::Inserted => "inserted",
            Self::KeysSet => "keys_set",
            Self::Added => "added",
            Self::Cached => "cached",
            Self::Linked => "linked",
            Self::Enlarged => "enlarged",
        }
    }

    /// The same for a person.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Appended => "appended at the end",
            Self::Prepended => "put in front",
            Self::Inserted => "put in",
            Self::KeysSet => "keys are set",
            Self::Added => "added",
            Self::Cached => "results are cached",
            Self::Linked => "linked to what is there",
            Self::Enlarged => "grows itself",
        }
    }
}

/// What objects are added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its type.
    pub of: Arc<str>,
    /// How many items it has now; `None` if that is not known, or it is not one container alone.
    pub entries: Option<u64>,
    /// Whether it is one, or there are several such.
    pub is_one: bool,
}

/// Objects of a type that grow with a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeGrowth {
    /// The type.
    pub of: Arc<str>,
    /// Objects a second.
    pub objects_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// Something that grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Why it is not freed.
    pub cause: LeakCause,
    /// The place that holds it, by name.
    pub holder: Arc<str>,
    /// The type of what is added.
    pub of: Arc<str>,
    /// The function that waits in it, or that it is; `None` if it is neither.
    pub function: Option<Arc<str>>,
    /// What is suspended, with the line where most of it waits: `task bot.wait_reply, waiting at bot.py:42`.
    pub waiting: Option<Arc<str>>,
    /// Objects of that type a second.
    pub objects_per_second: f64,
    /// If there are not more of them: items a second that come into the one that grows; `None` if that is no container.
    pub entries_per_second: Option<f64>,
    /// Bytes a second, with all that comes with them.
    pub bytes_per_second: f64,
    /// All objects that the place holds now.
    pub held: ObjectTotals,
    /// What would be freed without those of the type; `None` if that is not known.
    pub retained_bytes: Option<u64>,
    /// How long ago the oldest was seen first, in seconds; `None`: before the first census.
    pub oldest_age_seconds: Option<f64>,
    /// How long ago the newest was not there yet, in seconds.
    pub newest_age_seconds: f64,
    /// How many came after the first census and were seen in another one.
    pub stayed: u64,
    /// How many were gone that had been seen twice.
    pub left: u64,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// What it is added to; `None` for what nobody holds.
    pub container: Option<Container>,
    /// How.
    pub how: GrowthMode,
    /// A way to it, as most have; `None` for what nobody holds.
    pub way: Option<String>,
    /// What grows there, the most bytes first.
    pub types: Vec<TypeGrowth>,
    /// How many entries the cache or queue may have at most.
    pub limit: Option<u64>,
    /// The holder of the leak that this one comes with, as weak references do; `None` for one of its own.
    pub along: Option<Arc<str>>,
}
