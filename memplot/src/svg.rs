//! An SVG document, and the drawing backend of plotters that writes into it.
//!
//! The canvas has ten units a pixel, so that lines have no stairs; paths are relative, as that takes half the bytes. What is
//! drawn bears the class that is set on the [`SvgWriter`] at that time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use common::stdio::escape_controls;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// Units of the canvas in a pixel.
pub const UNITS: i32 = 10;

/// A colour as plotters and SVG have it.
pub type Rgb = (u8, u8, u8);

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// A piece of text in one ink.
#[derive(Debug, Clone, Copy)]
pub struct TextRun<'a> {
    /// Its class.
    pub class: &'a str,
    /// Its colour.
    pub rgb: Rgb,
    /// The text.
    pub text: &'a str,
}

#[derive(Debug, Default)]
struct Document {
    out: String,
    class: String,
    open: usize,
}

/// A document in the making. Clones are the same document.
#[derive(Debug, Clone, Default)]
pub struct SvgWriter(Rc<RefCell<Document>>);

/// Text as XML takes it: nothing in it is markup, and nothing of it is a character that XML does not have.
#[must_use]
pub fn escape(text: &str) -> String {
    let safe = escape_controls(text);
    let mut escaped = String::with_capacity(safe.len());
    for c in safe.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `#332288`.
#[must_use]
pub fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Units of the canvas as pixels, without a point where there is none.
fn pixels(units: i32) -> String {
    let whole = units / UNITS;
    match units % UNITS {
        0 => whole.to_string(),
        part => format!("{}{}.{}", if units < 0 { "-" } else { "" }, whole.abs(), part.abs()),
    }
}

/// Pixels as units of the canvas.
#[must_use]
pub fn units(pixels: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a canvas of 100,000 units")]
    let units = (pixels * f64::from(UNITS)).round().clamp(-1e6, 1e6) as i32;
    units
}

impl SvgWriter {
    /// Begins an element with the attributes given; their values are escaped here.
    pub fn open(&self, element: &str, attributes: &[(&str, &str)]) {
        let mut page = self.0.borrow_mut();
        let _ = write!(page.out, "<{element}");
        for (name, value) in attributes {
            let _ = write!(page.out, " {name}=\"{}\"", escape(value));
        }
        page.out.push('>');
        page.open += 1;
    }

    /// Ends an element.
    pub fn close(&self, element: &str) {
        let mut page = self.0.borrow_mut();
        let _ = write!(page.out, "</{element}>");
        page.open = page.open.saturating_sub(1);
        if page.open <= 1 {
            page.out.push('\n');
        }
    }

    /// A whole element that holds text.
    pub fn element(&self, element: &str, text: &str) {
        self.open(element, &[]);
        self.0.borrow_mut().out.push_str(&escape(text));
        self.close(element);
    }

    /// A style svg of our own making.
    pub fn style(&self, css: &str) {
        let _ = writeln!(self.0.borrow_mut().out, "<style>{css}</style>");
    }

    /// The class of what is drawn from now on.
    pub fn set_class(&self, class: &str) {
        class.clone_into(&mut self.0.borrow_mut().class);
    }

    /// Text at a place in pixels: the base line. A `halo` in the ground's colour keeps it apart from lines below it.
    pub fn text(
        &self,
        (x, y): (f64, f64),
        size: f64,
        anchor: Anchor,
        runs: &[TextRun<'_>],
        halo: Option<TextRun<'_>>,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, size) = (pixels(units(x)), pixels(units(y)), pixels(units(size)));
        let mut page = self.0.borrow_mut();
        let out = &mut page.out;
        let _ = write!(out, "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}");
        if let Some(halo) = halo {
            let _ = write!(out, " stroke=\"{}\" stroke-width=\"4\" paint-order=\"stroke\"", hex(halo.rgb));
        }
        let halo = halo.map(|halo| format!(" {}", halo.class)).unwrap_or_default();
        match runs {
            [ink] => {
                let _ = write!(
                    out,
                    " class=\"{}{halo}\" fill=\"{}\">{}",
                    ink.class,
                    hex(ink.rgb),
                    escape(ink.text)
                );
            }
            runs => {
                out.push_str(" xml:space=\"preserve\">");
                for ink in runs {
                    let (class, rgb, text) = (ink.class, hex(ink.rgb), escape(ink.text));
                    let _ = write!(out, "<tspan class=\"{class}\" fill=\"{rgb}\">{text}</tspan>");
                }
            }
        }
        out.push_str("</text>\n");
    }

    /// The document.
    #[must_use]
    pub fn finish(&self) -> String {
        std::mem::take(&mut self.0.borrow_mut().out)
    }

    fn path(&self, points: &[BackendCoord], closed: bool, attributes: std::fmt::Arguments<'_>) {
        let mut page = self.0.borrow_mut();
        let class = page.class.clone();
        let Some(data) = path_data(points, closed) else { return };
        let _ = writeln!(page.out, "<path class=\"{class}\" d=\"{data}\"{attributes}/>");
    }
}

/// A path as SVG writes it: relative, without points that change nothing. `None` without a line in it.
fn path_data(points: &[BackendCoord], closed: bool) -> Option<String> {
    let (&first, rest) = points.split_first()?;
    let mut data = format!("M{} {}", pixels(first.0), pixels(first.1));
    let mut at = first;
    let mut pen = 'M';
    let mut drawn = false;
    let mut rest = rest.iter().copied().peekable();
    // Points of a straight vertical line say nothing but its ends.
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
        let mut must_part = command == pen;
        if command != pen {
            data.push(command);
            pen = command;
        }
        for number in numbers {
            let text = pixels(number);
            if must_part && !text.starts_with('-') {
                data.push(' ');
            }
            data.push_str(&text);
            must_part = true;
        }
        at = point;
        drawn = true;
    }
    if closed {
        data.push('z');
    }
    drawn.then_some(data)
}

/// What plotters draws with.
#[derive(Debug, Clone)]
pub struct SvgBackend {
    svg: SvgWriter,
    size: (u32, u32),
}

impl SvgBackend {
    /// A canvas of so many pixels on a svg.
    #[must_use]
    pub fn new(svg: &SvgWriter, width: u32, height: u32) -> Self {
        let units = UNITS.unsigned_abs();
        Self { svg: svg.clone(), size: (width.saturating_mul(units), height.saturating_mul(units)) }
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

fn opacity(kind: &str, colour: BackendColor) -> String {
    if colour.alpha < 1.0 { format!(" {kind}-opacity=\"{:.2}\"", colour.alpha) } else { String::new() }
}

impl DrawingBackend for SvgBackend {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + UNITS, y + UNITS), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        if fill {
            self.fill_polygon(corners, style)
        } else {
            self.draw_path(corners.into_iter().chain([(left, top)]), style)
        }
    }

    /// A line as wide as the style says, in units of the canvas.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let colour = style.color();
        if colour.alpha > 0.0 {
            let points: Vec<BackendCoord> = path.into_iter().collect();
            let width = pixels(i32::try_from(style.stroke_width()).unwrap_or(UNITS));
            let opacity = opacity("stroke", colour);
            let rgb = hex(colour.rgb);
            let attributes =
                format_args!(" fill=\"none\" stroke=\"{rgb}\" stroke-width=\"{width}\"{opacity}");
            self.svg.path(&points, false, attributes);
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (x, y) = (pixels(center.0), pixels(center.1));
        let radius = pixels(i32::try_from(radius).unwrap_or(UNITS));
        let paint = if fill { "fill" } else { "stroke" };
        let rest = if fill { "" } else { " fill=\"none\"" };
        let colour = hex(style.color().rgb);
        let mut page = self.svg.0.borrow_mut();
        let class = page.class.clone();
        let _ = writeln!(
            page.out,
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {paint}=\"{colour}\"{rest}/>"
        );
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Drawn {
        let colour = style.color();
        if colour.alpha > 0.0 {
            let points: Vec<BackendCoord> = vert.into_iter().collect();
            let (rgb, opacity) = (hex(colour.rgb), opacity("fill", colour));
            self.svg.path(&points, true, format_args!(" fill=\"{rgb}\"{opacity}"));
        }
        Ok(())
    }

    /// Text as text: held at its beginning, on its base line.
    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Drawn {
        let place = (f64::from(x) / f64::from(UNITS), f64::from(y) / f64::from(UNITS));
        let ink = TextRun { class: "t", rgb: style.color().rgb, text };
        self.svg.text(place, style.size() / f64::from(UNITS), Anchor::Start, &[ink], None);
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
