//! Draws a figure as SVG.

mod annotations;
mod data;
mod drawing;
mod label_text;
mod labels;
mod layout;
mod style;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use self::drawing::Drawing;
use self::layout::{Layout, MARGIN};
use self::style::{Role, SUBTITLE, TITLE, dark_mode_css};
use crate::cli::{Size, Theme};
use crate::figure::Figure;
use crate::scale::ValueScale;
use crate::stack;
use crate::svg::{Anchor, SvgWriter};

/// Renders a figure as an SVG document with times in `zone`. The result depends on the arguments only.
#[must_use]
pub fn render(figure: &Figure, size: Size, theme: Theme, zone: &TimeZone) -> String {
    let values = if figure.stacked {
        let segments = stack::segments(&figure.series, |unix_ms| unix_ms);
        let sums = segments.iter().filter_map(|segment| segment.last()).flatten().map(|(_, sum)| *sum);
        ValueScale::for_figure(figure, sums)
    } else {
        ValueScale::for_figure(figure, [])
    };
    let layout = Layout::new(figure, size, values, zone);
    let svg = SvgWriter::new(size.width, size.height);
    let drawing = Drawing { figure, layout: &layout, theme, zone, svg: &svg };
    open_document(&drawing, size);
    drawing.text((MARGIN, 34.0), TITLE, Anchor::Start, Role::Text, &layout.title);
    for (index, line) in layout.subtitle.iter().enumerate() {
        let y = 34.0 + 20.0 + index as f64 * 18.0;
        drawing.text((MARGIN, y), SUBTITLE, Anchor::Start, Role::Muted, line);
    }
    drawing.axes();
    data::draw(&drawing);
    annotations::draw(&drawing);
    labels::draw(&drawing);
    svg.close("svg");
    svg.finish()
}

/// Opens the document: descriptions for screen readers, dark colours, the background.
fn open_document(drawing: &Drawing<'_>, size: Size) {
    let figure = drawing.figure;
    let css = (drawing.theme == Theme::Auto).then(|| {
        let colours: BTreeSet<Option<usize>> =
            figure.series.iter().map(|one| one.colour).chain([None]).collect();
        dark_mode_css(&colours)
    });
    let background = (&*Role::Background.fill(), Role::Background.rgb(drawing.theme));
    drawing.svg.open_document(
        (size.width, size.height),
        (&figure.title, &figure.subtitle_line()),
        css.as_deref(),
        background,
    );
}
