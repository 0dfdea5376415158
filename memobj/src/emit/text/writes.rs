//! The text of a watch: which lines add to a container, and which remove from it.

use common::columns::Tone;
use common::record::{AddingLine, WritesRecord};
use common::table::Line;
use common::units::{counted, thousands};
use common::verdict::{Sentence, call_chain, span};

use super::sentence_line;

/// The lines of a watch.
pub(super) fn lines(record: &WritesRecord) -> Vec<Line> {
    sentences(record).iter().map(sentence_line).collect()
}

fn sentences(record: &WritesRecord) -> Vec<Sentence> {
    let added = counted(record.added, "addition", "additions");
    let removed = counted(record.removed, "removal", "removals");
    let time = span(record.watched_seconds);
    let mut lines = vec![Sentence::headline(
        &record.holder,
        Tone::Strong,
        &format!("({}): {added}, {removed} in {time}{}", record.container, per_second(record)),
    )];
    lines.extend(places("adds", &record.additions, record.added));
    lines.extend(places("removes", &record.removals, record.removed));
    if let (Some(first), Some(last)) = (record.first_entries, record.last_entries) {
        let text = format!("{} at the beginning, {} at the end", thousands(first), thousands(last));
        lines.push(Sentence::detail("entries", &text));
    }
    lines.extend(remarks(record).iter().map(|text| Sentence::detail("note", text)));
    lines
}

/// The rate of the additions, while they were watched.
fn per_second(record: &WritesRecord) -> String {
    let seconds = record.watched_seconds - record.unwatched_seconds;
    if record.added == 0 || seconds <= 0.0 {
        return String::new();
    }
    format!("; {:.1} additions/s", record.added as f64 / seconds)
}

/// Each line with its share.
fn places(label: &str, places: &[AddingLine], seen: u64) -> Vec<Sentence> {
    let known: u64 = places.iter().map(|place| place.count).sum();
    let mut rows: Vec<(u64, String)> = places
        .iter()
        .map(|place| {
            let likely = if place.is_certain { "" } else { "likely " };
            (place.count, format!("{likely}{}", call_chain(&place.frames)))
        })
        .collect();
    if let Some(unknown @ 1..) = seen.checked_sub(known) {
        rows.push((unknown, "from code that is not known".to_owned()));
    }
    let share = |count: u64| format!("{:>3.0} %  ", count as f64 / seen.max(1) as f64 * 100.0);
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    rows.into_iter()
        .zip(labels)
        .map(|((count, text), label)| Sentence::detail(label, &format!("{}{text}", share(count))))
        .collect()
}

/// What the numbers do not say.
fn remarks(record: &WritesRecord) -> Vec<String> {
    let mut all = Vec::new();
    if record.writes == 0 {
        all.push("nothing was added or removed".to_owned());
    }
    if record.unclear > 0 {
        let writes = counted(record.unclear, "further write", "further writes");
        all.push(format!("{writes}: they changed nothing, or it is not known whether they added or removed"));
    }
    if record.unwatched_seconds > 0.0 {
        let watched = record.watched_seconds - record.unwatched_seconds;
        let percent = watched / record.watched_seconds * 100.0;
        all.push(format!(
            "a sample: writes came faster than memobj reads them; it was watched for {percent:.0} % of the time"
        ));
    }
    if record.containers > record.watched_containers {
        all.push(format!(
            "{} containers have this name; the {} largest were watched",
            thousands(record.containers),
            record.watched_containers
        ));
    }
    if record.replaced > 0 {
        let times = counted(record.replaced, "time", "times");
        all.push(format!("the program replaced the container {times}; the new one was watched then"));
    }
    if record.is_gone {
        all.push("the container is gone: nothing refers to it by this name any more".to_owned());
    }
    all
}
