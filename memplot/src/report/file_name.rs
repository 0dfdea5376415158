//! Names of files without their folders.

/// A file without its folders, which may have the name of a user; other text as it is.
pub fn file_name(detail: &str) -> &str {
    match detail.rsplit_once('/') {
        Some((folders, name)) if folders.is_empty() || folders.starts_with('/') => name,
        _ => detail,
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn only_paths_are_cut() {
        for (detail, expected) in [
            ("/srv/alice b/lib/libx.so.1 (deleted)", "libx.so.1 (deleted)"),
            ("/libx.so", "libx.so"),
            ("libx.so", "libx.so"),
            ("thread 7/8", "thread 7/8"),
        ] {
            assert_eq!(file_name(detail), expected);
        }
    }
}
