//! The next command that helps a user who has seen the result of a run.

use common::session::is_dated;

use super::outputs::records_path;
use crate::config::{Config, Format, Targets};

/// The next step, as a line for a terminal; `None` if there is none. `leak` is the holder of a leak that was found.
pub(super) fn next_step(config: &Config, roots: &[u32], leak: Option<&str>) -> Option<String> {
    if let Some(path) = config.output.as_ref().filter(|_| config.interval.is_some() && !config.leaks) {
        let log = match config.format {
            None => records_path(path),
            Some(Format::Jsonl) => path.clone(),
            Some(Format::Text | Format::Openmetrics) => return None,
        };
        return (!is_dated(&log)).then(|| format!("what grew? memdiff --trend {}", log.display()));
    }
    let (Targets::Processes(_), [pid]) = (&config.targets, roots) else { return None };
    if config.watch.is_some() {
        return None;
    }
    Some(match leak {
        // Any other holder has no name that the option understands.
        Some(holder) if is_plain(holder) => {
            format!("which lines add and remove? memobj --watch-adds {holder} -p {pid}")
        }
        Some(_) => return None,
        None if config.leaks => format!("a slow leak? memobj --leaks --for 10m -p {pid}"),
        None => format!("growing? memobj --leaks -p {pid}"),
    })
}

/// Whether a name is one of variables and attributes, which needs no quotes in a shell.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Args;

    fn step(args: &[&str], roots: &[u32], leak: Option<&str>) -> Option<String> {
        let args = Args::try_parse_from(std::iter::once(&"memobj").chain(args)).unwrap();
        next_step(&args.into_config().unwrap(), roots, leak)
    }

    #[test]
    fn each_view_has_its_next_step() {
        let leaks = ["--leaks", "-p", "7"];
        for (args, leak, expected) in [
            (&["-p", "7"][..], None, "growing? memobj --leaks -p 7"),
            (&["--caches", "-p", "7"], None, "growing? memobj --leaks -p 7"),
            (&["-p", "7", "-i", "1m", "-o", "night"], None, "what grew? memdiff --trend night.jsonl"),
            (
                &["-p", "7", "-i", "1m", "-o", "log", "--format", "jsonl"],
                None,
                "what grew? memdiff --trend log",
            ),
            (&leaks, None, "a slow leak? memobj --leaks --for 10m -p 7"),
            (&leaks, Some("bot.CACHE"), "which lines add and remove? memobj --watch-adds bot.CACHE -p 7"),
        ] {
            assert_eq!(step(args, &[7], leak).as_deref(), Some(expected), "{args:?}");
        }
        assert_eq!(step(&leaks, &[7], Some("(native code)")), None);
        assert_eq!(step(&["--core", "core"], &[], None), None);
        assert_eq!(step(&["-p", "7", "-p", "8"], &[7, 8], None), None);
    }
}
