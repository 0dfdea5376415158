//! The generator of layout tables, on C that is made for it: what the debug information of CPython seldom holds is here too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::layouts::extract::{Extract, Sources, Value, extract};
use xtask::layouts::spec::Spec;

const FIRST: &str = r#"
#include <stdint.h>
typedef struct { long head[3]; } base;
typedef struct tagged {
    base ob_base;
    union { struct { int deep; char bytes[5]; }; double other; };
    unsigned one : 1;
    unsigned three : 3;
    unsigned : 7;
    unsigned far : 21;
    unsigned char whole;
    struct { short x, y[4]; } points[6];
    struct unknown *pointer;
    const volatile base last;
} thing;
struct same { char a; int b; };
enum colour { RED = 3, GREEN = -4 };
struct flexible { long n; char rest[]; };
thing a; struct same b; enum colour c; struct flexible *d;
"#;

const SECOND: &str =
    "struct same { char a; int c, b; }; typedef struct only { struct same s; long l; } only; only o;";

const SPEC: &str = r#"
group thing = struct thing
    base = ob_base.head
    deep
    bytes_count count = bytes
    one bits
    three bits
    far bits
    whole bits
    y = points[2].y
    y2 = points[0].y[1]
    point stride = points
    points_count count = points
    pointer
    last
    last_size sizeof = last
    first_found = absent | ob_base.head[2] | deep
    missing ?
    no_struct = deep.er ?
group by_tag = struct tagged
    pointer
group same_first = struct same in "first.c"
    b
group same_second = struct same in "second.c"
    b
group only = struct nowhere | only
    l
group absent ? = struct nowhere
    x
group flexible = struct flexible
    rest
enum colours
    RED
    GREEN
enum none ?
    BLUE
fixed "m.thing" = struct thing: pointer last? type@9 deep@10-12 gone? pointer@13.4 last@14.5
fixed "m.nothing" = struct nowhere: pointer
"#;

/// Compiles both files into one shared library. `Err`: no compiler here.
fn compiled(folder: &Path, options: &[&str]) -> Result<PathBuf, String> {
    fs::write(folder.join("first.c"), FIRST).unwrap();
    fs::write(folder.join("second.c"), SECOND).unwrap();
    run(
        folder,
        "cc",
        &[options, &["-shared", "-fPIC", "-Wl,--build-id", "-o", "lib.so", "first.c", "second.c"]].concat(),
    )?;
    Ok(folder.join("lib.so"))
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn read(spec: &str, minor: u32, file: &Path, roots: &[PathBuf]) -> Result<Extract, Vec<String>> {
    let spec = Spec::parse(spec).unwrap();
    extract(&spec, (minor, 4), &mut Sources::new(vec![file.to_owned()], roots.to_vec(), &spec))
}

fn numbers(found: &Extract, group: usize) -> Vec<Option<Value>> {
    found.groups[group].as_ref().unwrap().fields.clone()
}

/// What C says of [`FIRST`] and [`SECOND`] on x86-64.
fn assert_right(found: &Extract) {
    let n = |number| Some(Value::Number(number));
    let bits = |byte, bit, width| Some(Value::Bits(byte, bit, width));
    let wanted = vec![
        n(0),
        n(24),
        n(5),
        bits(40, 0, 1),
        bits(40, 1, 3),
        bits(41, 3, 21),
        bits(44, 0, 8),
        n(46 + 2 * 10 + 2),
        n(46 + 2 + 2),
        n(10),
        n(6),
        n(112),
        n(120),
        n(24),
        n(16),
        None,
        None,
    ];
    assert_eq!(numbers(found, 0), wanted);
    assert_eq!(found.groups[0].as_ref().unwrap().size, Some(144));
    assert_eq!(numbers(found, 1), [n(112)]);
    assert_eq!((numbers(found, 2), numbers(found, 3)), (vec![n(4)], vec![n(8)]));
    assert_eq!((numbers(found, 4), found.groups[4].as_ref().unwrap().size), (vec![n(16)], Some(24)));
    assert_eq!(found.groups[5], None);
    assert_eq!(numbers(found, 6), [n(8)]);
    assert_eq!(numbers(found, 7), [Some(Value::Enumerator(3)), Some(Value::Enumerator(-4))]);
    assert_eq!(found.groups[8], None);
    assert_eq!(found.fixed.len(), 1);
    assert_eq!((found.fixed[0].size, found.fixed[0].tp_name.as_str()), (144, "m.thing"));
}

#[test]
fn every_dwarf_form_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for options in [
        &["-g", "-gdwarf-4"][..],
        &["-g", "-gdwarf-5"],
        &["-g", "-gdwarf-4", "-gstrict-dwarf"],
        &["-g", "-gdwarf-5", "-O2", "-flto"],
        &["-g", "-gdwarf-5", "-gz"],
    ] {
        let file = match compiled(folder.path(), options) {
            Ok(file) => file,
            Err(error) => crate::skip!("no compiler for {options:?}: {error}"),
        };
        let found = read(SPEC, 8, &file, &[]).unwrap_or_else(|faults| panic!("{options:?}: {faults:?}"));
        assert_right(&found);
    }
}

#[test]
fn visited_members_depend_on_version() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(file) = compiled(folder.path(), &["-g"]) else { crate::skip!("no compiler") };
    let visited = |minor| {
        let found = read(SPEC, minor, &file, &[]).unwrap();
        (found.fixed[0].visited.clone(), found.fixed[0].visits_type)
    };
    assert_eq!(visited(8), (vec![112, 120], false));
    assert_eq!(visited(9), (vec![112, 120], true));
    assert_eq!(visited(10), (vec![112, 120, 24], true));
    assert_eq!(visited(12), (vec![112, 120, 24], true));
    // All of them are of the micro version 4.
    assert_eq!(visited(13), (vec![112, 120, 112], true));
    assert_eq!(visited(14), (vec![112, 120, 112], true));
    assert_eq!(visited(15), (vec![112, 120, 112, 120], true));
}

#[test]
fn detached_debug_found_by_build_id() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(file) = compiled(folder.path(), &["-g"]) else { crate::skip!("no compiler") };
    if let Err(error) = run(folder.path(), "objcopy", &["--only-keep-debug", "lib.so", "detached"]) {
        crate::skip!("no objcopy: {error}");
    }
    let id = build_id(&file);
    let place = folder.path().join("usr/lib/debug/.build-id").join(&id[..2]);
    fs::create_dir_all(&place).unwrap();
    run(folder.path(), "objcopy", &["--strip-all", "lib.so"]).unwrap();
    let faults = read(SPEC, 8, &file, &[folder.path().to_owned()]).unwrap_err();
    assert!(faults.iter().all(|line| line.ends_with("no debug information")), "{faults:?}");
    fs::rename(folder.path().join("detached"), place.join(format!("{}.debug", &id[2..]))).unwrap();
    assert_right(&read(SPEC, 8, &file, &[folder.path().to_owned()]).unwrap());
}

/// The build id as the note holds it: behind `GNU\0` of the section that the linker made for it.
fn build_id(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let at = bytes.windows(8).position(|window| window == [3, 0, 0, 0, b'G', b'N', b'U', 0]).unwrap();
    bytes[at + 8..at + 28].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn all_missing_members_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(file) = compiled(folder.path(), &["-g"]) else { crate::skip!("no compiler") };
    let spec = "\
group thing = struct thing
    gone = gone | lost
    one
    items stride = pointer
group nothing = struct nowhere
    x
group same = struct same
    b
enum e
    BLUE
fixed \"m.thing\" = struct thing: missing
";
    let faults = read(spec, 8, &file, &[]).unwrap_err();
    let wanted = [
        "thing: no member gone or lost",
        "thing: one: one is a bit field",
        "thing: no array pointer",
        "thing: it has members that spec.txt does not list: ob_base deep bytes other three far whole points last",
        "nothing: no such type",
        "several types that differ are named same",
        "e: no enumerator BLUE",
        "m.thing: no member missing",
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:?}");
    for (fault, wanted) in faults.iter().zip(wanted) {
        assert!(fault.ends_with(wanted), "{fault}, not {wanted}");
    }
}

#[test]
fn wrong_spec_is_refused_by_line() {
    for (text, wanted) in [
        ("group a = struct A\n    x\n\ngroup a = struct B\n", "spec.txt:4: a is there twice"),
        ("group a = struct A\n    x\n    x bits\n", "spec.txt:3: x is there twice"),
        ("group a = struct A\n    size\n", "spec.txt:2: size is there twice"),
        ("    x\n", "spec.txt:1: a field before any group"),
        ("group a\n", "spec.txt:1: a group has a type, an enum has none"),
        ("group a = A\n", "spec.txt:1: a type is written `struct NAME`"),
        ("group a = struct A B\n", "spec.txt:1: a type is written `NAME [in \"file.c\"]`"),
        ("group a = struct A\n    x y z\n", "spec.txt:2: a field is written"),
        ("groups a\n", "spec.txt:1: neither a group"),
        ("fixed \"a\" = struct A\n", "spec.txt:1: a fixed shape is written"),
        ("fixed \"a\" = struct A: x@y\n", "spec.txt:1: a fixed shape is written"),
    ] {
        let error = Spec::parse(text).unwrap_err();
        assert!(error.starts_with(wanted), "{error}, not {wanted}");
    }
}
