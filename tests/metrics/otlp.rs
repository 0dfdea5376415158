//! OTLP: a real receiver has each metric that the example sends, with its labels and value.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bot;
use crate::support::python::python;
use crate::support::{
    Background, PATIENCE, Run, Tool, debian, json_lines, prometheus, wait_for, wait_until, workspace,
};

/// Samples by metric and labels.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// VictoriaMetrics of the Debian after the oldest that this project is tested on: Debian's Prometheus is built without its receiver of OTLP.
const DOWNLOAD: &str = "apt trixie apt-get update && apt trixie apt-get download victoria-metrics";

struct Receiver {
    port: u16,
    _program: Background,
}

impl Receiver {
    fn start(folder: &Path) -> Result<Self, String> {
        let program = "usr/bin/victoria-metrics";
        let root = debian::unpacked("victoria-metrics", DOWNLOAD, &[program])?;
        let port = prometheus::free_port();
        let started = Tool::new(root.join(program))
            .arg(format!("-storageDataPath={}", folder.join("data").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .start();
        wait_until(PATIENCE, "the receiver answers", || prometheus::get(port, "/health").is_some());
        Ok(Self { port, _program: started })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/opentelemetry/v1/metrics", self.port)
    }

    /// All samples of our metrics that it has; the last value of each.
    fn samples(&self) -> Samples {
        prometheus::get(self.port, "/internal/force_flush");
        let all = "/api/v1/export?match[]=%7B__name__=~%22mem.*%22%7D";
        let text = prometheus::get(self.port, all).unwrap_or_default();
        let line = |line: Value| {
            let mut labels: BTreeMap<String, String> =
                serde_json::from_value(line["metric"].clone()).unwrap();
            assert_eq!(labels.remove("service.name").as_deref(), Some("memtools"), "{line}");
            assert_eq!(labels.remove("team").as_deref(), Some("bots, two"), "{line}");
            assert_eq!(labels.remove("service.instance.id"), labels.remove("host.name"), "{line}");
            let value = line["values"].as_array().unwrap().last().unwrap().as_f64().unwrap();
            ((labels.remove("__name__").unwrap(), labels), value)
        };
        json_lines(text.as_bytes()).into_iter().map(line).collect()
    }
}

/// Sends a text with the example.
fn send(python: &Path, url: &str, text: impl Into<Vec<u8>>) -> Run {
    Tool::new(python)
        .arg(workspace::root().join("examples/otlp/send.py"))
        .arg(url)
        .env("OTEL_RESOURCE_ATTRIBUTES", "team=bots%2C%20two")
        .env("no_proxy", "*")
        .stdin(text)
        .run()
}

/// The samples of a text whose labels have no escaped letters.
fn samples_of(text: &str) -> Samples {
    let sample = |line: &str| {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let labels = labels.trim_end_matches('"').split("\",");
        let labels = labels.map(|label| label.split_once("=\"").unwrap());
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        ((name.to_owned(), labels), value.parse().unwrap())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn interpreter() -> Option<PathBuf> {
    Some(python()?.path.clone())
}

#[test]
fn receiver_has_what_was_sent() {
    let Some(bot) = bot() else { crate::skip!("no Python on this machine") };
    let python = interpreter().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let receiver = crate::or_skip!(Receiver::start(folder.path()));
    let pid = bot.pid().to_string();
    let metrics = ["--format", "openmetrics", "-p", &pid];
    let watch = Tool::ours("memmon").args(metrics).args(["-i", "200ms", "--count", "3"]);
    let watched = watch.run().expect_code(0).out();
    assert_eq!(watched.matches("# EOF\n").count(), 3);
    let options = ["--holders", "--retained", "--caches", "--memory"];
    let counted = Tool::ours("memobj").args(metrics).args(options).run().expect_code(0).out();
    for text in [&watched, &counted] {
        let run = send(&python, &receiver.url(), text.as_str()).expect_code(0);
        assert_eq!(run.err(), "");
    }
    let last = watched.trim_end().trim_end_matches("# EOF").rsplit("# EOF\n").next().unwrap();
    let mut expected = samples_of(last);
    expected.extend(samples_of(&counted));
    assert!(expected.keys().any(|(name, _)| name == "memobj_cache_hits_total"));
    let found = wait_for(PATIENCE, "all series are there", || {
        Some(receiver.samples()).filter(|found| found.len() >= expected.len())
    });
    for (key, value) in &expected {
        // It keeps numbers as decimals.
        let received = found.get(key).unwrap_or_else(|| panic!("{key:?} is not in {:?}", found.keys()));
        assert!((received - value).abs() <= value.abs() * 1e-12, "{key:?}: {received}, not {value}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn labels_keep_every_letter() {
    let python = crate::or_skip!(interpreter().ok_or("no Python on this machine"));
    let folder = tempfile::tempdir().unwrap();
    let receiver = crate::or_skip!(Receiver::start(folder.path()));
    let text = "memobj_holder_bytes{holder=\"a[\\\"x,y=\\\\\\\"]\\n会话\",pid=\"1\"} 1.5\n# EOF\nmemobj_unfinished 1\n";
    send(&python, &receiver.url(), text).expect_code(0);
    let found = wait_for(PATIENCE, "the series is there", || {
        Some(receiver.samples()).filter(|found| !found.is_empty())
    });
    let labels = [("holder", "a[\"x,y=\\\"]\n会话"), ("pid", "1")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(found, [(("memobj_holder_bytes".to_owned(), labels), 1.5)].into());
}

#[test]
fn silent_receiver_is_reported() {
    let python = crate::or_skip!(interpreter().ok_or("no Python on this machine"));
    let url = format!("http://127.0.0.1:{}/v1/metrics", prometheus::free_port());
    let run = send(&python, &url, "memobj_leaks 1\n# EOF\nmemobj_leaks 2\n# EOF\n").expect_code(1);
    assert_eq!(run.err().matches("send.py: a round is lost: ").count(), 2, "{}", run.err());
    assert!(
        fs::read_to_string(workspace::root().join("docs/metrics.md")).unwrap().contains("a round is lost")
    );
}
