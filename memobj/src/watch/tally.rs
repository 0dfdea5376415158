//! Additions and removals by line of code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::record::{AddingLine, CodeLine};
use memobj_cpython::runtime::bytecode::Instruction;

use super::hits::{Hit, chain_lines};

/// Chains of callers that are kept of one line.
const MAX_CHAINS: usize = 64;
/// Lines that are kept.
const MAX_LINES: usize = 1 << 12;
/// Lines that are reported.
const MAX_REPORTED: usize = 16;
/// An instruction nearly always does the same. The least ratio of its usual writes to the opposite ones.
const RARE: u64 = 16;

/// Additions and removals by line of code.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lines: HashMap<Instruction, Option<CodeLine>>,
    /// By instruction: how often the count rose, and fell, where that is known of a single write.
    effects: HashMap<Instruction, (u64, u64)>,
    /// Writes that left the count as it was, or of which it is not known what they did.
    pub unclear: u64,
    pub additions: WritesByLine,
    pub removals: WritesByLine,
}

/// Writes of one kind.
#[derive(Debug, Default)]
pub(super) struct WritesByLine {
    pub seen: u64,
    lines: BTreeMap<CodeLine, LineTally>,
}

#[derive(Debug, Default)]
struct LineTally {
    count: u64,
    /// The instructions of the writes without that.
    unbacked: BTreeSet<Instruction>,
    /// Writes whose function is the innermost one that their words point to, or that the thread's frames confirm.
    backed: u64,
    /// The callers where they are certain.
    chains: BTreeMap<Vec<CodeLine>, u64>,
}

/// What a write does to the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Adds,
    Removes,
}

impl Tally {
    /// Adds the writes between two readings of the count, in their order; `line` finds the line of an instruction. Of several writes it is
    /// known what all of them did together, and of most instructions what they do.
    pub fn add(
        &mut self,
        hits: &[Hit],
        before: Option<u64>,
        after: Option<u64>,
        line: impl Fn(Instruction) -> Option<CodeLine>,
    ) {
        let change = before.zip(after).and_then(|(before, after)| after.checked_signed_diff(before));
        let usual =
            |hit: &Hit| hit.instruction().and_then(|at| self.usual_effect(at)).filter(|_| hits.len() > 1);
        let effects: Vec<Option<Effect>> = hits.iter().map(usual).collect();
        // What the known ones did not do, the others did, if these are all of one instruction.
        let rest = change.map(|change| {
            effects.iter().flatten().fold(change, |rest, effect| match effect {
                Effect::Adds => rest.saturating_sub(1),
                Effect::Removes => rest.saturating_add(1),
            })
        });
        let mut others = hits.iter().zip(&effects).filter(|(_, effect)| effect.is_none()).map(|(hit, _)| hit);
        let other = others.next().map(Hit::instruction);
        let is_one_instruction = hits.len() == 1
            || other.is_some_and(|other| other.is_some() && others.all(|hit| hit.instruction() == other));
        let rest = rest.filter(|_| is_one_instruction).and_then(|rest| match rest {
            1.. => Some(Effect::Adds),
            0 => None,
            _ => Some(Effect::Removes),
        });
        for (hit, effect) in hits.iter().zip(effects) {
            if let (None, Some(rest), Some(at)) = (effect, rest, hit.instruction()) {
                let (adds, removes) = self.effects.entry(at).or_default();
                match rest {
                    Effect::Adds => *adds = adds.saturating_add(1),
                    Effect::Removes => *removes = removes.saturating_add(1),
                }
            }
            match effect.or(rest) {
                Some(effect) => self.add_hit(hit, effect, &line),
                None => self.unclear = self.unclear.saturating_add(1),
            }
        }
    }

    fn usual_effect(&self, at: Instruction) -> Option<Effect> {
        let &(adds, removes) = self.effects.get(&at)?;
        if removes.saturating_mul(RARE) <= adds {
            Some(Effect::Adds)
        } else if adds.saturating_mul(RARE) <= removes {
            Some(Effect::Removes)
        } else {
            None
        }
    }

    fn add_hit(&mut self, hit: &Hit, effect: Effect, line: impl Fn(Instruction) -> Option<CodeLine>) {
        let lines = &mut self.lines;
        let mut line_of = |at: Instruction| match lines.get(&at) {
            Some(known) => known.clone(),
            None => {
                let found = line(at);
                // Code may be freed, and others come in its place: it is read once, at its first hit.
                if lines.len() < MAX_LINES {
                    lines.insert(at, found.clone());
                }
                found
            }
        };
        let chain = hit.frames.as_ref().map(|running| chain_lines(&running.frames, &mut line_of));
        let chain = chain.filter(|chain| !chain.is_empty());
        let innermost = match &chain {
            Some(chain) => chain.first().cloned(),
            None => hit.likely.and_then(line_of),
        };
        let writes = match effect {
            Effect::Adds => &mut self.additions,
            Effect::Removes => &mut self.removals,
        };
        writes.seen = writes.seen.saturating_add(1);
        let Some(innermost) = innermost else { return };
        if writes.lines.len() >= MAX_LINES && !writes.lines.contains_key(&innermost) {
            return;
        }
        let tally = writes.lines.entry(innermost).or_default();
        tally.count = tally.count.saturating_add(1);
        let is_backed = hit.is_backed || chain.is_some();
        tally.backed = tally.backed.saturating_add(u64::from(is_backed));
        if !is_backed && tally.unbacked.len() < MAX_CHAINS {
            tally.unbacked.extend(hit.likely);
        }
        if let Some(chain) = chain
            && (tally.chains.len() < MAX_CHAINS || tally.chains.contains_key(&chain))
        {
            let count = tally.chains.entry(chain).or_default();
            *count = count.saturating_add(1);
        }
    }
}

impl WritesByLine {
    /// The lines, the most frequent first. Instructions that call Python functions do not write.
    pub fn report(&self, is_caller: impl Fn(Instruction) -> bool) -> Vec<AddingLine> {
        let mut lines: Vec<AddingLine> = self
            .lines
            .iter()
            .filter(|(_, tally)| tally.backed > 0 || !tally.unbacked.iter().any(|&at| is_caller(at)))
            .map(|(line, tally)| {
                let most =
                    tally.chains.iter().max_by_key(|&(_, count)| count).map(|(chain, _)| chain.clone());
                AddingLine {
                    count: tally.count,
                    is_certain: most.is_some(),
                    frames: most.unwrap_or_else(|| vec![line.clone()]),
                }
            })
            .collect();
        lines.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.frames.cmp(&b.frames)));
        lines.truncate(MAX_REPORTED);
        lines
    }
}

#[cfg(test)]
mod tests {
    use memobj_cpython::runtime::running_frames::RunningFrames;
    use memobj_process::addr::Addr;

    use super::*;

    fn at(offset: u64) -> Instruction {
        Instruction { code: Addr(1), offset }
    }

    fn hit(offset: u64) -> Hit {
        Hit { likely: Some(at(offset)), is_backed: true, frames: None }
    }

    fn line(at: Instruction) -> Option<CodeLine> {
        Some(CodeLine { function: "f".into(), file: "a.py".into(), line: u32::try_from(at.offset).ok() })
    }

    fn counts(writes: &WritesByLine) -> Vec<(Option<u32>, u64)> {
        writes.report(|_| false).iter().map(|line| (line.frames[0].line, line.count)).collect()
    }

    #[test]
    fn change_of_count_decides() {
        let mut tally = Tally::default();
        tally.add(&[hit(1)], Some(5), Some(6), line);
        tally.add(&[hit(2)], Some(6), Some(5), line);
        tally.add(&[hit(3)], Some(5), Some(5), line);
        tally.add(&[hit(4)], Some(5), None, line);
        tally.add(&[hit(5), hit(5)], Some(5), Some(7), line);
        assert_eq!(counts(&tally.additions), [(Some(5), 2), (Some(1), 1)]);
        assert_eq!(counts(&tally.removals), [(Some(2), 1)]);
    }

    #[test]
    fn mixed_writes_do_what_they_did_before() {
        let mut tally = Tally::default();
        tally.add(&[hit(1), hit(2)], Some(5), Some(5), line);
        assert_eq!((tally.additions.seen, tally.removals.seen), (0, 0));
        assert_eq!(tally.unclear, 2);
        tally.add(&[hit(1)], Some(5), Some(6), line);
        tally.add(&[hit(1), hit(2)], Some(6), Some(6), line);
        tally.add(&[hit(1), hit(2), hit(1)], Some(5), Some(6), line);
        assert_eq!((tally.additions.seen, tally.removals.seen), (4, 2));
        assert_eq!(counts(&tally.additions), [(Some(1), 4)]);
        tally.add(&[hit(3), hit(4)], Some(6), Some(8), line);
        assert_eq!((tally.additions.seen, tally.unclear), (4, 4), "one of them may have added both");
    }

    #[test]
    fn calls_of_python_functions_do_not_add() {
        let mut tally = Tally::default();
        tally.add(&[Hit { is_backed: false, ..hit(1) }], Some(5), Some(6), line);
        assert_eq!((tally.additions.seen, tally.additions.report(|at| at.offset == 1)), (1, vec![]));
        assert_eq!(counts(&tally.additions), [(Some(1), 1)]);
        tally.add(&[hit(1)], Some(6), Some(7), line);
        assert_eq!(tally.additions.report(|_| true).len(), 1, "its frame was seen");
    }

    #[test]
    fn callers_are_those_of_most_hits() {
        let mut tally = Tally::default();
        for caller in [7, 8, 8] {
            let frames = Some(RunningFrames { frames: vec![at(1), at(caller)], is_whole: true });
            tally.add(&[Hit { likely: None, is_backed: false, frames }], Some(1), Some(2), line);
        }
        let [report] = &tally.additions.report(|_| false)[..] else { panic!("{tally:?}") };
        let lines: Vec<_> = report.frames.iter().map(|frame| frame.line).collect();
        assert_eq!((report.count, report.is_certain, &lines[..]), (3, true, &[Some(1), Some(8)][..]));
    }
}
