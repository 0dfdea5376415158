//! Renders one of our SVG documents as a PNG.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::cli::Size;
use crate::text_metrics::is_covered;

/// Pixels of the PNG for one of the SVG: 150 dpi instead of 96.
pub const SCALE: f32 = 150.0 / 96.0;

/// Renders an SVG document. Searches the system's fonts only if the embedded font lacks characters.
///
/// # Errors
/// If the image is too large for memory.
pub fn render(svg: &str, size: Size) -> Result<Vec<u8>, String> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    if !is_covered(svg) {
        fonts.load_system_fonts();
    }
    let options =
        Options { fontdb: Arc::new(fonts), font_family: "DejaVu Sans".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are at most 10,000")]
    let [width, height] =
        [size.width, size.height].map(|length| (f64::from(length) * f64::from(SCALE)).round() as u32);
    let mut pixmap =
        Pixmap::new(width, height).ok_or_else(|| format!("no memory for {width}x{height} pixels"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| error.to_string())
}
