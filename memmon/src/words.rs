//! Words that several ways of showing records have in common.

use std::borrow::Cow;

/// The name of a signal: `SIGKILL`; `signal 35` for those without one. Numbers as on x86-64 and ARM: signal(7).
#[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_names_and_others_their_number() {
        let names: Vec<_> = [1, 6, 9, 11, 15, 31].into_iter().map(signal_name).collect();
        assert_eq!(names, ["SIGHUP", "SIGABRT", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGSYS"]);
        let others: Vec<_> = [0, 35, -1, i32::MIN].into_iter().map(signal_name).collect();
        assert_eq!(others, ["signal 0", "signal 35", "signal -1", "signal -2147483648"]);
    }
}
