//! A sentence of a verdict.

use crate::columns::Tone;

/// The label of the way from a root to a leak. Its text has the steps between ` → `.
pub const HELD: &str = "held";

/// The place of a sentence in a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A finding. The tone is that of its label.
    Headline,
    /// Evidence of the headline above, or advice.
    Detail,
    /// A remark on the process, without a label.
    Remark,
}

/// A sentence of a verdict. Its text may contain any character of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its place.
    pub level: Level,
    /// A word for what it says: `LEAK`, `why`, `held`; empty for none.
    pub label: String,
    /// Its tone.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

impl Sentence {
    /// A finding.
    #[must_use]
    pub fn headline(label: &str, tone: Tone, text: &str) -> Self {
        Self { level: Level::Headline, label: label.to_owned(), tone, text: text.to_owned() }
    }

    /// Evidence, or advice.
    #[must_use]
    pub fn detail(label: &str, text: &str) -> Self {
        Self { level: Level::Detail, label: label.to_owned(), tone: Tone::Plain, text: text.to_owned() }
    }

    /// A remark.
    pub(super) fn remark(tone: Tone, text: String) -> Self {
        Self { level: Level::Remark, label: String::new(), tone, text }
    }
}
