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

use crate::cli::Theme;
use crate::colour::{OTHERS, PALETTE, ThemeColour};
use crate::figure::Figure;

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
pub fn page(figure: &Figure, theme: Theme) -> String {
    let script = script();
    let style = style();
    let title = escape(&figure.title);
    let subtitle = escape(&figure.subtitle);
    let chosen = match theme {
        Theme::Auto => "",
        Theme::Light => " data-theme=\"light\"",
        Theme::Dark => " data-theme=\"dark\"",
    };
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        csp_hash(&script),
        csp_hash(&style)
    );
    let data = data::json(figure);
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
    let (light, dark) = (variables(|colour| colour.light), variables(|colour| colour.dark));
    let _ = writeln!(style, ":root {{ {light} }}");
    let _ = writeln!(
        style,
        "@media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ {dark} }} }}"
    );
    let _ = writeln!(style, ":root[data-theme=\"dark\"] {{ {dark} }}");
    style.push_str(include_str!("page.css"));
    style
}

/// The page's own colours beside those of the series: for text and the total, the ground, what helps to find one's way, and
/// for what grew, shrank, or is a reason for concern.
const OWN: [(&str, ThemeColour); 11] = [
    ("ink", ThemeColour { light: (0x1d, 0x21, 0x26), dark: (0xe6, 0xe9, 0xec) }),
    ("paper", ThemeColour { light: (0xff, 0xff, 0xff), dark: (0x14, 0x18, 0x1d) }),
    ("faint", ThemeColour { light: (0x5f, 0x66, 0x70), dark: (0x9a, 0xa3, 0xad) }),
    ("axis", ThemeColour { light: (0x9a, 0xa1, 0xaa), dark: (0x66, 0x70, 0x7b) }),
    ("grid", ThemeColour { light: (0xe6, 0xe8, 0xeb), dark: (0x27, 0x2d, 0x35) }),
    ("line", ThemeColour { light: (0xcf, 0xd3, 0xd8), dark: (0x3d, 0x45, 0x4f) }),
    ("raised", ThemeColour { light: (0xf1, 0xf3, 0xf5), dark: (0x22, 0x28, 0x30) }),
    ("accent", ThemeColour { light: (0x2f, 0x6f, 0xd0), dark: (0x7f, 0xb0, 0xff) }),
    ("more", ThemeColour { light: (0xa8, 0x37, 0x1b), dark: (0xff, 0x9a, 0x7d) }),
    ("less", ThemeColour { light: (0x1d, 0x6b, 0x4f), dark: (0x74, 0xd3, 0xab) }),
    ("alert", ThemeColour { light: (0xb3, 0x26, 0x1e), dark: (0xff, 0x8a, 0x80) }),
];

fn variables(of: impl Fn(ThemeColour) -> (u8, u8, u8)) -> String {
    let own = OWN.into_iter().map(|(name, colour)| (name.to_owned(), colour));
    let series = PALETTE.into_iter().enumerate().map(|(index, colour)| (format!("c{index}"), colour));
    let all = own.chain(series).chain([("other".to_owned(), OTHERS)]);
    let all = all.map(|(name, colour)| {
        let (red, green, blue) = of(colour);
        format!("--{name}: #{red:02x}{green:02x}{blue:02x};")
    });
    all.collect::<Vec<_>>().join(" ")
}

/// By which a browser knows the one script and style that it may use.
fn csp_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
