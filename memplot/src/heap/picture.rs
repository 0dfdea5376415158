//! Draws the icicle as SVG: the whole at the top, its parts below, as wide as they are large.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Block, BlockKind, HeapFigure};
use crate::cli::{Size, Theme};
use crate::colour::{
    BACKGROUND, GREW, MUTED, OTHERS, Rgb, SHRANK, TEXT, ThemeColour, for_series, hex, preferred,
};
use crate::figure::{PART_SEPARATOR, Unit};
use crate::format::{change, value, wrap_parts};
use crate::svg::{Anchor, SvgWriter, TextRun};
use crate::text_metrics::{shortened, width};

/// The space around the drawing, in pixels.
const MARGIN: f64 = 24.0;
/// The height of a level.
const ROW: f64 = 21.0;
/// Font sizes of title, subtitle and blocks.
const SIZES: [f64; 3] = [20.0, 13.0, 11.0];
/// A block narrower than this is not drawn: it would be less than a line.
const NARROWEST: f64 = 0.4;
/// Blocks wider than this have a name.
const WITH_NAME: f64 = 24.0;
/// The space between two blocks.
const GAP: f64 = 0.6;

struct Picture<'a> {
    svg: &'a SvgWriter,
    theme: Theme,
    is_difference: bool,
    bottom: f64,
    /// The dark colour of each class.
    classes: BTreeMap<String, Rgb>,
    too_deep: usize,
}

/// Renders the icicle. The result depends on the arguments only.
#[must_use]
pub fn render(figure: &HeapFigure, size: Size, theme: Theme) -> String {
    let body = SvgWriter::new(size.width, size.height);
    let inner = f64::from(size.width) - 2.0 * MARGIN;
    let subtitle = wrap_parts(&figure.subtitle, PART_SEPARATOR, |line| width(line, SIZES[1]) <= inner);
    let mut picture = Picture {
        svg: &body,
        theme,
        is_difference: figure.is_difference,
        bottom: f64::from(size.height) - MARGIN,
        classes: BTreeMap::new(),
        too_deep: 0,
    };
    picture.text((MARGIN, 34.0), SIZES[0], "t", TEXT, &shortened(&figure.title, SIZES[0], inner));
    let mut y = 34.0;
    for line in &subtitle {
        y += 19.0;
        picture.text((MARGIN, y), SIZES[1], "m", MUTED, &shortened(line, SIZES[1], inner));
    }
    let scale = inner / figure.root.width().max(1) as f64;
    picture.block(&figure.root, (MARGIN, y + 16.0), scale, None, "");
    if picture.too_deep > 0 {
        let note =
            format!("{} deeper blocks are not drawn: a larger --size has room for them", picture.too_deep);
        picture.text((MARGIN, f64::from(size.height) - 8.0), SIZES[2], "m", MUTED, &note);
    }
    document(figure, size, theme, &picture.classes, &body.finish())
}

fn document(
    figure: &HeapFigure,
    size: Size,
    theme: Theme,
    classes: &BTreeMap<String, Rgb>,
    body: &str,
) -> String {
    let svg = SvgWriter::new(size.width, size.height);
    let background = if theme == Theme::Dark { BACKGROUND.dark } else { BACKGROUND.light };
    let css = (theme == Theme::Auto).then(|| {
        let mut css = format!("@media (prefers-color-scheme:dark){{.g{{fill:{}}}", hex(BACKGROUND.dark));
        for (class, rgb) in classes {
            let _ = write!(css, ".{class}{{fill:{}}}", hex(*rgb));
        }
        css.push('}');
        css
    });
    svg.open_document(
        (size.width, size.height),
        (&figure.title, &figure.subtitle.join(PART_SEPARATOR)),
        css.as_deref(),
        ("g", background),
    );
    format!("{}{body}</svg>\n", svg.finish())
}

impl Picture<'_> {
    fn text(&mut self, at: (f64, f64), size: f64, class: &str, colour: ThemeColour, text: &str) {
        self.classes.insert(class.to_owned(), colour.dark);
        let rgb = if self.theme == Theme::Dark { colour.dark } else { colour.light };
        self.svg.text(at, size, Anchor::Start, &[TextRun { class: class.to_owned(), rgb, text }], None);
    }

    /// Draws a block and its parts. `hue` is that of the module, `path` the names above.
    fn block(&mut self, block: &Block, (x, y): (f64, f64), scale: f64, hue: Option<usize>, path: &str) {
        let wide = block.width() as f64 * scale;
        if wide < NARROWEST {
            return;
        }
        if y + ROW > self.bottom {
            self.too_deep = self.too_deep.saturating_add(1);
            return;
        }
        let hue = hue.or_else(|| (block.kind == BlockKind::Module).then(|| preferred(&block.name)));
        let (class, colour) = self.fill(block, hue);
        self.classes.insert(class.clone(), colour.dark);
        let path = if path.is_empty() { block.name.clone() } else { format!("{path} → {}", block.label) };
        let fill = hex(if self.theme == Theme::Dark { colour.dark } else { colour.light });
        let number = |number: f64| format!("{number:.1}");
        let attributes = [
            ("class", &*class),
            ("x", &number(x)),
            ("y", &number(y)),
            ("width", &number((wide - GAP).max(GAP))),
            ("height", &number(ROW - GAP)),
            ("fill", &fill),
        ];
        self.svg.open("rect", &attributes);
        self.svg.element("title", &format!("{path}: {}", describe(block)));
        self.svg.close("rect");
        if wide > WITH_NAME {
            let room = wide - 8.0;
            let long = format!("{}  {}", block.label, describe_short(block));
            let fits = width(&long, SIZES[2]) <= room;
            let text = if fits { long } else { shortened(&block.label, SIZES[2], room) };
            if text.chars().count() > 2 {
                self.text((x + 4.0, y + ROW * 0.68), SIZES[2], "t", TEXT, &text);
            }
        }
        let mut at = x;
        for part in &block.parts {
            self.block(part, (at, y + ROW), scale, hue, &path);
            at += part.width() as f64 * scale;
        }
    }

    /// The colour of a block, and its class.
    fn fill(&self, block: &Block, hue: Option<usize>) -> (String, ThemeColour) {
        if self.is_difference {
            let change = block.change().unwrap_or(0);
            let larger = block.now.bytes.max(block.before.unwrap_or_default().bytes).max(1);
            // Sixteen steps are as many as an eye can distinguish.
            let steps = (change.unsigned_abs() as f64 / larger as f64 * 16.0).ceil();
            let (letter, colour) = if change > 0 { ('r', GREW) } else { ('b', SHRANK) };
            if change == 0 {
                return ("n".to_owned(), tint(OTHERS, 0.18));
            }
            return (format!("{letter}{steps:.0}"), tint(colour, 0.1 + 0.05 * steps));
        }
        match (block.kind, hue) {
            (BlockKind::Whole | BlockKind::Omitted | BlockKind::Rest, _) | (_, None) => {
                ("n".to_owned(), tint(OTHERS, 0.3))
            }
            (BlockKind::Module, Some(hue)) => (format!("m{hue}"), tint(for_series(Some(hue)), 0.5)),
            (BlockKind::Holder, Some(hue)) => (format!("h{hue}"), tint(for_series(Some(hue)), 0.38)),
            (BlockKind::Type, Some(hue)) => (format!("k{hue}"), tint(for_series(Some(hue)), 0.2)),
        }
    }
}

/// A colour mixed with the background, so that text on it can be read.
fn tint(colour: ThemeColour, part: f64) -> ThemeColour {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    let mix = |a: u8, b: u8| (f64::from(a) * part + f64::from(b) * (1.0 - part)).round() as u8;
    let both = |a: Rgb, b: Rgb| (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2));
    ThemeColour { light: both(colour.light, BACKGROUND.light), dark: both(colour.dark, BACKGROUND.dark) }
}

/// Size, change and number of objects.
fn describe(block: &Block) -> String {
    let mut text = describe_short(block);
    if block.change().is_some() {
        let _ = write!(text, ", now {}", value(Unit::Bytes, block.now.bytes as f64));
    }
    if block.now.objects > 0 {
        let _ = write!(text, ", {}", common::units::counted(block.now.objects, "object", "objects"));
    }
    text
}

fn describe_short(block: &Block) -> String {
    match block.change() {
        Some(by) => change(Unit::Bytes, by as f64),
        None => value(Unit::Bytes, block.now.bytes as f64),
    }
}
