//! The flow: arguments, logs, a picture, a file.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::log::{self, Input, What as Measured};
use common::record::Verdict;
use regex::{Regex, RegexBuilder};

use crate::chart::{self, Look};
use crate::cli::{Args, Format, Theme};
use crate::clock;
use crate::picture::Picture;
use crate::png;
use crate::series::{Collector, Request, Window};

const TOOL: &str = "memplot";

/// Buckets for each pixel of width, at least; twice as many just after their width doubled.
const BUCKETS: usize = 2;

/// Runs memplot with these arguments; the exit code.
///
/// # Errors
/// What cannot work here, in one line with a hint.
pub fn run(args: &Args) -> Result<u8, Failure> {
    let output = Output::of(args)?;
    let grep = args.grep.as_deref().map(pattern).transpose()?;
    let verdicts = args.trend.as_ref().map(verdicts).transpose()?.unwrap_or_default();
    let inputs = Input::from_args(&args.files);
    let width = usize::try_from(args.size.width).unwrap_or(0);
    let mut collector = Collector::new(Request {
        what: args.what,
        metric: args.metric,
        top: usize::try_from(args.top).unwrap_or(usize::MAX),
        stack: if args.stack { Some(true) } else { args.no_stack.then_some(false) },
        delta: args.delta,
        log_scale: args.log_scale,
        grep,
        window: Window::new(args.since, args.until, clock::zone()),
        buckets: (width * BUCKETS).next_power_of_two(),
        inputs: inputs.iter().map(Input::name).collect(),
        title: args.title.clone(),
        zone: clock::zone().clone(),
        verdicts,
    });
    log::read(&inputs, &log::Options::new(TOOL), &mut |moment| {
        collector.take(&moment);
        ControlFlow::Continue(())
    })?;
    let picture = collector.finish()?;
    output.write(&drawn(&picture, args, output.format)?)?;
    Ok(0)
}

fn pattern(text: &str) -> Result<Regex, Failure> {
    RegexBuilder::new(text).build().map_err(|error| {
        let line = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        Failure::new(format!("--grep '{text}': {line}"), "see https://docs.rs/regex for what patterns there are")
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

fn drawn(picture: &Picture, args: &Args, format: Format) -> Result<Vec<u8>, Failure> {
    // Pixels do not change with their viewer.
    let theme = if format == Format::Png && args.theme == Theme::Auto { Theme::Light } else { args.theme };
    let look = Look { size: args.size, theme, zone: clock::zone().clone() };
    let svg = chart::svg(picture, &look);
    match format {
        Format::Svg => Ok(svg.into_bytes()),
        Format::Png => png::png(&svg, args.size)
            .map_err(|error| Failure::new(format!("no PNG can be made: {error}"), "try a smaller --size, or SVG")),
    }
}

/// Where a picture goes, and how it is written.
struct Output {
    path: Option<PathBuf>,
    format: Format,
}

impl Output {
    /// Decided before anything is read: nobody waits for a log only to learn that there is no place for its picture.
    fn of(args: &Args) -> Result<Self, Failure> {
        let path = args.output.clone().filter(|path| path.as_os_str() != "-");
        let format = match (args.format, &path) {
            (Some(format), _) => format,
            (None, Some(path)) => by_ending(path)?,
            (None, None) => Format::Svg,
        };
        if path.is_none() && format == Format::Png && io::stdout().is_terminal() {
            return Err(Failure::new(
                "a PNG cannot be shown on a terminal",
                "write it to a file with -o plot.png, or redirect stdout",
            ));
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

fn by_ending(path: &Path) -> Result<Format, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "svg" => Ok(Format::Svg),
        "png" => Ok(Format::Png),
        _ => Err(Failure::new(
            format!("{}: its ending names no picture", path.display()),
            "end it in .svg or .png, or give --format",
        )),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
