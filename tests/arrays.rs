//! Arrays and scalars of numpy are counted as they say themselves: each with what it owns.

use std::collections::BTreeMap;

use memobj::capture::{Capturer, CensusSource as _, ProcessState};
use memobj::census::Census;
use memobj::config::CensusOptions;
use serde_json::Value;

use crate::support::python::with_each;
use crate::support::{Tool, workspace};

/// Before 2.0 and since: types of items are laid out otherwise, and some scalars have other names.
const VERSIONS: [&str; 2] = ["numpy==1.26.4", "numpy==2.2.6"];

/// Of each type, by its full name: how many, their bytes, and whether that is exact.
pub fn types(census: &Census) -> BTreeMap<String, (u64, u64, bool)> {
    let mut types = BTreeMap::new();
    for of in &census.types {
        let name = format!("{}.{}", of.module, of.qualname);
        let (count, bytes, exact) = types.entry(name).or_insert((0, 0, true));
        (*count, *bytes, *exact) = (*count + of.count, *bytes + of.size_bytes, *exact && of.size_exact);
    }
    types
}

#[test]
fn numpy_sizes_are_exact() {
    let tried = with_each(&VERSIONS, "import numpy", |version, interpreter| {
        let file = workspace::root().join("tests/targets/arrays.py");
        let mut process = Tool::new(interpreter).arg("-B").arg(file).start();
        process.wait_line("ready ");
        let (pid, mut capturer, mut state) = (process.pid(), Capturer::default(), ProcessState::default());
        let mut count =
            || types(&capturer.capture_process(pid, &CensusOptions::default(), &mut state).unwrap());
        let before = count();
        process.write("\n");
        let reported: Value = serde_json::from_str(&process.wait_line("made ")).unwrap();
        let after = count();
        let reported = reported.as_object().unwrap();
        assert!(reported.len() > 25 && reported.contains_key("numpy.ndarray"), "{version}: {reported:?}");
        let mut wrong = Vec::new();
        for (name, said) in reported {
            let (count, bytes, exact) = after.get(name).copied().unwrap_or_default();
            let (count_before, bytes_before, _) = before.get(name).copied().unwrap_or_default();
            let found = (count - count_before, bytes - bytes_before);
            let said = (said[0].as_u64().unwrap(), said[1].as_u64().unwrap());
            if found != said || !exact {
                wrong.push(format!("{name}: {found:?}, not {said:?}; exact: {exact}"));
            }
        }
        assert!(wrong.is_empty(), "{version}:\n{}", wrong.join("\n"));
        // `numpy.random` is written in Cython, whose types have a descriptor as `__module__`.
        assert!(!after.keys().any(|name| name.starts_with("?.")), "{version}: {:?}", after.keys());
        let is_function =
            |name: &String| name.starts_with("_cython_") && name.ends_with(".cython_function_or_method");
        assert!(version != VERSIONS[0] || after.keys().any(is_function), "{version}: {:?}", after.keys());
    });
    if !tried {
        crate::skip!("no numpy to be had");
    }
}
