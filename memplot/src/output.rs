//! Chooses where the plot is written and in which format.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use common::cli::Failure;
use common::output_file::{self, Readers};

use crate::cli::{Args, DEFAULT_OUTPUT, Format};

/// The extensions of each format, the preferred one first.
const EXTENSIONS: [(Format, &[&str]); 4] = [
    (Format::Svg, &["svg"]),
    (Format::Png, &["png"]),
    (Format::Html, &["html", "htm"]),
    (Format::Text, &["txt"]),
];

/// The file and format of the plot.
pub struct Output {
    /// The file; `None` for stdout.
    pub path: Option<PathBuf>,
    /// The format.
    pub format: Format,
}

impl Output {
    /// Chooses file and format before anything is read, so that errors come early.
    ///
    /// # Errors
    /// If the format is unknown or cannot be shown on a terminal, or the file is one of the logs.
    pub fn from_args(args: &Args) -> Result<Self, Failure> {
        if let Some(picture) = args.files.iter().find(|file| is_picture(file)) {
            return Err(Failure::new(
                format!("{}: is the name of a picture, not of a log", picture.display()),
                format!("-o {} writes the plot there", picture.display()),
            ));
        }
        let mut path = args.output.clone().filter(|path| path.as_os_str() != "-");
        let to_terminal = path.is_none() && io::stdout().is_terminal();
        let format = match (args.html.then_some(Format::Html).or(args.format), &path) {
            (Some(format), _) => format,
            (None, Some(path)) => format_of(path)?,
            (None, None) if to_terminal => Format::Text,
            // The shell names the file: `> plot.png`.
            (None, None) => redirected().and_then(|path| known_format(&path)).unwrap_or(Format::Svg),
        };
        let unsuitable = match format {
            Format::Png => Some("a PNG"),
            Format::Html => Some("a page"),
            Format::Svg | Format::Text => None,
        };
        if let (Some(name), true) = (unsuitable, to_terminal) {
            return Err(Failure::new(
                format!("{name} cannot be shown on a terminal"),
                format!("write it to a file with -o plot.{}, or redirect stdout", extension(format)),
            ));
        }
        if let Some(path) = path.as_mut().filter(|path| path.as_os_str() == DEFAULT_OUTPUT) {
            path.set_extension(extension(format));
        }
        if let Some(path) = &path
            && args.files.iter().any(|file| is_same(file, path))
        {
            return Err(Failure::new(
                format!("{}: is one of the logs to read", path.display()),
                "give the plot another name",
            ));
        }
        Ok(Self { path, format })
    }

    /// Writes the plot.
    ///
    /// # Errors
    /// If the file or stdout cannot be written. A closed pipe is no error.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &self.path {
            Some(path) => output_file::write_whole(path, Readers::Owner, |mut file| file.write_all(bytes)),
            None => io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()),
        };
        let name = self.path.as_ref().map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        written.or_else(|error| Failure::output(&name, &error).map_or(Ok(()), Err))
    }
}

/// The file that stdout was redirected to, where the kernel names it.
fn redirected() -> Option<PathBuf> {
    std::fs::read_link("/proc/self/fd/1").ok()
}

/// Whether a file has the extension of a picture. Logs may have that of a text.
fn is_picture(file: &Path) -> bool {
    known_format(file).is_some_and(|format| format != Format::Text)
}

/// The format of a file extension.
fn known_format(path: &Path) -> Option<Format> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let found = EXTENSIONS.iter().find(|(_, extensions)| extensions.contains(&extension.as_str()));
    found.map(|(format, _)| *format)
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    known_format(path).ok_or_else(|| {
        Failure::new(
            format!("{}: unknown file extension", path.display()),
            "use .svg, .png, .html or .txt, or give --format",
        )
    })
}

fn extension(format: Format) -> &'static str {
    let found = EXTENSIONS.iter().find(|(known, _)| *known == format);
    found.and_then(|(_, extensions)| extensions.first()).copied().unwrap_or_default()
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
