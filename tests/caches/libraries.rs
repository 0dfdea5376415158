//! Caches of libraries: cachetools, aiocache, async_lru, Django's local memory.

use std::time::Duration;

use super::{Target, caches, differences};
use crate::support::python::with;
use crate::support::{Tool, workspace};

/// What is installed, each with its version.
const PACKAGES: &[&str] = &["cachetools==5.5.2", "aiocache==0.12.3", "async_lru==2.0.4", "Django==4.2.20"];

#[test]
fn library_caches_match_program() {
    let python = match with(PACKAGES, "import cachetools, aiocache, async_lru, django") {
        Ok(python) => python,
        Err(reason) => crate::skip!("no environment with {}: {reason}", PACKAGES.join(", ")),
    };
    let file = workspace::root().join("tests/targets/libraries.py");
    let tool = Tool::new(python).args(["-I", "-B"]).arg(file).limit(Duration::from_secs(60));
    let target = Target::start(tool);
    let record = target.memobj(&[]).records().remove(0);
    let rows = caches(&record);
    let wrong = differences(&target.truth, &rows, false);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What keeps the caches' times, or is the logging of a library, is no cache of the program.
    for (name, row) in &rows {
        let beside = name.ends_with("_handlers") || name.contains("expire_info") || name.contains("logger");
        assert!(!beside || row["stdlib"] == true, "{name}: {row}");
    }
}
