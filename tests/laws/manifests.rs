//! What packages depend on, and which lints they keep.

use toml::{Table, Value};

/// The four tools' packages.
const TOOLS: [&str; 4] = ["memmon", "memobj", "memplot", "memdiff"];
/// The package of `common`.
const COMMON: &str = "memtools-common";

/// Dependencies of a tool, or of `common`, on a tool. The root package and xtask see all tools: that is their purpose.
pub fn other_tools(path: &str, manifest: &Table) -> Vec<String> {
    let name =
        manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str).unwrap_or_default();
    if name != COMMON && !TOOLS.contains(&name) {
        return Vec::new();
    }
    let used = dependencies(manifest).into_iter().filter(|dependency| TOOLS.contains(&dependency.as_str()));
    used.map(|tool| format!("{path}: {name} depends on {tool}")).collect()
}

/// The packages that a manifest names, for any purpose and platform, also where they are given another name.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if matches!(key.as_str(), "dependencies" | "dev-dependencies" | "build-dependencies") {
            for (name, details) in table {
                found.push(details.get("package").and_then(Value::as_str).unwrap_or(name).to_owned());
            }
        } else if key == "target" {
            found.extend(table.values().filter_map(Value::as_table).flat_map(dependencies));
        }
    }
    found
}

/// Whether a package keeps the workspace's lints, and the workspace forbids unsafe code.
pub fn lints_not_kept(path: &str, manifest: &Table) -> Vec<String> {
    let mut breaches = Vec::new();
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if manifest.contains_key("package") && inherited.and_then(Value::as_bool) != Some(true) {
        breaches.push(format!("{path}: no `[lints] workspace = true`"));
    }
    if let Some(workspace) = manifest.get("workspace") {
        let level = workspace.get("lints").and_then(|l| l.get("rust")).and_then(|l| l.get("unsafe_code"));
        if level.and_then(Value::as_str) != Some("forbid") {
            breaches.push(format!("{path}: the workspace does not forbid unsafe_code"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&str, &Table) -> Vec<String>, manifest: &str) -> Vec<String> {
        check("x/Cargo.toml", &manifest.parse().unwrap())
    }

    #[test]
    fn dependency_on_a_tool_is_found() {
        for section in [
            "[dependencies]\nmemobj.workspace = true",
            "[dependencies.memobj]\npath = '../memobj'",
            "[dev-dependencies]\nmemobj = { path = '../memobj' }",
            "[build-dependencies]\nother = { package = 'memobj', path = '../memobj' }",
            "[target.'cfg(unix)'.dependencies]\nmemobj = '1'",
        ] {
            let manifest = format!("[package]\nname = 'memmon'\n{section}\n");
            let breaches = found(other_tools, &manifest);
            assert_eq!(breaches, ["x/Cargo.toml: memmon depends on memobj"], "{section}");
        }
    }

    #[test]
    fn only_tools_and_common_are_checked() {
        assert!(found(other_tools, "[package]\nname = 'memmon'\n[dependencies]\ncommon = '1'").is_empty());
        assert!(found(other_tools, "[package]\nname = 'xtask'\n[dependencies]\nmemmon = '1'").is_empty());
        assert_eq!(
            found(other_tools, "[package]\nname = 'memtools-common'\n[dependencies]\nmemmon = '1'").len(),
            1
        );
    }

    #[test]
    fn lints_are_inherited_and_forbid() {
        assert!(found(lints_not_kept, "[package]\nname = 'a'\n[lints]\nworkspace = true").is_empty());
        assert_eq!(found(lints_not_kept, "[package]\nname = 'a'").len(), 1);
        assert_eq!(found(lints_not_kept, "[package]\nname = 'a'\n[lints]\nworkspace = false").len(), 1);
        assert_eq!(found(lints_not_kept, "[workspace.lints.rust]\nunsafe_code = 'deny'").len(), 1);
        assert_eq!(found(lints_not_kept, "[workspace]\nmembers = []").len(), 1);
        assert!(found(lints_not_kept, "[workspace.lints.rust]\nunsafe_code = 'forbid'").is_empty());
    }
}
