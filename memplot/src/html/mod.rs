//! Renders a figure as one HTML page that needs no network.
//!
//! A content security policy allows only our own script and style, whatever names the data contain.

mod data;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::cli::Theme;
use crate::colour::{ALERT, BACKGROUND, GREW, MUTED, OTHERS, PALETTE, Rgb, SHRANK, TEXT, ThemeColour, hex};
use crate::figure::Figure;
use crate::svg::escape;

/// The parts of the script. Each uses the ones before it.
const SCRIPTS: [&str; 7] = [
    include_str!("scale.js"),
    include_str!("model.js"),
    include_str!("chart.js"),
    include_str!("labels.js"),
    include_str!("cursor.js"),
    include_str!("table.js"),
    include_str!("page.js"),
];

/// The elements that the script fills.
const BODY: &str = include_str!("body.html");

/// Renders a figure as a page. The result depends on the arguments and the time zone only.
#[must_use]
pub fn render(figure: &Figure, theme: Theme) -> String {
    render_with("", figure, theme)
}

/// Renders a figure below a report, whose elements are given.
#[must_use]
pub(crate) fn render_with(report: &str, figure: &Figure, theme: Theme) -> String {
    page(&Page {
        title: &figure.title,
        subtitle: &figure.subtitle_line(),
        theme,
        report,
        body: BODY,
        scripts: &SCRIPTS,
        css: include_str!("page.css"),
        data: &for_script(&data::json(figure)),
    })
}

/// A page that needs no network.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// Its title, as plain text.
    pub title: &'a str,
    /// The line below.
    pub subtitle: &'a str,
    /// Its colours.
    pub theme: Theme,
    /// The elements of the report above them; empty for none.
    pub report: &'a str,
    /// Its elements.
    pub body: &'a str,
    /// The parts of its script.
    pub scripts: &'a [&'a str],
    /// Its style sheet.
    pub css: &'a str,
    /// Its data, as JSON for a script element.
    pub data: &'a str,
}

/// JSON for a script element: escapes everything that could end the element or start a comment.
pub(crate) fn for_script(json: &str) -> String {
    // JSON has these characters in strings only, where the escape means the same.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Writes a page, whose policy allows its own script and style only.
pub(crate) fn page(page: &Page<'_>) -> String {
    let Page { report, body, data, .. } = page;
    let script = format!(
        "\"use strict\";\n(() => {{\nconst data = JSON.parse(document.getElementById(\"data\").textContent);\n{}}})();\n",
        page.scripts.join("\n")
    );
    let report_css = if report.is_empty() { "" } else { include_str!("../report/report.css") };
    let style = style(page.css, report_css);
    let title = escape(page.title);
    let subtitle = escape(page.subtitle);
    let theme = match page.theme {
        Theme::Auto => "",
        Theme::Light => " data-theme=\"light\"",
        Theme::Dark => " data-theme=\"dark\"",
    };
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        csp_hash(&script),
        csp_hash(&style)
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"{theme}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"memplot\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p>{subtitle}</p>\n</header>\n{report}{body}\
         <footer>Times are in the time zone {zone}.</footer>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n",
        zone = escape(data::zone_name()),
    )
}

/// The colours of both themes, and the style sheet that uses them.
fn style(css: &str, report_css: &str) -> String {
    let (light, dark) = (variables(|colour| colour.light), variables(|colour| colour.dark));
    format!(
        "\n:root {{ {light} }}\n\
         @media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ {dark} }} }}\n\
         :root[data-theme=\"dark\"] {{ {dark} }}\n{css}{report_css}"
    )
}

/// The colours of the page beside those of the series.
const COLOURS: [(&str, ThemeColour); 13] = [
    ("ink", TEXT),
    ("paper", BACKGROUND),
    ("faint", MUTED),
    ("axis", ThemeColour { light: (0x9a, 0xa1, 0xaa), dark: (0x66, 0x70, 0x7b) }),
    ("grid", ThemeColour { light: (0xe6, 0xe8, 0xeb), dark: (0x27, 0x2d, 0x35) }),
    ("line", ThemeColour { light: (0xcf, 0xd3, 0xd8), dark: (0x3d, 0x45, 0x4f) }),
    ("raised", ThemeColour { light: (0xf1, 0xf3, 0xf5), dark: (0x22, 0x28, 0x30) }),
    ("accent", ThemeColour { light: (0x2f, 0x6f, 0xd0), dark: (0x7f, 0xb0, 0xff) }),
    ("more", ThemeColour { light: (0xa8, 0x37, 0x1b), dark: (0xff, 0x9a, 0x7d) }),
    ("less", ThemeColour { light: (0x1d, 0x6b, 0x4f), dark: (0x74, 0xd3, 0xab) }),
    ("alert", ALERT),
    ("grew", GREW),
    ("shrank", SHRANK),
];

fn variables(of_theme: impl Fn(ThemeColour) -> Rgb) -> String {
    let mut css = String::new();
    let mut add = |name: &str, colour| {
        let _ = write!(css, "--{name}: {}; ", hex(of_theme(colour)));
    };
    COLOURS.into_iter().for_each(|(name, colour)| add(name, colour));
    PALETTE.into_iter().enumerate().for_each(|(index, colour)| add(&format!("c{index}"), colour));
    add("other", OTHERS);
    css
}

/// The hash by which the policy identifies a script or style.
fn csp_hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
