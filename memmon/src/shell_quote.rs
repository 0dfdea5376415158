//! Command lines and signals as text.

use std::borrow::Cow;
use std::fmt::Write as _;

use common::record::ProcessEvent;
use common::stdio::escape_controls;

/// Arguments quoted for a shell, on one line and safe for a terminal.
///
/// Plain arguments are unchanged, others are in single quotes. With control or invisible characters they become `$'…'` with escapes
/// (POSIX.1-2024, Shell Command Language 2.2.4; `\u` is understood by bash, ksh and zsh).
///
/// ```
/// let arguments = ["printf", "a b", "it's"].map(str::to_owned);
/// assert_eq!(memmon::shell_quote::quote_command(&arguments), r"printf 'a b' 'it'\''s'");
/// ```
pub fn quote_command(arguments: &[String]) -> String {
    let mut line = String::new();
    for argument in arguments {
        if !line.is_empty() {
            line.push(' ');
        }
        quote(argument, &mut line);
    }
    line
}

/// The same, where the command is without its folder: in a table the arguments distinguish the processes.
///
/// ```
/// let arguments = ["/srv/bot/.venv/bin/python", "-m", "webui"].map(str::to_owned);
/// assert_eq!(memmon::shell_quote::short_command(&arguments), "python -m webui");
/// ```
pub fn short_command(arguments: &[String]) -> String {
    let Some((command, others)) = arguments.split_first() else { return String::new() };
    let mut line = String::new();
    quote(command_name(command), &mut line);
    if !others.is_empty() {
        line.push(' ');
        line += &quote_command(others);
    }
    line
}

/// The name of a command without its folder. A title that a program wrote there is no path, and stays whole.
pub fn command_name(command: &str) -> &str {
    let is_path = command.starts_with(['/', '.']) && !command.contains(char::is_whitespace);
    command.rsplit('/').next().filter(|name| is_path && !name.is_empty()).unwrap_or(command)
}

fn quote(argument: &str, line: &mut String) {
    let special_first = argument.starts_with(['~', '#', '=']);
    if !argument.is_empty() && !special_first && argument.chars().all(is_plain) {
        line.push_str(argument);
    } else if matches!(escape_controls(argument), Cow::Borrowed(_)) {
        line.push('\'');
        line.push_str(&argument.replace('\'', r"'\''"));
        line.push('\'');
    } else {
        line.push_str("$'");
        for c in argument.chars() {
            // Writing to a String cannot fail.
            let _ = match c {
                '\n' => line.write_str(r"\n"),
                '\r' => line.write_str(r"\r"),
                '\t' => line.write_str(r"\t"),
                '\'' | '\\' => write!(line, "\\{c}"),
                _ if matches!(escape_controls(c.encode_utf8(&mut [0; 4])), Cow::Borrowed(_)) => {
                    line.write_char(c)
                }
                // Three octal digits are complete, whatever follows.
                _ if c.is_ascii() => write!(line, "\\{:03o}", u32::from(c)),
                _ => write!(line, "\\u{:04x}", u32::from(c)),
            };
        }
        line.push('\'');
    }
}

/// Whether a character is visible and has no special meaning in any shell, except at the start of a word.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "_-./:=@%+,~#".contains(c);
    }
    !c.is_whitespace() && matches!(escape_controls(c.encode_utf8(&mut [0; 4])), Cow::Borrowed(_))
}

/// The name of a signal: `SIGKILL`; `signal 35` for those without one. Numbers as on x86-64 and ARM: signal(7).
pub fn signal_name(number: i32) -> Cow<'static, str> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|n| NAMES.get(n));
    match name {
        Some(name) => format!("SIG{name}").into(),
        None => format!("signal {number}").into(),
    }
}

/// The exit status in an event: `SIGKILL`, `exit 3`; `None` if it is unknown.
pub fn exit_status(event: &ProcessEvent) -> Option<String> {
    let code = || event.exit_code.map(|code| format!("exit {code}"));
    event.signal.map(|signal| signal_name(signal).into_owned()).or_else(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(arguments: &[&str]) -> String {
        quote_command(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_special_arguments_are_quoted() {
        assert_eq!(line(&["python", "-m", "a.b", "--x=1", "名前"]), "python -m a.b --x=1 名前");
        assert_eq!(line(&["a b", "", "it's", "$HOME"]), r"'a b' '' 'it'\''s' '$HOME'");
        assert_eq!(
            line(&["~root", "a~", "#no", "n#1", "no\u{a0}space"]),
            "'~root' a~ '#no' n#1 'no\u{a0}space'"
        );
        assert_eq!(line(&[]), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(line(&["a\nb\t'c'\\", "\x1b[31m1"]), r"$'a\nb\t\'c\'\\' $'\033[31m1'");
        assert_eq!(line(&["x\u{202e}y\u{9b}z"]), r"$'x\u202ey\u009bz'");
    }

    #[test]
    fn signals_have_names() {
        let names: Vec<_> = [1, 6, 9, 11, 15, 31].into_iter().map(signal_name).collect();
        assert_eq!(names, ["SIGHUP", "SIGABRT", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGSYS"]);
        let others: Vec<_> = [0, 35, -1, i32::MIN].into_iter().map(signal_name).collect();
        assert_eq!(others, ["signal 0", "signal 35", "signal -1", "signal -2147483648"]);
    }

    proptest! {
        #[test]
        fn no_control_characters_remain(arguments: Vec<String>) {
            let line = quote_command(&arguments);
            prop_assert!(matches!(escape_controls(&line), Cow::Borrowed(_)), "{:?}", line);
        }
    }

    #[cfg(unix)]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn shell_reads_arguments_back(arguments in proptest::collection::vec("[ -~äß名\u{a0}]{0,12}", 1..20)) {
            let script = format!("printf '%s\\0' {}", quote_command(&arguments));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let expected: String = arguments.iter().flat_map(|a| [a.as_str(), "\0"]).collect();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{}", script);
        }
    }
}
