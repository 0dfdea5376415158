//! The table of supported Pythons claims only what the tests found.

use xtask::support::{self, Tested};

use crate::support::workspace;

/// Finds rows that claim more than `noted` shows, or name a layout that does not exist.
fn unfounded(rows: &[Vec<String>], layouts: &[String], noted: &[Tested]) -> Vec<String> {
    let mut breaches = Vec::new();
    for row in rows {
        let [version, of, build, layout, objects, outcomes @ ..] = row.as_slice() else {
            breaches.push(format!("{row:?}: too few cells"));
            continue;
        };
        if outcomes.len() != 5 {
            breaches.push(format!("{row:?}: {} outcomes", outcomes.len()));
        }
        if !layouts.contains(layout) {
            breaches.push(format!("{version}: no table {layout} in memobj/cpython/src/layout/tables"));
        }
        if !layout.starts_with(&format!("cp{}", version.split('.').take(2).collect::<String>())) {
            breaches.push(format!("{version}: {layout} is the table of another version"));
        }
        let claims = outcomes.iter().any(|outcome| outcome == support::as_str(Some(true)));
        if claims && !objects.parse::<u64>().is_ok_and(|objects| objects > 1000) {
            breaches.push(format!("{version}: equal, of {objects} objects"));
        }
        let here = noted.iter().find(|one| one.version == *version && one.name == *of && one.build == *build);
        if let Some(here) = here {
            for (claimed, found) in
                outcomes.iter().zip([here.tracked, here.reachable, here.core, here.snapshot, here.leaks])
            {
                // A machine may have no gcore or less time: only a different result contradicts a claim.
                let claims = [support::as_str(Some(true)), support::leaks_as_str(Some(true))]
                    .contains(&claimed.as_str());
                if claims && found == Some(false) {
                    breaches.push(format!(
                        "{version}, {build}, of {of}: claimed {claimed}, but the result here differs"
                    ));
                }
            }
        }
    }
    for layout in layouts {
        if !rows.iter().any(|row| row.get(3) == Some(layout)) {
            breaches.push(format!("{layout}: no row for this table"));
        }
    }
    breaches
}

#[test]
fn support_table_claims_only_results() {
    let rows = support::rows(&workspace::read(support::PAGE));
    let layouts = support::layouts().unwrap();
    let noted = support::noted(&support::folder()).unwrap();
    assert!(!rows.is_empty() && !layouts.is_empty(), "no rows {rows:?}, or no tables {layouts:?}");
    let breaches = unfounded(&rows, &layouts, &noted);
    assert!(breaches.is_empty(), "{breaches:#?}\n`cargo xtask support` writes the table anew");
}

#[test]
fn unfounded_claims_are_found() {
    let tested = Tested {
        name: "pyenv".into(),
        version: "3.12.1".into(),
        build: "shared".into(),
        layout: "cp312".into(),
        objects: 120_000,
        tracked: Some(true),
        reachable: Some(true),
        core: None,
        snapshot: Some(true),
        leaks: Some(true),
    };
    let layouts = ["cp312", "cp313"].map(str::to_owned);
    let table = |tested: &[Tested]| {
        let table = support::table(tested, &layouts);
        support::rows(&format!("{}\n{table}{}", support::BEGIN, support::END))
    };
    let good = table(std::slice::from_ref(&tested));
    assert_eq!(unfounded(&good, &layouts, std::slice::from_ref(&tested)), Vec::<String>::new());
    assert_eq!(unfounded(&good, &layouts, &[]), Vec::<String>::new(), "a machine without that interpreter");
    let differs = Tested { reachable: Some(false), ..tested.clone() };
    assert_eq!(unfounded(&good, &layouts, &[differs]).len(), 1);
    let missed = Tested { leaks: Some(false), ..tested.clone() };
    assert_eq!(unfounded(&good, &layouts, &[missed]).len(), 1);
    assert_eq!(unfounded(&good, &layouts[..1], &[]).len(), 1, "a row without a table");
    assert_eq!(unfounded(&good[..1], &layouts, &[]).len(), 1, "a table without a row");
    let few = Tested { objects: 0, ..tested.clone() };
    assert_eq!(unfounded(&table(&[few]), &layouts, &[]).len(), 1, "equal, of nothing");
    let other = Tested { layout: "cp313".into(), ..tested };
    assert_eq!(unfounded(&table(&[other]), &layouts, &[]).len(), 1, "3.12 read as 3.13");
}
