//! Dicts of multidict are counted with their tables of keys, a word too low at most, and as inexact.

use memobj::capture::{Capturer, CensusSource as _, ProcessState};
use memobj::config::CensusOptions;
use serde_json::Value;

use crate::arrays::types;
use crate::support::python::with_each;
use crate::support::{Tool, workspace};

/// With entries of 32 bytes, with other members, and with compact entries.
const VERSIONS: [&str; 3] = ["multidict==6.9.1", "multidict==7.0.0", "multidict==7.2.1"];

#[test]
fn multidict_sizes_are_a_word_too_low_at_most() {
    let tried = with_each(&VERSIONS, "import multidict._multidict", |version, interpreter| {
        let file = workspace::root().join("tests/targets/multidicts.py");
        let mut process = Tool::new(interpreter).arg("-B").arg(file).start();
        let reported: Value = serde_json::from_str(&process.wait_line("made ")).unwrap();
        let (mut capturer, mut state) = (Capturer::default(), ProcessState::default());
        let census = capturer.capture_process(process.pid(), &CensusOptions::default(), &mut state).unwrap();
        let (reported, types) = (reported.as_object().unwrap(), types(&census));
        assert_eq!(reported.len(), 2, "{version}: {reported:?}");
        for (name, said) in reported {
            let &(found_count, found_bytes, exact) =
                types.get(name).unwrap_or_else(|| panic!("{version}: no {name}"));
            let (count, bytes) = (said[0].as_u64().unwrap(), said[1].as_u64().unwrap());
            assert_eq!(found_count, count, "{version}: {name}");
            let low = bytes - 8 * count..=bytes;
            assert!(low.contains(&found_bytes), "{version}: {name}: {found_bytes}, not {bytes}");
            assert!(!exact, "{version}: {name}");
        }
    });
    if !tried {
        crate::skip!("no multidict to be had");
    }
}
