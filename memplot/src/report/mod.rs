//! The report of a page: what `memobj --leaks` found, in words, with its evidence.

mod account;
mod curves;
mod environment;
mod file_name;

use std::fmt::Write as _;
use std::sync::Arc;

use common::columns::Tone;
use common::log::{Moment, MomentData};
use common::record::{LeaksRecord, MemoryRow};
use common::verdict::{HELD, Level, Sentence, of_processes};

use self::file_name::file_name;
use crate::svg::escape;

/// The separator of a way from a root to a leak.
const STEP: &str = " → ";

/// Processes with a verdict, at most: more would be no page to read.
const MAX_RECORDS: usize = 500;

/// The verdicts of a log, and the last account of the resident set.
#[derive(Debug, Default)]
pub struct Report {
    /// The last verdict on each process.
    records: Vec<LeaksRecord>,
    /// The rows of the last account, with the pid of its process.
    account: Option<(u32, Vec<MemoryRow>)>,
}

impl Report {
    /// Adds a moment.
    pub fn add(&mut self, moment: &Moment) {
        match &moment.data {
            MomentData::Leaks(record) => {
                let process = |of: &LeaksRecord| (Arc::clone(&of.host), of.pid, of.start_ticks);
                self.records.retain(|other| process(other) != process(record));
                if self.records.len() < MAX_RECORDS {
                    self.records.push((**record).clone());
                }
            }
            MomentData::Census(census) if !census.memory_rows.is_empty() => {
                self.account = Some((census.pid, census.memory_rows.clone()));
            }
            _ => {}
        }
    }

    /// The elements of the report; none without a verdict. `with_host` adds the machine's name, folders and the command's arguments.
    pub fn html(&self, with_host: bool) -> String {
        let Some(first) = self.records.first() else { return String::new() };
        let mut html = "<section id=\"report\" aria-label=\"Verdict\">\n".to_owned();
        let shown: Vec<LeaksRecord> =
            self.records.iter().cloned().map(|r| with_names(r, with_host)).collect();
        of_processes(&shown).iter().for_each(|block| add_block(block, &mut html));
        html.push_str(&curves::html(&self.records));
        // The account of the process that the first verdict is on: the worst one.
        let of_log = self.account.as_ref().filter(|(pid, _)| *pid == first.pid).map(|(_, rows)| &**rows);
        let rows = if first.memory_rows.is_empty() { of_log.unwrap_or_default() } else { &first.memory_rows };
        html.push_str(&account::html(rows, first, with_host));
        html.push_str(&environment::html(&self.records, with_host));
        html.push_str("</section>\n");
        html
    }
}

/// The record with the names of its files as the report shows them.
fn with_names(mut record: LeaksRecord, with_host: bool) -> LeaksRecord {
    for row in record.memory.iter_mut().flat_map(|memory| &mut memory.rows).filter(|_| !with_host) {
        row.detail = row.detail.take().map(|detail| file_name(&detail).into());
    }
    record
}

/// Adds the verdict on one process: each headline as an article with its evidence, then the remarks.
fn add_block(block: &[Sentence], html: &mut String) {
    let mut sentences = block.iter().peekable();
    while let Some(Sentence { level, label, tone, text }) = sentences.next() {
        if *level != Level::Headline {
            let _ = writeln!(html, "<p class=\"remark {}\">{}</p>", class(*tone), escape(text));
            continue;
        }
        let (label, text) = (escape(label), escape(text));
        let _ = write!(
            html,
            "<article class=\"finding {}\">\n<h2><b>{label}</b> <span>{text}</span></h2>\n",
            class(*tone)
        );
        if sentences.peek().is_some_and(|next| next.level == Level::Detail) {
            html.push_str("<dl>\n");
            while let Some(detail) = sentences.next_if(|next| next.level == Level::Detail) {
                add_detail(detail, html);
            }
            html.push_str("</dl>\n");
        }
        html.push_str("</article>\n");
    }
}

/// Adds a piece of evidence. The way to a leak is a list, and code has the letters of code.
fn add_detail(Sentence { label, text, .. }: &Sentence, html: &mut String) {
    let body = if label == HELD {
        let steps: String = text.split(STEP).map(|step| format!("<li>{}</li>", escape(step))).collect();
        format!("<ol class=\"way\">{steps}</ol>")
    } else {
        escape(text)
    };
    let label = escape(label);
    let _ = writeln!(html, "<dt>{label}</dt><dd class=\"{label}\">{body}</dd>");
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Alarm => "alarm",
        Tone::Warning => "warning",
        Tone::Dim => "dim",
        _ => "plain",
    }
}

#[cfg(test)]
mod tests;
