//! Manual pages, made from what `--help` is made from.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::tools;

/// One manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its file name: `memmon.1`.
    pub name: String,
    /// Its text in man(7).
    pub text: Vec<u8>,
}

/// The pages of all tools that are built.
///
/// # Errors
/// None in practice: writing to memory.
pub fn pages() -> io::Result<Vec<Page>> {
    tools::commands().into_iter().map(page).collect()
}

fn page(command: clap::Command) -> io::Result<Page> {
    let notes = [command.get_after_long_help(), command.get_after_help()];
    let notes: Vec<Section> = notes.into_iter().flatten().flat_map(|n| sections(&n.to_string())).collect();
    // Without a date: the same source gives the same page on any day.
    let man = Man::new(command).manual("memtools");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    for section in notes {
        section.render().to_writer(&mut text)?;
    }
    Ok(Page { name: man.get_filename(), text })
}

/// A part of the help behind the options.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    title: String,
    /// Lines of a paragraph, or, where each is indented, of examples to be kept as they are.
    lines: Vec<String>,
    kept: bool,
}

/// Splits help into its paragraphs. Each begins with its title and a colon: `Files: …` or `Examples:` above an indented list.
fn sections(help: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    for paragraph in help.split("\n\n").map(str::trim_end).filter(|p| !p.is_empty()) {
        let (title, rest) = match paragraph.split_once(':') {
            Some((title, rest)) if !title.contains('\n') => (title.to_uppercase(), rest),
            _ => ("NOTES".to_owned(), paragraph),
        };
        let kept = rest.starts_with('\n') && rest.lines().all(|l| l.is_empty() || l.starts_with(' '));
        // Behind its title and colon a sentence may go on in lower case; on a line of its own it begins.
        let text = if kept { rest.to_owned() } else { capitalised(rest.trim_start()) };
        let lines = text.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect();
        found.push(Section { title, lines, kept });
    }
    found
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

impl Section {
    fn render(&self) -> Roff {
        let mut roff = Roff::new();
        roff.control("SH", [self.title.as_str()]);
        if self.kept {
            roff.control("nf", []);
        }
        for line in &self.lines {
            roff.text([roman(if self.kept { line } else { line.trim() })]);
        }
        if self.kept {
            roff.control("fi", []);
        }
        roff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_sections_under_their_own_titles() {
        let found = sections(
            "Totals: the kernel\nwhat a: process has.\n\nExamples:\n  a  b\n  c\n\nno title\nhere: x\n",
        );
        let titles: Vec<&str> = found.iter().map(|s| s.title.as_str()).collect();
        assert_eq!(titles, ["TOTALS", "EXAMPLES", "NOTES"]);
        assert_eq!(found[0].lines, ["The kernel", "what a: process has."]);
        assert!(found[1].kept && !found[0].kept && !found[2].kept);
        assert_eq!(found[2].lines, ["No title", "here: x"]);
    }

    #[test]
    fn examples_keep_their_lines_and_text_is_escaped() {
        let section = Section { title: "EXAMPLES".into(), lines: vec!["  x --flag".into()], kept: true };
        let text = section.render().render();
        assert!(text.contains(".SH EXAMPLES\n.nf\n") && text.trim_end().ends_with(".fi"), "{text}");
        assert!(text.contains("x \\-\\-flag"), "{text}");
    }

    #[test]
    fn every_page_has_the_parts_a_reader_looks_for() {
        for page in pages().unwrap() {
            let text = String::from_utf8(page.text).unwrap();
            for part in
                [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"EXIT STATUS\""]
            {
                assert!(text.contains(part), "{}: no {part}", page.name);
            }
        }
    }
}
