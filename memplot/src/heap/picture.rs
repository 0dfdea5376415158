//! Draws the blocks of an icicle or a treemap as SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::layout::{Area, Placed, icicle};
use super::treemap::treemap;
use super::{Block, BlockKind, Form, HeapFigure};
use crate::cli::{Size, Theme};
use crate::colour::{BACKGROUND, GREW, MUTED, OTHERS, Rgb, SHRANK, TEXT, ThemeColour, for_series, hex};
use crate::figure::{PART_SEPARATOR, Unit};
use crate::format::{change, value, wrap_parts};
use crate::svg::{Anchor, SvgWriter, TextRun};
use crate::text_metrics::{shortened, width};

/// The space around the drawing, in pixels.
const MARGIN: f64 = 24.0;
/// Font sizes of title, subtitle and blocks.
const SIZES: [f64; 3] = [20.0, 13.0, 11.0];
/// Blocks wider than this have a name.
const WITH_NAME: f64 = 24.0;
/// From the top of a block to the base of its name, and from there to that of its size.
const FIRST_LINE: f64 = 14.3;
const NEXT_LINE: f64 = 12.5;
/// From the base of the last line to the end of its letters.
const DESCENT: f64 = 3.0;
/// The fewest letters of a name that is cut.
const LEAST_LETTERS: usize = 6;
/// The width of the line between two blocks.
const EDGE: &str = "0.7";

struct Picture<'a> {
    svg: &'a SvgWriter,
    theme: Theme,
    is_difference: bool,
    /// The dark colour of each class.
    classes: BTreeMap<String, Rgb>,
}

/// Renders the picture. The result depends on the arguments only.
#[must_use]
pub fn render(figure: &HeapFigure, size: Size, theme: Theme) -> String {
    let body = SvgWriter::new(size.width, size.height);
    let inner = f64::from(size.width) - 2.0 * MARGIN;
    let subtitle = wrap_parts(&figure.subtitle, PART_SEPARATOR, |line| width(line, SIZES[1]) <= inner);
    let mut picture =
        Picture { svg: &body, theme, is_difference: figure.is_difference, classes: BTreeMap::new() };
    picture.text((MARGIN, 34.0), SIZES[0], "t", TEXT, &shortened(&figure.title, SIZES[0], inner));
    let mut y = 34.0;
    for line in &subtitle {
        y += 19.0;
        picture.text((MARGIN, y), SIZES[1], "m", MUTED, &shortened(line, SIZES[1], inner));
    }
    let top = y + 16.0;
    let area = Area { x: MARGIN, y: top, width: inner, height: f64::from(size.height) - MARGIN - top };
    let (placed, too_deep) = match figure.form {
        Form::Icicle => icicle(&figure.root, area),
        Form::Treemap => (treemap(&figure.root, area), 0),
    };
    placed.iter().for_each(|placed| picture.block(placed));
    if too_deep > 0 {
        let note = format!("{too_deep} deeper blocks are not drawn: a larger --size has room for them");
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
        let dark = hex(BACKGROUND.dark);
        let mut css = format!("@media (prefers-color-scheme:dark){{.g{{fill:{dark}}}.e{{stroke:{dark}}}");
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

    fn block(&mut self, placed: &Placed<'_>) {
        let &Placed { block, area, hue, .. } = placed;
        let (class, colour) = self.fill(block, hue);
        let fill = hex(if self.theme == Theme::Dark { colour.dark } else { colour.light });
        let number = |number: f64| format!("{number:.1}");
        // Parts have the colour of the block around them.
        self.classes.insert(class.clone(), colour.dark);
        let edge = hex(if self.theme == Theme::Dark { BACKGROUND.dark } else { BACKGROUND.light });
        let attributes = [
            ("class", &*format!("{class} e")),
            ("stroke", &edge),
            ("stroke-width", EDGE),
            ("x", &number(area.x)),
            ("y", &number(area.y)),
            ("width", &number(area.width)),
            ("height", &number(area.height)),
            ("fill", &fill),
        ];
        self.svg.open("rect", &attributes);
        self.svg.element("title", &format!("{}: {}", placed.path, describe(block)));
        self.svg.close("rect");
        if area.width > WITH_NAME {
            self.label(placed);
        }
    }

    /// Writes name and size of a block: in one line, or in two where there is room for the size below the name.
    fn label(&mut self, placed: &Placed<'_>) {
        let &Placed { block, area, label_height, .. } = placed;
        let (room, size) = (area.width - 8.0, describe_short(block));
        let long = format!("{}  {size}", block.label);
        let fits = width(&long, SIZES[2]) <= room;
        let name = if fits { long } else { fitting_name(&block.label, room) };
        let base = area.y + FIRST_LINE;
        let is_readable = fits || name == block.label || name.chars().count() >= LEAST_LETTERS;
        if is_readable && label_height >= FIRST_LINE {
            self.text((area.x + 4.0, base), SIZES[2], "t", TEXT, &name);
            if !fits && label_height >= FIRST_LINE + NEXT_LINE + DESCENT && width(&size, SIZES[2]) <= room {
                self.text((area.x + 4.0, base + NEXT_LINE), SIZES[2], "t", TEXT, &size);
            }
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

/// A name in `room` pixels: of a path or a dotted name that is too long its last part, which says most.
fn fitting_name(name: &str, room: f64) -> String {
    let last = name.rsplit_once('/').or_else(|| name.rsplit_once('.')).map(|(_, last)| format!("…{last}"));
    match last.filter(|_| width(name, SIZES[2]) > room) {
        Some(last) if width(&last, SIZES[2]) <= room => last,
        Some(last) if name.contains('/') => shortened(&last, SIZES[2], room),
        _ => shortened(name, SIZES[2], room),
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
