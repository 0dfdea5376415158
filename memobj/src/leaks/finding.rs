//! Why something that grows is not freed, and how it grows.

/// Why something that grows is not freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakCause {
    /// The program holds it.
    Held,
    /// It is cyclic garbage, and the collector is off.
    Garbage,
    /// It is in `gc.garbage`.
    Uncollectable,
    /// Native code holds it, beside references that were found.
    Native,
    /// It has no known referrer: C code forgot a reference, or keeps it where memobj does not look.
    Unreferred,
}

impl LeakCause {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
    /// Items are appended at its end.
    Appended,
    /// Items are put in front of the others.
    Prepended,
    /// Items are inserted anywhere.
    Inserted,
    /// Keys are set.
    KeysSet,
    /// Elements are added to a set.
    Added,
    /// Results are cached.
    Cached,
    /// Attributes are set, or a chain of objects grows.
    Linked,
    /// The object itself grows.
    Enlarged,
}

impl GrowthMode {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
}
