//! The flow: arguments, logs, figure, file.

#[cfg(unix)]
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::PathBuf;

use common::cli::Failure;
use common::log::{self, Input, MomentData as Measured};
use common::record::Verdict;
use common::stdio::say;
use common::units::counted;
use regex::{Regex, RegexBuilder};

use crate::chart;
use crate::cli::{Args, Format, Quantity, Theme};
use crate::clock;
use crate::figure::Figure;
use crate::heap::{self, Form, HeapCollector, HeapFigure};
use crate::html;
use crate::output::Output;
use crate::png;
use crate::report::Report;
use crate::series::{Collector, PlotRequest, TimeWindow};
use crate::terminal::{self, TerminalOptions};

const TOOL: &str = "memplot";

/// The signal of Ctrl-C: signal(7).
#[cfg(unix)]
const SIGINT: i32 = 2;

/// Letters without a font that a warning names.
const LISTED_LETTERS: usize = 10;

/// Buckets of time for each pixel of width, at least: there are half as many after their width doubled.
const BUCKETS_PER_PIXEL: usize = 2;
/// An HTML page has this many times more, to zoom in.
const PAGE_ZOOM: usize = 4;

/// Moments between two checks for signals.
#[cfg(unix)]
const CHECK_EVERY: u64 = 64;

/// Runs memplot. Returns its exit code.
///
/// # Errors
/// If the arguments, the logs or the output are unusable.
pub fn run(args: &Args) -> Result<u8, Failure> {
    let output = Output::from_args(args)?;
    let grep = args.grep.as_deref().map(parse_pattern).transpose()?;
    let verdicts = args.trend.as_ref().map(read_verdicts).transpose()?.unwrap_or_default();
    let inputs = Input::from_args(&args.files);
    let width = usize::try_from(args.size.width).unwrap_or(0);
    let zoom = if output.format == Format::Html { PAGE_ZOOM } else { 1 };
    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let mut window = TimeWindow::new(args.since, args.until, clock::zone());
    // Of one moment a picture says more than dots; other options ask for series.
    let form = if args.what == Some(Quantity::Treemap) { Form::Treemap } else { Form::Icicle };
    let wants_heap = form == Form::Treemap || args.what == Some(Quantity::Heap);
    if form == Form::Treemap && output.format == Format::Text {
        return Err(Failure::new(
            "a treemap cannot be drawn as text",
            "--what heap lists the same blocks with bars; -o heap.svg draws the treemap",
        ));
    }
    let may_be_heap = args.what.is_none() && grep.is_none() && !args.delta && args.trend.is_none();
    let mut heap = (wants_heap || may_be_heap).then(|| HeapCollector::new(grep.clone()));
    let mut collector = Collector::new(PlotRequest {
        args,
        grep,
        window: window.clone(),
        buckets: (width * BUCKETS_PER_PIXEL * zoom).next_power_of_two(),
        inputs: names.clone(),
        verdicts,
    });
    let mut report = (output.format == Format::Html).then(Report::default);
    let mut check_interrupt = interrupt_check(args);
    log::read(&inputs, &log::Options::new(TOOL), &mut |moment| {
        collector.add(&moment);
        if let Some(report) = report.as_mut().filter(|_| window.admits(moment.unix_ms)) {
            report.add(&moment);
        }
        if let Some(heap) = heap.as_mut().filter(|_| window.admits(moment.unix_ms)) {
            heap.add(&moment);
        }
        check_interrupt()
    })?;
    let heap = heap.filter(|heap| wants_heap || heap.is_one_moment());
    let picture = match heap {
        Some(heap) => Picture::Heap(heap.finish(form, args.title.as_deref(), &names)?),
        None => Picture::Series(collector.finish()?),
    };
    let report = report.map(|report| report.html(!args.no_host)).unwrap_or_default();
    output.write(&render(&picture, &report, args, &output)?)?;
    Ok(0)
}

/// What is drawn.
enum Picture {
    Series(Figure),
    Heap(HeapFigure),
}

/// Stops reading after Ctrl-C if the log comes from a pipe: Ctrl-C goes to all processes of `memmon | memplot`, and there is still
/// a plot. A second Ctrl-C, or one while reading files, ends memplot at once.
#[cfg(unix)]
fn interrupt_check(args: &Args) -> impl FnMut() -> ControlFlow<()> {
    let is_pipe = args.files.iter().all(|file| file.as_os_str() == "-") && !io::stdin().is_terminal();
    let signals = is_pipe.then(|| common::signal::Signals::catch(&[SIGINT], &[SIGINT]).ok()).flatten();
    let mut moments = 0_u64;
    move || {
        moments += 1;
        let is_due = moments.is_multiple_of(CHECK_EVERY);
        match &signals {
            Some(signals) if is_due && signals.next().is_some() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(not(unix))]
fn interrupt_check(_: &Args) -> impl FnMut() -> ControlFlow<()> {
    || ControlFlow::Continue(())
}

fn parse_pattern(text: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(text).build().map_err(|error| {
        let line = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        Failure::new(format!("--grep '{text}': {line}"), "https://docs.rs/regex describes the syntax")
    })
}

/// The verdicts in the last record of memdiff that has any.
fn read_verdicts(path: &PathBuf) -> Result<Vec<Verdict>, Failure> {
    let mut found = Vec::new();
    log::read(&Input::from_args(std::slice::from_ref(path)), &log::Options::new(TOOL), &mut |moment| {
        if let Measured::Diff(diff) = moment.data
            && !diff.verdicts.is_empty()
        {
            found = diff.verdicts;
        }
        ControlFlow::Continue(())
    })?;
    if found.is_empty() {
        return Err(Failure::new(
            format!("{}: no verdicts", path.display()),
            "make them with memdiff --trend --format jsonl",
        ));
    }
    Ok(found)
}

fn render(picture: &Picture, report: &str, args: &Args, output: &Output) -> Result<Vec<u8>, Failure> {
    let svg = |theme| match picture {
        Picture::Series(figure) => chart::render(figure, args.size, theme, clock::zone()),
        Picture::Heap(figure) => heap::render_svg(figure, args.size, theme),
    };
    match output.format {
        Format::Svg => Ok(svg(args.theme).into_bytes()),
        Format::Html => Ok(match picture {
            Picture::Series(figure) => html::render_with(report, figure, args.theme).into_bytes(),
            Picture::Heap(figure) => heap::render_page(report, figure, args.theme).into_bytes(),
        }),
        Format::Text => {
            let to_stdout = output.path.is_none();
            let options =
                if to_stdout { TerminalOptions::for_stdout(args.theme) } else { TerminalOptions::plain() };
            Ok(match picture {
                Picture::Series(figure) => terminal::render(figure, options).into_bytes(),
                Picture::Heap(figure) => heap::render_text(figure, options).into_bytes(),
            })
        }
        Format::Png => {
            // Pixels cannot follow the viewer's preference.
            let theme = if args.theme == Theme::Auto { Theme::Light } else { args.theme };
            let png = png::render(&svg(theme), args.size).map_err(|error| {
                Failure::new(format!("cannot make a PNG: {error}"), "try a smaller --size, or SVG")
            })?;
            if !png.missing.is_empty() {
                let letters: String = png.missing.iter().take(LISTED_LETTERS).collect();
                let message = format!(
                    "no font of this system has {letters}: boxes stand for {} (install a font, such as fonts-noto-cjk, or write SVG)",
                    counted(png.missing.len() as u64, "letter", "letters")
                );
                say(TOOL, &message);
            }
            Ok(png.bytes)
        }
    }
}
