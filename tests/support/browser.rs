//! A browser without a screen, driven through WebDriver: pages as people see and use them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Background, PATIENCE, Tool};

/// A Chromium with one page. Dropped, it ends.
pub struct Browser {
    session: String,
    // Ended before its folder goes.
    _driver: Background,
    _folder: TempDir,
}

/// What a mouse does.
#[derive(Debug, Clone, Copy)]
pub enum Mouse {
    /// Goes to a place of the window, in pixels.
    To(i64, i64),
    /// The left button goes down.
    Down,
    /// And up.
    Up,
}

impl Browser {
    /// A browser with a window of this size; `None` where there is no Chromium or no driver for it.
    ///
    /// # Panics
    /// If there is one and it cannot be started.
    #[track_caller]
    pub fn start(size: (u32, u32)) -> Option<Self> {
        let driver = found("chromedriver")?;
        let chromium = found("chromium").or_else(|| found("google-chrome"))?;
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Tool::new(driver).arg("--port=0").env("HOME", folder.path()).start();
        let port = driver.wait_line("ChromeDriver was started successfully on port ");
        let base = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let mut args: Vec<String> = [
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-dev-shm-usage",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "hide-scrollbars",
        ]
        .map(|name| format!("--{name}"))
        .into();
        args.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
        args.push(format!("--window-size={},{}", size.0, size.1));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = call(&format!("{base}/session"), &wanted);
        let session = format!("{base}/session/{}", made["sessionId"].as_str().unwrap());
        let browser = Self { session, _driver: driver, _folder: folder };
        // The page's part of the window, whatever the frame around it takes.
        browser.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": size.0, "height": size.1, "deviceScaleFactor": 1, "mobile": false }),
        );
        Some(browser)
    }

    /// Opens a file.
    #[track_caller]
    pub fn open(&self, file: &Path) {
        self.post("url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    /// What a function body of JavaScript returns; it is given `argument` as `arguments[0]`. A promise is waited for.
    #[track_caller]
    pub fn run(&self, script: &str, argument: impl Into<Value>) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [argument.into()] }))
    }

    /// The text of the first element that a CSS selector finds; empty while it is hidden.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let read = "const found = document.querySelector(arguments[0]); return found.checkVisibility() ? found.innerText : ''";
        let text = self.run(read, selector);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Moves the mouse and presses its button.
    #[track_caller]
    pub fn mouse(&self, steps: &[Mouse]) {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| match step {
                Mouse::To(x, y) => json!({ "type": "pointerMove", "x": x, "y": y, "duration": 0 }),
                Mouse::Down => json!({ "type": "pointerDown", "button": 0 }),
                Mouse::Up => json!({ "type": "pointerUp", "button": 0 }),
            })
            .collect();
        self.act("pointer", &steps);
    }

    /// Turns the mouse's wheel at a place of the window; up is negative.
    #[track_caller]
    pub fn wheel(&self, (x, y): (i64, i64), down: i64) {
        let step = json!({ "type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": down, "duration": 0 });
        self.act("wheel", &[step]);
    }

    /// Presses keys, one after the other; WebDriver has private characters for those without a letter.
    #[track_caller]
    pub fn keys(&self, keys: &str) {
        let press = |key: char| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.act("key", &keys.chars().flat_map(press).collect::<Vec<_>>());
    }

    /// Says to the page that the reader prefers a dark or a light ground.
    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// What the browser's console said since it was last asked: errors of scripts, and what a policy refused.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }

    fn act(&self, kind: &str, steps: &[Value]) {
        self.post("actions", &json!({ "actions": [{ "type": kind, "id": kind, "actions": steps }] }));
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    #[track_caller]
    fn post(&self, what: &str, body: &Value) -> Value {
        call(&format!("{}/{what}", self.session), body)
    }
}

/// One command of WebDriver: its value.
#[track_caller]
fn call(url: &str, body: &Value) -> Value {
    let request = minreq::post(url)
        .with_header("Content-Type", "application/json; charset=utf-8")
        .with_body(body.to_string())
        .with_timeout(Duration::as_secs(&PATIENCE));
    let answer = request.send().unwrap_or_else(|error| panic!("{url}: {error}"));
    let mut value: Value = serde_json::from_slice(answer.as_bytes()).unwrap();
    assert_eq!(answer.status_code, 200, "{url} {body}: {value}");
    value["value"].take()
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
