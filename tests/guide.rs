//! The guide: each of its commands runs, its translation has the same commands, and its service files are valid.

use std::fs;
use std::path::Path;

use crate::docs::blocks;
use crate::support::pty::Terminal;
use crate::support::python::python;
use crate::support::{Background, Tool, bin, workspace};

/// The documents that exist in two languages.
const PAIRS: [(&str, &str); 2] = [("README.md", "README.zh-CN.md"), ("docs/guide.md", "docs/guide.zh-CN.md")];

/// The parts of a document that do not depend on its language: levels of headings, code without comments, and rows of tables with the
/// number of their columns.
fn skeleton(document: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut in_code = false;
    for line in document.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
            parts.push(line.to_owned());
        } else if in_code {
            parts.push(without_comment(line).to_owned());
        } else if line.starts_with('#') {
            parts.push(line.split(' ').next().unwrap().to_owned());
        } else if line.starts_with('|') {
            parts.push(format!("row of {}", line.split('|').count()));
        }
    }
    parts
}

fn without_comment(line: &str) -> &str {
    let code = line.split_once("  #").map_or(line, |(code, _)| code);
    if code.starts_with("# ") { "" } else { code.trim_end() }
}

#[test]
fn translations_have_the_same_commands_and_sections() {
    for (english, other) in PAIRS {
        let (english_parts, other_parts) =
            (skeleton(&workspace::read(english)), skeleton(&workspace::read(other)));
        for (number, (ours, theirs)) in english_parts.iter().zip(&other_parts).enumerate() {
            assert_eq!(ours, theirs, "part {number} of {english} and {other}");
        }
        assert_eq!(english_parts.len(), other_parts.len(), "{english} and {other}");
    }
}

#[test]
fn skeletons_differ_where_documents_do() {
    let document = "# A\n\ntext\n\n```sh\nmemmon -p 1    # watch\n```\n| a | b |\n";
    let translation = "# 甲\n\n```sh\nmemmon -p 1  # 监控\n```\n| 甲 | 乙 |\n";
    assert_eq!(skeleton(document), skeleton(translation));
    for (old, new) in [("-p 1", "-p 2"), ("# A", "## A"), ("| b ", ""), ("```sh", "```console")] {
        assert_ne!(skeleton(&document.replace(old, new)), skeleton(translation), "{old}");
    }
}

/// A command of the guide, with times that suit a test, and the name of the test's own bot.
fn shortened(command: &str, bot: &str) -> String {
    let mut words: Vec<&str> = command.split_ascii_whitespace().collect();
    for at in 1..words.len() {
        words[at] = match words[at - 1] {
            // A census by an unoptimised memobj takes a second.
            "-i" if words[0] == "memobj" => "1s",
            "-i" => "200ms",
            // Two censuses must fit on a slow machine.
            "--duration" if words[0] == "memobj" => "20s",
            "--for" | "--duration" => "5s",
            "-n" => bot,
            _ => words[at],
        };
    }
    // Without it, a search takes a minute.
    if words.contains(&"--leaks") && !words.contains(&"--for") {
        words.extend(["--for", "5s"]);
    }
    // Other tests must not keep it off the processors.
    if let Some(at) = words.iter().position(|&word| word == "--leaks") {
        words.splice(at..at, ["--nice", "0"]);
    }
    words.join(" ")
}

/// A bot that leaks, in a folder of its own, under a name that only this test uses.
fn start_bot(folder: &Path) -> Option<(Background, String)> {
    let python = python()?;
    let unique = folder.file_name().unwrap().to_str().unwrap().trim_start_matches('.');
    let name = format!("bot-{unique}.py");
    fs::copy(workspace::root().join("examples/leaky_bot.py"), folder.join(&name)).unwrap();
    let mut bot = Tool::new(&python.path).arg(&name).dir(folder).start();
    bot.wait_line("bot: serving");
    Some((bot, name))
}

/// The folder of our commands before `$PATH`.
fn path_with_tools() -> std::ffi::OsString {
    let tools = bin("memmon").parent().unwrap().to_owned();
    let old = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&old))).unwrap()
}

#[test]
fn commands_of_the_guide_run() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_bot, name)) = start_bot(folder.path()) else { crate::skip!("no Python on this machine") };
    let guide = workspace::read("docs/guide.md");
    let commands = blocks(&guide, "sh").concat().into_iter().map(without_comment);
    // Ours alone: a test enables no service.
    let commands: Vec<&str> = commands.filter(|command| command.starts_with("mem")).collect();
    assert!(commands.len() >= 20, "{commands:?}");
    for command in commands {
        let command = shortened(command, &name);
        if command.contains("--watch ") {
            let arguments: Vec<&str> = command.split(' ').collect();
            let (program, arguments) = arguments.split_first().unwrap();
            let status = Terminal::new(bin(program)).args(arguments).size(120, 40).start().finish();
            assert_eq!(status.code(), Some(0), "{command}");
            continue;
        }
        let tool = Tool::new("sh").args(["-c", &command]).dir(folder.path());
        let run = tool.env("PATH", path_with_tools()).env("HOME", folder.path()).run();
        let expected: &[i32] = match &command {
            // On a slow machine the censuses may be too few for a verdict.
            leaks if leaks.contains("--leaks") => &[0, 1, 2],
            trend if trend.contains("memdiff") => &[0, 1],
            watch if watch.contains("--watch-adds") && run.err().contains("cannot be watched") => &[2],
            _ => &[0],
        };
        assert!(run.code().is_some_and(|code| expected.contains(&code)), "{command}: {run}");
        if command.contains("--leaks") && !command.contains('>') && !command.contains(" -o ") {
            assert!(run.records().iter().any(|record| record["type"] == "leaks"), "{command}: {run}");
        }
    }
    for file in [
        "memory.jsonl",
        "objects",
        "objects.jsonl",
        "memory.svg",
        "objects.html",
        "bug.mem",
        "report.txt",
        "report.svg",
        "bot.prom",
    ] {
        let length =
            fs::metadata(folder.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}")).len();
        assert!(length > 0, "{file} is empty");
    }
}

const UNITS: &str = "examples/systemd";

#[test]
fn service_files_are_valid() {
    let check = Tool::new("sh").args(["-c", "command -v systemd-analyze"]).run();
    if check.code() != Some(0) {
        crate::skip!("no systemd-analyze on this machine");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(workspace::root().join(UNITS)).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name == "memtools-report" {
            continue;
        }
        // Where the programs of a test are.
        let text = fs::read_to_string(entry.path()).unwrap();
        let script = workspace::root().join(UNITS).join("memtools-report");
        let text = text.replace("/usr/local/bin/memmon", bin("memmon").to_str().unwrap());
        let text = text.replace("/usr/local/bin/memtools-report", script.to_str().unwrap());
        let unit = folder.path().join(name.replace('@', "@bot.py"));
        fs::write(folder.path().join(&name), &text).unwrap();
        fs::write(&unit, text).unwrap();
        units.push(unit);
    }
    assert_eq!(units.len(), 3, "{units:?}");
    let run = Tool::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).run();
    let ours = |line: &&str| line.contains("memtools");
    assert_eq!(run.err().lines().filter(ours).collect::<Vec<_>>(), Vec::<&str>::new(), "{run}");
    // It finds what is wrong.
    let wrong = folder.path().join("memtools-wrong.service");
    fs::write(&wrong, "[Service]\nExecStart=/nowhere/memmon\nRestart=always\n").unwrap();
    let run = Tool::new("systemd-analyze").args(["verify", "--man=no"]).arg(&wrong).run();
    assert!(run.code() != Some(0) && run.err().contains("/nowhere/memmon"), "{run}");
}

#[test]
fn report_script_makes_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_bot, name)) = start_bot(folder.path()) else { crate::skip!("no Python on this machine") };
    let log = folder.path().join(format!("{name}.jsonl"));
    let args = ["-n", &name, "-i", "100ms", "--count", "20", "-o", log.to_str().unwrap()];
    Tool::ours("memmon").args(args).run().expect_code(0);
    let script = workspace::root().join(UNITS).join("memtools-report");
    let report = |time: &str| {
        let args = [script.to_str().unwrap(), &name, folder.path().to_str().unwrap(), time];
        Tool::new("sh").args(args).env("PATH", path_with_tools()).run()
    };
    let run = report("5s");
    assert!(run.code().is_some_and(|code| code <= 2), "{run}");
    let files: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|file| file.starts_with(&format!("{name}-")))
        .collect();
    assert_eq!(files.len(), 3, "text, log and picture: {files:?}: {run}");
    let text = files.iter().find(|file| file.ends_with(".txt")).unwrap();
    let text = fs::read_to_string(folder.path().join(text)).unwrap();
    assert!(text.starts_with(&format!("Memory of {name}, ")) && text.contains("censuses"), "{text}");
    assert_eq!(fs::metadata(&log).unwrap().len(), 0, "the log begins anew");
    fs::remove_file(&log).unwrap();
    assert_eq!(report("1s").code(), Some(2), "without a log a part of the report is missing");
}
