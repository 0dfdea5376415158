//! What a line of source does to what has a name: whether it adds to it, removes from it, or gives it a value.
//!
//! It looks at the text of one line, and does not parse Python.

use std::collections::BTreeSet;

use super::mentions::{ADDING, REMOVING};

/// Whether a line adds to something, by whatever name.
pub(super) fn adds_to_any(line: &str) -> bool {
    let names: BTreeSet<&str> = line.split(|c: char| !is_part(c)).filter(|name| !name.is_empty()).collect();
    names.into_iter().any(|name| adds(line, name))
}

/// Whether a line of source adds to `name`: `name[…] =`, `name.append(`, `name +=`.
pub(super) fn adds(line: &str, name: &str) -> bool {
    occurrences(line, name).any(|(_, rest)| is_addition(rest))
}

/// Whether a line of source gives `name` a value. An argument of a call looks the same within its parentheses.
pub(super) fn assigns(line: &str, name: &str) -> bool {
    occurrences(line, name).any(|(before, rest)| {
        let is_argument = before.matches('(').count() > before.matches(')').count();
        rest.starts_with('=') && !rest.starts_with("==") && !is_argument
    })
}

/// Whether a line of source gives the attribute `name` of an object a value.
pub(super) fn assigns_attribute(line: &str, name: &str) -> bool {
    assigns(line, name) && occurrences(line, name).next().is_some_and(|(before, _)| before.ends_with('.'))
}

/// The first line of a function's body that adds to a variable which got its value from `name`: `users = rooms[room]`, `for queue in queues:`.
pub(super) fn line_within(body: &[(u32, &str)], name: &str) -> Option<u32> {
    let mut variables: Vec<&str> = Vec::new();
    let found = body.iter().find(|(_, line)| {
        let is_it = variables.iter().any(|variable| adds(line, variable));
        variables.extend(variable_from(line, name));
        is_it
    });
    found.map(|&(number, _)| number)
}

/// The variable that a line of source gives a value that comes from `name`.
fn variable_from<'s>(line: &'s str, name: &str) -> Option<&'s str> {
    let text = line.trim_start();
    let is_loop = text.strip_prefix("async ").unwrap_or(text).strip_prefix("for ");
    let (variables, value) = match is_loop {
        Some(rest) => rest.split_once(" in ")?,
        None => text.split_once('=').filter(|(_, value)| !value.starts_with('='))?,
    };
    // Of a key and its value, the latter.
    let variable = variables.rsplit(',').next()?.trim();
    let is_variable = !variable.is_empty() && variable.chars().all(is_part);
    (is_variable && names(value, name)).then_some(variable)
}

/// Whether a line of source makes a new value of `name` from the old one.
pub(super) fn remakes(line: &str, name: &str) -> bool {
    assigns(line, name) && occurrences(line, name).nth(1).is_some()
        || occurrences(line, name).any(|(_, rest)| rest.starts_with("+=") || rest.starts_with("|="))
}

/// Whether a line of source removes from `name`: `del name[…]`, `name.pop(`.
pub(super) fn removes(line: &str, name: &str) -> bool {
    occurrences(line, name).any(|(before, rest)| {
        let statement = before.rsplit([';', ':']).next().unwrap_or_default().trim_start();
        is_call(rest, &REMOVING)
            || statement.starts_with("del ") && rest.starts_with('[')
            || behind_subscript(rest).is_some_and(|rest| is_call(rest, &REMOVING))
    })
}

/// Whether a line of source has a name.
pub(super) fn names(line: &str, name: &str) -> bool {
    occurrences(line, name).next().is_some()
}

/// What is before a name and behind it, wherever a line of source has it.
pub(super) fn occurrences<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let code = line.split('#').next().unwrap_or_default();
    code.match_indices(name).filter_map(move |(at, _)| {
        let (before, rest) = code.split_at(at);
        let rest = rest.strip_prefix(name)?;
        let is_name = !before.ends_with(is_part) && !rest.starts_with(is_part) && !is_in_string(before);
        is_name.then_some((before, rest.trim_start()))
    })
}

/// Whether a string literal has begun in the first part of a line, and has not ended. What stands in the braces of an f-string is not looked at.
fn is_in_string(before: &str) -> bool {
    let (mut quote, mut is_escaped) = (None, false);
    for c in before.chars() {
        match quote {
            _ if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
    }
    quote.is_some()
}

/// Whether a character may be part of a name.
fn is_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether what follows a name calls one of these methods.
pub(super) fn is_call(rest: &str, methods: &[&str]) -> bool {
    let call = rest.strip_prefix('.').and_then(|rest| rest.split_once('('));
    call.is_some_and(|(method, _)| methods.contains(&method.trim()))
}

/// What follows a subscript.
fn behind_subscript(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix('[')?;
    let mut depth = 1_u32;
    let end = rest.find(|c| {
        match c {
            '[' | '(' | '{' => depth = depth.saturating_add(1),
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    rest.get(end..)?.strip_prefix(']').map(str::trim_start)
}

/// Whether what follows a name adds to it.
fn is_addition(rest: &str) -> bool {
    if let Some(behind) = behind_subscript(rest) {
        // An item that is a container itself: a key of a `defaultdict`.
        return behind.starts_with('.') && is_addition(behind)
            || behind.starts_with('=') && !behind.starts_with("==")
            || ["+=", "|=", "-="].iter().any(|operator| behind.starts_with(operator));
    }
    is_call(rest, &ADDING) || ["+=", "|="].iter().any(|operator| rest.starts_with(operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_recognized() {
        for line in [
            "CACHE[key] = value",
            "    self.CACHE[(a, b[0])] = 1  # keep",
            "CACHE.setdefault(key, []).append(1)",
            "CACHE [key] += 1",
            "if key not in seen: CACHE.add(key)",
            "CACHE |= other",
            "CACHE[key].append(value)",
            "x = CACHE.get(1); CACHE[1] = x",
        ] {
            assert!(adds(line, "CACHE"), "{line}");
        }
        for line in [
            "value = CACHE[key]",
            "CACHE[key] == value",
            "if CACHE.get(key) is None:",
            "MY_CACHE[key] = 1",
            "CACHES.append(1)",
            "# CACHE[key] = 1",
            "CACHE.pop(key)",
            "CACHE = {}",
            "CACHE[",
            "",
        ] {
            assert!(!adds(line, "CACHE"), "{line}");
        }
    }

    #[test]
    fn replacements_are_recognized() {
        for line in ["handler += wrap(1)", "handler = wrap(handler)", "self.handler = wrap(self.handler)"] {
            assert!(remakes(line, "handler"), "{line}");
        }
        for line in [
            "x = handler",
            "if handler == wrap(handler):",
            "handler = None",
            "handler[1] = handler",
            "run(handler=wrap(handler))",
            r#"return "handler=%r \" handler=" % self.handler"#,
        ] {
            assert!(!remakes(line, "handler"), "{line}");
        }
    }

    #[test]
    fn variables_of_containers_within_are_followed() {
        let line = |source: &str| {
            let body: Vec<(u32, &str)> = (1..).zip(source.lines()).collect();
            line_within(&body, "rooms")
        };
        assert_eq!(line("users = self.rooms.setdefault(room, {})\nusers[user] = 1"), Some(2));
        assert_eq!(line("for queue in self.rooms.values():\n    log(queue)\n    queue.put(item)"), Some(3));
        assert_eq!(line("for key, users in rooms.items():\n    users.append(key)"), Some(2));
        assert_eq!(line("users = self.rooms[room]\nothers.append(1)\nusers == [1]"), None);
        assert_eq!(line("users == rooms\nusers.append(1)"), None);
    }

    #[test]
    fn attributes_are_told_from_variables() {
        assert!(assigns_attribute("self.tail.prev.next = node", "next"));
        assert!(assigns_attribute("core.handlers = handlers", "handlers"));
        for line in ["next = node", "handlers = core.next", "Node(key, next=node)", "if node.next == other:"]
        {
            assert!(!assigns_attribute(line, "next"), "{line}");
        }
    }

    #[test]
    fn removals_are_recognized() {
        for line in [
            "del CACHE[key]",
            "for key in old: del self.CACHE[key]",
            "for k in [k for k, s in self.CACHE.items() if now - s.at > 20]: del self.CACHE[k]",
            "value = self.CACHE.pop(key, None)",
            "CACHE[topic].remove(callback)",
            "CACHE.clear()  # all",
        ] {
            assert!(removes(line, "CACHE"), "{line}");
        }
        for line in [
            "del MY_CACHE[key]",
            "del CACHE",
            "CACHE[key] = 1",
            "# del CACHE[key]",
            "CACHE.get(key)",
            "CACHE.pop",
        ] {
            assert!(!removes(line, "CACHE"), "{line}");
        }
    }
}
