//! Answers options of the older tool, `memory_profiler.py`, with the command that does the same now.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of the older tool, and the command that does the same.
const COMMANDS: [(&[&str], &str); 6] = [
    (
        &["--monitor", "-m"],
        "`memmon -- bot.py` starts a program and watches its memory; `memmon -p PID` watches a running one",
    ),
    (
        &["--objects"],
        "`memobj -i 10 -- bot.py` starts a program and counts its objects; `memobj -i 10 -p PID` counts those of a running one",
    ),
    (&["--visualize", "-v"], "`memplot LOG.jsonl -o plot.png` draws a log"),
    (&["--object-limit"], "`memobj -l 20 -p PID` limits the rows of each table"),
    (&["--input"], "`memplot LOG.jsonl` needs no option before the log"),
    (&["--plot-output"], "`memplot LOG.jsonl -o plot.png` names the picture"),
];

/// What `-o` without a file name meant.
const OBJECTS: &str =
    "here -o FILE names the output, and memobj counts objects without an option: memobj -i 10 -p PID -o FILE";

/// Puts the command of today into an error about an option of the older tool.
pub(super) fn explain(tool: &str, error: &mut clap::Error) {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return };
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => {
            COMMANDS.iter().find(|(options, _)| options.contains(&option.as_str())).map(|(_, tip)| *tip)
        }
        ErrorKind::InvalidValue if tool == "memobj" && option.starts_with("--output") => Some(OBJECTS),
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "memobj")]
    struct Example {
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[arg(last = true)]
        command: Vec<String>,
    }

    fn explained(args: &[&str]) -> String {
        let mut error = Example::try_parse_from(std::iter::once(&"memobj").chain(args)).unwrap_err();
        explain("memobj", &mut error);
        error.to_string()
    }

    #[test]
    fn older_options_are_answered() {
        for (options, tip) in COMMANDS {
            for option in options {
                let text = explained(&[option]);
                assert!(text.contains(tip) && !text.contains("to pass '"), "{text}");
            }
        }
        assert!(explained(&["-o"]).contains(OBJECTS));
        assert!(explained(&["--outptu", "x"]).contains("--output"), "other tips stay");
    }
}
