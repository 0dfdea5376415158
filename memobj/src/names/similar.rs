//! Names like one that does not exist, for error messages.

use common::verdict::last_part;

/// Names that are suggested.
const MAX_NAMES: usize = 4;
/// Shorter words begin too many names, or are in too many.
const MIN_PART: usize = 3;
/// Longer names are compared by their beginning: a bound for hostile ones.
const MAX_CHARS: usize = 100;

/// The names among `known` that are most like `wanted`, best first. A name is like it if it, its last part, or the beginning of that
/// differs in few letters. Case does not count.
///
/// ```
/// use memobj::names::similar::similar_names;
///
/// let known = ["app.Session", "app.SessionState", "dict"];
/// assert_eq!(similar_names("Sesion", known), ["app.Session", "app.SessionState"]);
/// ```
pub fn similar_names<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let (full, last) = (letters(wanted), letters(last_part(wanted)));
    let mut like: Vec<((usize, usize), &str)> = known
        .into_iter()
        .filter_map(|name| {
            let of_last = distance(&last, &letters(last_part(name)));
            let distance = if full == last { of_last } else { of_last.or(distance(&full, &letters(name))) };
            Some((distance?, name))
        })
        .collect();
    like.sort_unstable();
    like.dedup();
    like.into_iter().map(|(_, name)| name).take(MAX_NAMES).collect()
}

/// `; near: Session, SessionState`, or nothing without such names.
pub fn near(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!("; near: {}", names.join(", ")) }
}

fn letters(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).take(MAX_CHARS).collect()
}

/// How much `name` differs from `wanted`: by the edits to its beginning, then by those to all of it. `None` if that is too much.
fn distance(wanted: &[char], name: &[char]) -> Option<(usize, usize)> {
    // The row of the edits from the letters of `wanted` so far to each beginning of `name` (Levenshtein).
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (letter, number) in wanted.iter().zip(1..) {
        let mut before = std::mem::replace(row.first_mut()?, number);
        let mut left = number;
        for (cell, other) in row.iter_mut().skip(1).zip(name) {
            let replaced = before + usize::from(letter != other);
            before = *cell;
            left = replaced.min(before + 1).min(left + 1);
            *cell = left;
        }
    }
    let (beginning, whole) = (row.iter().copied().min()?, row.last().copied()?);
    if whole <= wanted.len() / 3 {
        return Some((0, whole));
    }
    let contains = || name.windows(wanted.len()).any(|part| part == wanted);
    (wanted.len() >= MIN_PART && (beginning <= wanted.len() / 4 || contains()))
        .then_some((1 + beginning, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wrong_letters_are_near() {
        let known = [
            "str",
            "dict",
            "app.Session",
            "app.SessionState",
            "db.session.Pool",
            "http.CookieJar",
            "a.Seance",
        ];
        for (wanted, expected) in [
            ("Sesion", &["app.Session", "app.SessionState"][..]),
            ("session", &["app.Session", "app.SessionState"]),
            ("app.Sesion", &["app.Session", "app.SessionState"]),
            ("cookiejar", &["http.CookieJar"]),
            ("State", &["app.SessionState"]),
            ("dcit", &[]),
            ("dictt", &["dict"]),
            ("zzzzzz", &[]),
            ("", &[]),
            ("x", &[]),
        ] {
            assert_eq!(similar_names(wanted, known), expected, "{wanted}");
        }
        let many: Vec<String> = (0..99).map(|number| format!("Session{number}")).collect();
        assert_eq!(similar_names("Session", many.iter().map(String::as_str)).len(), MAX_NAMES);
        let long = "é".repeat(100_000);
        assert!(similar_names(&long, ["a", &long]).len() == 1);
        assert_eq!((near(&["a", "b"]), near(&[""; 0])), ("; near: a, b".into(), String::new()));
    }
}
