//! The flow: arguments, logs, a picture, a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::log::{self, Input, What as Measured};
use common::record::Verdict;
use regex::{Regex, RegexBuilder};

use crate::chart::{self, SvgOptions};
use crate::cli::{Args, DEFAULT_OUTPUT, Format, Theme};
use crate::clock;
use crate::figure::Figure;
use crate::html;
use crate::png;
use crate::series::{Collector, PlotRequest, TimeWindow};
use crate::terminal;

const TOOL: &str = "memplot";

/// The signal of Ctrl-C: signal(7).
#[cfg(unix)]
const SIGINT: i32 = 2;

/// Buckets for each pixel of width, at least; twice as many just after their width doubled.
const BUCKETS_PER_PIXEL: usize = 2;
/// So many times finer is a page, for those who zoom in.
const PAGE_ZOOM: usize = 4;

/// Runs memplot with these arguments; the exit code.
///
/// # Errors
/// What cannot work here, in one line with a hint.
pub fn run(args: &Args) -> Result<u8, Failure> {
    let output = Output::from_args(args)?;
    let grep = args.grep.as_deref().map(pattern).transpose()?;
    let verdicts = args.trend.as_ref().map(verdicts).transpose()?.unwrap_or_default();
    let inputs = Input::from_args(&args.files);
    let width = usize::try_from(args.size.width).unwrap_or(0);
    let mut collector = Collector::new(PlotRequest {
        what: args.what,
        metric: args.metric,
        top: usize::try_from(args.top).unwrap_or(usize::MAX),
        stack: if args.stack { Some(true) } else { args.no_stack.then_some(false) },
        delta: args.delta,
        log_scale: args.log_scale,
        grep,
        window: TimeWindow::new(args.since, args.until, clock::zone()),
        buckets: (width * BUCKETS_PER_PIXEL * if output.format == Format::Html { PAGE_ZOOM } else { 1 })
            .next_power_of_two(),
        inputs: inputs.iter().map(Input::name).collect(),
        title: args.title.clone(),
        zone: clock::zone().clone(),
        verdicts,
    });
    let interrupt = Interrupt::for_pipe(args);
    log::read(&inputs, &log::Options::new(TOOL), &mut |moment| {
        collector.add(&moment);
        interrupt.check()
    })?;
    let figure = collector.finish()?;
    output.write(&render(&figure, args, &output)?)?;
    Ok(0)
}

/// How many moments are taken in between two looks at signals.
const CHECK_EVERY: u64 = 64;

/// Ctrl-C in a pipeline goes to all of it: `memmon | memplot` is to end with a picture of what was seen. The second one ends memplot.
struct Interrupt {
    #[cfg(unix)]
    signals: Option<common::signal::Signals>,
    moments: std::cell::Cell<u64>,
}

impl Interrupt {
    /// Of a pipe; who waits for a terminal or reads a file wants Ctrl-C to end it at once.
    fn for_pipe(args: &Args) -> Self {
        let is_pipe = args.files.iter().all(|file| file.as_os_str() == "-") && !io::stdin().is_terminal();
        #[cfg(not(unix))]
        let _ = is_pipe;
        Self {
            #[cfg(unix)]
            signals: is_pipe.then(|| common::signal::Signals::catch(&[SIGINT], &[SIGINT]).ok()).flatten(),
            moments: std::cell::Cell::new(0),
        }
    }

    /// Whether to go on.
    fn check(&self) -> ControlFlow<()> {
        self.moments.set(self.moments.get() + 1);
        #[cfg(unix)]
        if let Some(signals) = &self.signals
            && self.moments.get().is_multiple_of(CHECK_EVERY)
            && signals.next().is_some()
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn pattern(text: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(text).build().map_err(|error| {
        let line = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        Failure::new(
            format!("--grep '{text}': {line}"),
            "see https://docs.rs/regex for what patterns there are",
        )
    })
}

/// The verdicts of a log of memdiff: those of its last record that has any.
fn verdicts(path: &PathBuf) -> Result<Vec<Verdict>, Failure> {
    let mut found = Vec::new();
    log::read(&Input::from_args(std::slice::from_ref(path)), &log::Options::new(TOOL), &mut |moment| {
        if let Measured::Diff(diff) = moment.what
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

fn render(figure: &Figure, args: &Args, output: &Output) -> Result<Vec<u8>, Failure> {
    let format = output.format;
    // Pixels do not change with their viewer.
    let theme = if format == Format::Png && args.theme == Theme::Auto { Theme::Light } else { args.theme };
    let options = SvgOptions { size: args.size, theme, zone: clock::zone().clone() };
    match format {
        Format::Svg => Ok(chart::svg(figure, &options).into_bytes()),
        Format::Html => Ok(html::page(figure, theme).into_bytes()),
        Format::Text => Ok(terminal::text(figure, output.terminal_options(theme)).into_bytes()),
        Format::Png => png::render(&chart::svg(figure, &options), args.size).map_err(|error| {
            Failure::new(format!("no PNG can be made: {error}"), "try a smaller --size, or SVG")
        }),
    }
}

/// Where a picture goes, and how it is written.
struct Output {
    path: Option<PathBuf>,
    format: Format,
}

impl Output {
    /// Decided before anything is read: nobody waits for a log only to learn that there is no place for its picture.
    fn from_args(args: &Args) -> Result<Self, Failure> {
        let mut path = args.output.clone().filter(|path| path.as_os_str() != "-");
        let wanted = if args.html { Some(Format::Html) } else { args.format };
        let format = match (wanted, &path) {
            (Some(format), _) => format,
            (None, Some(path)) => format_from_extension(path)?,
            (None, None) if io::stdout().is_terminal() => Format::Text,
            (None, None) => Format::Svg,
        };
        if let (None, true, Some((what, ending))) =
            (&path, io::stdout().is_terminal(), not_for_terminal(format))
        {
            return Err(Failure::new(
                format!("{what} cannot be shown on a terminal"),
                format!("write it to a file with -o plot.{ending}, or redirect stdout"),
            ));
        }
        // The name that no one gave gets the ending of the format that someone did.
        if let Some(path) = path.as_mut().filter(|path| path.as_os_str() == DEFAULT_OUTPUT) {
            path.set_extension(extension(format));
        }
        if let Some(path) = &path
            && args.files.iter().any(|file| is_same(file, path))
        {
            return Err(Failure::new(
                format!("{}: is the log that is to be read", path.display()),
                "give the picture another name",
            ));
        }
        Ok(Self { path, format })
    }

    /// How characters are drawn: for the terminal that they go to, or plain.
    fn terminal_options(&self, theme: Theme) -> terminal::TerminalOptions {
        if self.path.is_none() {
            terminal::TerminalOptions::for_stdout(theme)
        } else {
            terminal::TerminalOptions::plain()
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &self.path {
            Some(path) => File::create(path).and_then(|mut file| file.write_all(bytes)),
            None => io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()),
        };
        let name = self.path.as_ref().map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        match written {
            Ok(()) => Ok(()),
            Err(error) => Failure::output(&name, &error).map_or(Ok(()), Err),
        }
    }
}

fn format_from_extension(path: &Path) -> Result<Format, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "svg" => Ok(Format::Svg),
        "png" => Ok(Format::Png),
        "html" | "htm" => Ok(Format::Html),
        "txt" => Ok(Format::Text),
        _ => Err(Failure::new(
            format!("{}: its ending names no picture", path.display()),
            "end it in .svg, .png, .html or .txt, or give --format",
        )),
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Svg => "svg",
        Format::Png => "png",
        Format::Html => "html",
        Format::Text => "txt",
    }
}

/// What a terminal would show nobody: its name and ending.
fn not_for_terminal(format: Format) -> Option<(&'static str, &'static str)> {
    match format {
        Format::Png => Some(("a PNG", "png")),
        Format::Html => Some(("a page", "html")),
        Format::Svg | Format::Text => None,
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
