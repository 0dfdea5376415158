//! Prometheus's programs, and its web interface.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::debian;

/// The programs that tests run.
const PROGRAMS: [&str; 3] = ["usr/bin/promtool", "usr/bin/prometheus", "usr/bin/prometheus-node-exporter"];

/// The folder of `prometheus`, `promtool` and `prometheus-node-exporter`: of the system, or of Debian's packages.
///
/// # Errors
/// Why there is none: a reason for [`skip!`](crate::skip).
pub fn programs() -> Result<&'static Path, &'static str> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        if PROGRAMS.iter().all(|name| Path::new("/").join(name).is_file()) {
            return Ok(PathBuf::from("/usr/bin"));
        }
        let download = "apt-get download --quiet prometheus prometheus-node-exporter";
        Ok(debian::unpacked("prometheus", download, &PROGRAMS)?.join("usr/bin"))
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
