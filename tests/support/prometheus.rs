//! Prometheus's programs, and its web interface.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Debian's packages with `prometheus`, `promtool` and `prometheus-node-exporter`.
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-node-exporter"];

/// The folder of the programs: of the system, or unpacked from Debian's packages and kept with the build.
///
/// # Errors
/// Why there is none: a reason for [`skip!`](crate::skip).
pub fn programs() -> Result<&'static Path, &'static str> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let has_all = |folder: &Path| {
            ["promtool", "prometheus", "prometheus-node-exporter"]
                .iter()
                .all(|name| folder.join(name).is_file())
        };
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
        let folders = [PathBuf::from("/usr/bin"), kept.join("usr/bin")];
        if let Some(found) = folders.iter().find(|folder| has_all(folder)) {
            return Ok(found.clone());
        }
        let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
        let script = format!(
            "apt-get download --quiet {} && for file in *.deb; do dpkg -x \"$file\" . || exit 1; done",
            PACKAGES.join(" ")
        );
        let run =
            Command::new("timeout").args(["200", "sh", "-c", &script]).current_dir(made.path()).output();
        let has_run = run.is_ok_and(|run| run.status.success());
        if !has_run || !has_all(&made.path().join("usr/bin")) {
            return Err("no Prometheus on this machine, and apt-get cannot download Debian's".to_owned());
        }
        // Refused if another test program has made it meanwhile.
        let _ = fs::rename(made.path(), &kept);
        Ok(kept.join("usr/bin"))
    });
    found.as_deref().map_err(String::as_str)
}

/// A port of this machine that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The body of a page; `None` while nothing answers.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// The data of an answer of Prometheus's interface.
pub fn ask(port: u16, path: &str) -> Option<Value> {
    let answer: Value = serde_json::from_str(&get(port, path)?).ok()?;
    Some(answer["data"].clone())
}
