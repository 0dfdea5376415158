//! Metrics: other parsers read them, the document lists them, and a real Prometheus fires an alert on a leak.

mod otlp;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::metrics::FAMILIES;
use serde_json::Value;

use crate::docs::blocks;
use crate::support::python::{python, with};
use crate::support::{Background, PATIENCE, Tool, json_lines, prometheus, wait_for, wait_until, workspace};

const RULES: &str = "examples/prometheus/memtools.rules.yml";
const DASHBOARD: &str = "examples/grafana/dashboard.json";

/// Reads a text with the parser of Prometheus's Python client, which is strict: a line of JSON for each metric, with its samples.
const PARSE: &str = "\
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(open(sys.argv[1]).read()):
    samples = [[s.name, s.labels, s.value] for s in family.samples]
    print(json.dumps(dict(name=family.name, type=family.type, unit=family.unit, help=family.documentation, samples=samples)))
";

/// The metrics of a text by name, as OpenMetrics's parser reads them.
fn parse(file: &Path) -> Result<BTreeMap<String, Value>, String> {
    let python = with(&["prometheus_client==0.26.0"], "import prometheus_client.openmetrics.parser")?;
    let out = Tool::new(python).args(["-c", PARSE]).arg(file).run().expect_code(0).stdout;
    Ok(json_lines(&out)
        .into_iter()
        .map(|family| (family["name"].as_str().unwrap().to_owned(), family))
        .collect())
}

/// The only value of a metric.
#[track_caller]
fn value(families: &BTreeMap<String, Value>, name: &str) -> f64 {
    let samples = families[name]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 1, "{name}: {samples:?}");
    samples[0][2].as_f64().unwrap()
}

/// What promtool finds wrong with a text in Prometheus's format.
fn lint(promtool: &Path, file: &Path) -> String {
    let run = Tool::new(promtool).args(["check", "metrics"]).stdin(fs::read(file).unwrap()).run();
    format!("{}{}", run.out(), run.err())
}

fn bot() -> Option<Background> {
    let bot = workspace::root().join("examples/leaky_bot.py");
    let mut bot = Tool::new(&python()?.path).args(["-B", "-u"]).arg(bot).start();
    bot.wait_line("bot: serving");
    Some(bot)
}

#[test]
fn document_lists_every_metric() {
    let document = workspace::read("docs/metrics.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `mem"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let expected: Vec<Vec<String>> = FAMILIES
        .iter()
        .map(|family| {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let cells = [&format!("`{}`", family.name), &labels.join(", "), family.help];
            [&[""][..], &cells.map(AsRef::as_ref), &[""]].concat().into_iter().map(str::to_owned).collect()
        })
        .collect();
    assert_eq!(rows, expected);
    assert!(!blocks(&document, "sh").is_empty());
}

#[test]
fn metrics_are_read_by_both_formats() {
    let Some(bot) = bot() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let pid = bot.pid().to_string();
    let path = |name: &str| folder.path().join(name);
    let metrics = ["--format", "openmetrics", "-p", &pid];
    let watch = Tool::ours("memmon").args(metrics).args(["-i", "100ms", "--count", "3", "-o"]);
    watch.arg(path("memmon.prom")).run().expect_code(0);
    let census = ["--holders", "--retained", "--caches", "--memory", "-o"];
    Tool::ours("memobj").args(metrics).args(census).arg(path("census.prom")).run().expect_code(0);
    let stdout = Tool::ours("memobj").args(metrics).run().expect_code(0).out();
    assert!(stdout.starts_with("# ") && stdout.ends_with("# EOF\n"), "{stdout}");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    names.sort();
    assert_eq!(names, ["census.prom", "memmon.prom"], "nothing else is left");
    match prometheus::programs() {
        Ok(programs) => {
            for name in ["memmon.prom", "census.prom"] {
                assert_eq!(lint(&programs.join("promtool"), &path(name)), "", "{name}");
            }
            fs::write(path("wrong"), "# TYPE wrong counter\nwrong 1\n").unwrap();
            assert!(lint(&programs.join("promtool"), &path("wrong")).contains("_total"));
        }
        Err(reason) => crate::support::skip::note(module_path!(), line!(), reason),
    }
    let families = crate::or_skip!(parse(&path("memmon.prom")), "no prometheus_client: ");
    let rss = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let rss = rss.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0;
    let measured = value(&families, "memmon_tree_rss_bytes");
    assert!((rss / measured - 1.0).abs() < 0.5, "{measured} {rss}");
    assert_eq!(families["memmon_tree_rss_bytes"]["samples"][0][1]["command"], "leaky_bot.py");
    let all = parse(&path("census.prom")).unwrap();
    assert!(value(&all, "memobj_objects") > 10_000.0);
    assert_eq!(all["memobj_type_bytes"]["samples"].as_array().unwrap().len(), 20);
    for (name, family) in families.iter().chain(&all) {
        let known = FAMILIES.iter().find(|known| known.name == name).unwrap();
        let kind = if known.is_counter() { "unknown" } else { "gauge" };
        assert_eq!(
            (family["type"].as_str(), family["help"].as_str()),
            (Some(kind), Some(known.help)),
            "{name}"
        );
        assert_eq!(family["unit"].as_str().unwrap(), known.unit().unwrap_or_default(), "{name}");
    }
}

/// The metrics that an expression of PromQL names, and their labels in its text.
fn named(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("memmon_") || word.starts_with("memobj_")).collect()
}

/// The values of all fields `expr`, at any depth.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::String(text) if ["expr", "definition"].contains(&name.as_str()) => {
                found.push(text.clone())
            }
            value => expressions(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn dashboard_and_rules_name_known_metrics() {
    let dashboard: Value = serde_json::from_str(&workspace::read(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    expressions(&dashboard, &mut queries);
    assert!(queries.len() > 15, "{queries:?}");
    let rules = workspace::read(RULES);
    let known: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    for text in queries.iter().chain([&rules]) {
        let unknown: Vec<&str> = named(text).difference(&known).copied().collect();
        assert!(unknown.is_empty() && !named(text).is_empty(), "{unknown:?}: {text}");
    }
    assert_eq!(named("sum(memmon_a{x=\"y\"} / on (b) memobj_c_d)"), ["memmon_a", "memobj_c_d"].into());
}

#[test]
fn promtool_accepts_rules_and_queries() {
    let programs = crate::or_skip!(prometheus::programs());
    let tool = || Tool::new(programs.join("promtool"));
    let folder = workspace::root().join("examples/prometheus");
    tool().args(["test", "rules", "memtools.tests.yml"]).dir(folder).run().expect_code(0);
    let dashboard: Value = serde_json::from_str(&workspace::read(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    expressions(&dashboard, &mut queries);
    // Grafana puts values in place of its variables. The queries of variables are its own.
    let queries = queries.iter().filter(|query| !query.starts_with("label_values("));
    let rules: Vec<Value> = queries
        .map(|query| serde_json::json!({"record": "a:b", "expr": query.replace("$__range", "1h")}))
        .enumerate()
        .map(|(number, mut rule)| {
            rule["record"] = format!("a:b{number}").into();
            rule
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    // JSON is YAML.
    let check = |rules: &[Value]| {
        let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
        fs::write(file.path(), groups.to_string()).unwrap();
        tool().args(["check", "rules"]).arg(file.path()).run()
    };
    check(&rules).expect_code(0);
    assert_ne!(check(&[serde_json::json!({"record": "a:b", "expr": "sum("})]).code(), Some(0));
}

#[test]
fn prometheus_fires_on_a_leak() {
    let programs = crate::or_skip!(prometheus::programs());
    let Some(bot) = bot() else { crate::skip!("no Python on this machine") };
    let folder = tempfile::tempdir().unwrap();
    let pid = bot.pid().to_string();
    let texts = folder.path().join("textfile");
    let metrics = ["--format", "openmetrics", "-p", &pid, "-o"];
    let watch =
        Tool::ours("memmon").args(metrics).arg(texts.join("memmon.prom")).args(["-i", "200ms"]).start();
    let search = ["--leaks", "--for", "6s", "-i", "1s"];
    let limit = Duration::from_secs(120);
    let search = Tool::ours("memobj").args(metrics).arg(texts.join("memobj.prom")).args(search).limit(limit);
    search.run().expect_code(1);

    let (exporter_port, port) = (prometheus::free_port(), prometheus::free_port());
    let _exporter = Tool::new(programs.join("prometheus-node-exporter"))
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--collector.textfile.directory={}", texts.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{exporter_port}"))
        .start();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{:?}]\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]}}]\n",
        workspace::root().join(RULES)
    );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let _prometheus = Tool::new(programs.join("prometheus"))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .dir(folder.path())
        .start();

    let alert = wait_for(PATIENCE, "the alert fires", || {
        let data = prometheus::ask(port, "/api/v1/alerts")?;
        // Whether memory is full soon depends on the machine.
        data["alerts"].as_array()?.iter().find(|alert| alert["labels"]["alertname"] == "PythonLeak").cloned()
    });
    let labels = &alert["labels"];
    assert_eq!(alert["state"], "firing");
    assert_eq!(
        (labels["command"].as_str(), labels["pid"].as_str()),
        (Some("leaky_bot.py"), Some(pid.as_str()))
    );
    assert!(labels["holder"].as_str().unwrap().ends_with("sessions"), "{alert}");
    assert!(labels["type"].as_str().unwrap().ends_with("Session"), "{alert}");
    let page = prometheus::get(exporter_port, "/metrics").unwrap();
    assert!(page.contains("\nnode_textfile_scrape_error 0\n"), "{page}");
    let read = || prometheus::ask(port, "/api/v1/query?query=memmon_process_rss_bytes");
    wait_until(PATIENCE, "samples of memmon are read", || {
        read().is_some_and(|data| data["result"].as_array().is_some_and(|series| !series.is_empty()))
    });
    drop(watch);
}
