//! A picture as one page: its data, a script that draws them, and nothing from elsewhere.
//!
//! The page needs no network and is forbidden to use one. The script is ours and small; only it may run, whatever a
//! name in the data contains.

mod data;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::stdio::escape_controls;
use sha2::{Digest as _, Sha256};

use crate::palette::{Hue, INK, PAPER, Palette, Theme};
use crate::picture::Picture;

/// The parts of the script, in the order in which they build on each other.
const SCRIPTS: [&str; 7] = [
    include_str!("scale.js"),
    include_str!("model.js"),
    include_str!("chart.js"),
    include_str!("labels.js"),
    include_str!("cursor.js"),
    include_str!("table.js"),
    include_str!("page.js"),
];

/// What stands between head and script: the places that the script fills.
const BODY: &str = include_str!("body.html");

/// The page that shows `picture`. Same picture, same zone of time, same bytes.
#[must_use]
pub fn page(picture: &Picture, theme: Theme) -> String {
    let script = script();
    let style = style();
    let title = escape(&picture.title);
    let subtitle = escape(&picture.subtitle);
    let chosen = match theme {
        Theme::Auto => "",
        Theme::Light => " data-theme=\"light\"",
        Theme::Dark => " data-theme=\"dark\"",
    };
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        fingerprint(&script),
        fingerprint(&style)
    );
    let data = data::json(picture);
    let mut page = String::with_capacity(data.len() + script.len() + style.len() + 4096);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"{chosen}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"memplot\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p>{subtitle}</p>\n</header>\n{BODY}\
         <footer>Times as clocks show them in {zone}.</footer>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n",
        zone = escape(&data::zone_name()),
    );
    page
}

/// Text made safe for any place in HTML, and free of what could disguise it.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in escape_controls(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// The script in a scope of its own.
fn script() -> String {
    format!(
        "\"use strict\";\n(() => {{\nconst data = JSON.parse(document.getElementById(\"data\").textContent);\n{}}})();\n",
        SCRIPTS.join("\n")
    )
}

/// The colours of both themes, and the style that uses them.
fn style() -> String {
    let mut style = String::from("\n");
    let (light, dark) = (variables(|hue| hue.light), variables(|hue| hue.dark));
    let _ = writeln!(style, ":root {{ {light} }}");
    let _ = writeln!(
        style,
        "@media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ {dark} }} }}"
    );
    let _ = writeln!(style, ":root[data-theme=\"dark\"] {{ {dark} }}");
    style.push_str(include_str!("page.css"));
    style
}

/// The page's own colours beside those of the series.
const EXTRA: [(&str, Hue); 10] = [
    ("faint", Hue { light: "#5f6670", dark: "#9aa3ad" }),
    ("axis", Hue { light: "#9aa1aa", dark: "#66707b" }),
    ("grid", Hue { light: "#e6e8eb", dark: "#272d35" }),
    ("line", Hue { light: "#cfd3d8", dark: "#3d454f" }),
    ("raised", Hue { light: "#f1f3f5", dark: "#222830" }),
    ("focus", Hue { light: "#2f6fd0", dark: "#7fb0ff" }),
    ("select", Hue { light: "#2f6fd02e", dark: "#7fb0ff33" }),
    ("shadow", Hue { light: "#0000001f", dark: "#00000080" }),
    ("more", Hue { light: "#a8371b", dark: "#ff9a7d" }),
    ("less", Hue { light: "#1d6b4f", dark: "#74d3ab" }),
];

fn variables(of: impl Fn(Hue) -> &'static str) -> String {
    let palette = Palette::series();
    let mut text = String::new();
    let fixed = [("ink", INK), ("paper", PAPER), ("other", Palette::other()), ("grave", Palette::grave())];
    for (name, hue) in fixed.into_iter().chain(EXTRA) {
        let _ = write!(text, "--{name}: {}; ", of(hue));
    }
    for (index, hue) in palette.iter().enumerate() {
        let _ = write!(text, "--c{index}: {}; ", of(*hue));
    }
    text.truncate(text.trim_end().len());
    text
}

/// By which a browser knows the one script and style that it may use.
fn fingerprint(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
