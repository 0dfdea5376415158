//! Writes an SVG document, directly or as a backend of plotters.
//!
//! The canvas has ten units a pixel, so that lines are smooth. Paths are relative, which halves their size.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use common::stdio::escape_controls;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind};

use crate::colour::{Rgb, hex};
use crate::text_metrics::FONTS;

/// Units of the canvas in a pixel.
pub const UNITS: i32 = 10;

/// The alignment of text to its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text starts there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// A piece of text in one style.
#[derive(Debug, Clone)]
pub struct TextRun<'a> {
    /// The CSS class.
    pub class: String,
    /// The colour.
    pub rgb: Rgb,
    /// The text.
    pub text: &'a str,
}

#[derive(Debug, Default)]
struct Document {
    out: String,
    class: String,
    depth: usize,
    size: (u32, u32),
}

/// An unfinished document. plotters can draw into it. Clones write to the same document.
#[derive(Debug, Clone)]
pub struct SvgWriter(Rc<RefCell<Document>>);

/// Escapes text for XML and HTML, and replaces characters that XML does not allow.
pub fn escape(text: &str) -> String {
    escape_controls(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// Units of the canvas as text in pixels, with at most one decimal.
fn pixels(units: i32) -> String {
    let whole = units / UNITS;
    match units % UNITS {
        0 => whole.to_string(),
        rest => format!("{}{}.{}", if units < 0 { "-" } else { "" }, whole.abs(), rest.abs()),
    }
}

/// Pixels as units of the canvas.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
pub fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round().clamp(-1e6, 1e6) as i32
}

/// A position in pixels as units of the canvas.
pub fn coord((x, y): (f64, f64)) -> BackendCoord {
    (units(x), units(y))
}

impl SvgWriter {
    /// An empty document of `width` by `height` pixels.
    pub fn new(width: u32, height: u32) -> Self {
        let size = [width, height].map(|pixels| pixels.saturating_mul(UNITS.unsigned_abs()));
        Self(Rc::new(RefCell::new(Document { size: size.into(), ..Document::default() })))
    }

    /// Opens the document, of which nothing was written: its title and description also for screen readers, a style sheet, the class and
    /// the colour of the background.
    pub fn open_document(
        &self,
        (width, height): (u32, u32),
        (title, description): (&str, &str),
        css: Option<&str>,
        (class, background): (&str, Rgb),
    ) {
        let (width, height) = (width.to_string(), height.to_string());
        self.open(
            "svg",
            &[
                ("xmlns", "http://www.w3.org/2000/svg"),
                ("width", &width),
                ("height", &height),
                ("viewBox", &format!("0 0 {width} {height}")),
                ("role", "img"),
                ("aria-label", &format!("{title}. {description}")),
                ("font-family", &FONTS.replace('\'', "")),
            ],
        );
        self.element("title", title);
        self.element("desc", description);
        if let Some(css) = css {
            self.style(css);
        }
        let fill = hex(background);
        self.open("rect", &[("class", class), ("width", &width), ("height", &height), ("fill", &fill)]);
        self.close("rect");
    }

    /// Opens an element. Escapes the attributes' values.
    pub fn open(&self, element: &str, attributes: &[(&str, &str)]) {
        let mut document = self.0.borrow_mut();
        let _ = write!(document.out, "<{element}");
        for (name, value) in attributes {
            let _ = write!(document.out, " {name}=\"{}\"", escape(value));
        }
        document.out.push('>');
        document.depth += 1;
    }

    /// Closes an element.
    pub fn close(&self, element: &str) {
        let mut document = self.0.borrow_mut();
        let _ = write!(document.out, "</{element}>");
        document.depth = document.depth.saturating_sub(1);
        if document.depth <= 1 {
            document.out.push('\n');
        }
    }

    /// Writes an element that contains only text.
    pub fn element(&self, element: &str, text: &str) {
        self.open(element, &[]);
        self.0.borrow_mut().out.push_str(&escape(text));
        self.close(element);
    }

    /// Writes a group with these attributes, a tooltip if there is one, and what `content` draws.
    pub fn group(&self, attributes: &[(&str, &str)], tooltip: Option<&str>, content: impl FnOnce()) {
        self.open("g", attributes);
        if let Some(tooltip) = tooltip {
            self.element("title", tooltip);
        }
        content();
        self.close("g");
    }

    /// Writes a style sheet, which must not contain markup.
    pub fn style(&self, css: &str) {
        let _ = writeln!(self.0.borrow_mut().out, "<style>{css}</style>");
    }

    /// Sets the class of the shapes drawn from now on.
    pub fn set_class(&self, class: &str) {
        class.clone_into(&mut self.0.borrow_mut().class);
    }

    /// Writes text with its base line at a position in pixels. A `halo`, of a class and a colour, separates it from lines behind it.
    pub fn text(
        &self,
        (x, y): (f64, f64),
        size: f64,
        anchor: Anchor,
        runs: &[TextRun<'_>],
        halo: Option<(&str, Rgb)>,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let [x, y, size] = [x, y, size].map(|length| pixels(units(length)));
        let mut document = self.0.borrow_mut();
        let out = &mut document.out;
        let _ = write!(out, "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}");
        let mut halo_class = String::new();
        if let Some((class, rgb)) = halo {
            let _ = write!(out, " stroke=\"{}\" stroke-width=\"4\" paint-order=\"stroke\"", hex(rgb));
            halo_class = format!(" {class}");
        }
        if let [TextRun { class, rgb, text }] = runs {
            let (rgb, text) = (hex(*rgb), escape(text));
            let _ = write!(out, " class=\"{class}{halo_class}\" fill=\"{rgb}\">{text}");
        } else {
            out.push_str(" xml:space=\"preserve\">");
            for TextRun { class, rgb, text } in runs {
                let (rgb, text) = (hex(*rgb), escape(text));
                let _ = write!(out, "<tspan class=\"{class}\" fill=\"{rgb}\">{text}</tspan>");
            }
        }
        out.push_str("</text>\n");
    }

    /// Draws a line through points. `width` is in units of the canvas.
    pub fn stroke(&self, points: &[BackendCoord], rgb: Rgb, width: i32) {
        let paint = format!("fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"", hex(rgb), pixels(width));
        self.path(points, false, &paint);
    }

    /// Fills the area within points.
    pub fn fill(&self, points: &[BackendCoord], rgb: Rgb) {
        self.path(points, true, &format!("fill=\"{}\"", hex(rgb)));
    }

    /// Draws a filled circle. The radius is in units of the canvas.
    pub fn circle(&self, (x, y): BackendCoord, radius: i32, rgb: Rgb) {
        let [x, y, radius] = [x, y, radius].map(pixels);
        let mut document = self.0.borrow_mut();
        let Document { out, class, .. } = &mut *document;
        let fill = hex(rgb);
        let _ =
            writeln!(out, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>");
    }

    fn path(&self, points: &[BackendCoord], closed: bool, paint: &str) {
        let Some(data) = path_data(points, closed) else { return };
        let mut document = self.0.borrow_mut();
        let Document { out, class, .. } = &mut *document;
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{data}\" {paint}/>");
    }

    /// Returns the document.
    pub fn finish(&self) -> String {
        std::mem::take(&mut self.0.borrow_mut().out)
    }
}

/// SVG path data with relative commands and without redundant points. `None` if it has no line.
fn path_data(points: &[BackendCoord], closed: bool) -> Option<String> {
    let (&first, rest) = points.split_first()?;
    let mut data = format!("M{} {}", pixels(first.0), pixels(first.1));
    let mut at = first;
    let mut pen = 'M';
    let mut drawn = false;
    let mut rest = rest.iter().copied().peekable();
    // A vertical line needs its ends only.
    while let Some(point) = rest.next() {
        let next = rest.peek().copied();
        let between = |a: i32, b: i32, c: i32| (a <= b && b <= c) || (a >= b && b >= c);
        if point == at
            || next.is_some_and(|next| at.0 == point.0 && point.0 == next.0 && between(at.1, point.1, next.1))
        {
            continue;
        }
        let (dx, dy) = (point.0 - at.0, point.1 - at.1);
        let (command, numbers) = match (dx, dy) {
            (_, 0) => ('h', vec![dx]),
            (0, _) => ('v', vec![dy]),
            _ => ('l', vec![dx, dy]),
        };
        let mut needs_space = command == pen;
        if command != pen {
            data.push(command);
            pen = command;
        }
        for number in numbers {
            let text = pixels(number);
            if needs_space && !text.starts_with('-') {
                data.push(' ');
            }
            data.push_str(&text);
            needs_space = true;
        }
        at = point;
        drawn = true;
    }
    if closed {
        data.push('z');
    }
    drawn.then_some(data)
}

type DrawResult = Result<(), DrawingErrorKind<Infallible>>;

/// Supports opaque lines and areas.
impl DrawingBackend for SvgWriter {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.borrow().size
    }

    fn ensure_prepared(&mut self) -> DrawResult {
        Ok(())
    }

    fn present(&mut self) -> DrawResult {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> DrawResult {
        let (right, bottom) = (x + UNITS, y + UNITS);
        self.fill_polygon([(x, y), (right, y), (right, bottom), (x, bottom)], &color)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> DrawResult {
        // The border of an area is transparent.
        if style.color().alpha > 0.0 {
            let points: Vec<BackendCoord> = path.into_iter().collect();
            self.stroke(&points, style.color().rgb, i32::try_from(style.stroke_width()).unwrap_or(UNITS));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> DrawResult {
        let points: Vec<BackendCoord> = vert.into_iter().collect();
        self.fill(&points, style.color().rgb);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_short() {
        let data = |points: &[BackendCoord], closed| path_data(points, closed);
        assert_eq!(data(&[(0, 0), (10, 0), (10, 0), (10, 55), (0, 0)], true).unwrap(), "M0 0h1v5.5l-1-5.5z");
        assert_eq!(data(&[(0, 100), (5, 90), (12, 95)], false).unwrap(), "M0 10l0.5-1 0.7 0.5");
        assert_eq!(data(&[(0, 0), (0, 10), (0, 30), (0, 20)], false).unwrap(), "M0 0v3-1");
        assert_eq!(data(&[(1, 1)], false), None);
        assert_eq!(data(&[], true), None);
    }

    #[test]
    fn text_is_escaped() {
        let escaped = escape("</text><script>alert('x')</script>&\u{0}\n\u{202e}\u{ffff}\"");
        assert!(!escaped.contains(['<', '>', '"', '\'', '\u{0}', '\n', '\u{202e}', '\u{ffff}']), "{escaped}");
        assert_eq!(escape("名前 🎉 ok"), "名前 🎉 ok");
    }

    #[test]
    fn units_are_tenths_of_a_pixel() {
        assert_eq!([pixels(-5), pixels(10), pixels(-123), pixels(0)], ["-0.5", "1", "-12.3", "0"]);
        assert_eq!((units(1.26), units(-0.04), units(f64::NAN)), (13, 0, 0));
    }
}
