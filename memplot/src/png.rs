//! Renders one of our SVG documents as a PNG.

use std::collections::BTreeSet;
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{FontResolver, Options, Tree, fontdb};
use skrifa::{FontRef, MetadataProvider};
use unicode_width::UnicodeWidthChar;

use crate::cli::Size;
use crate::text_metrics::is_covered;

/// Pixels of the PNG for one of the SVG: 150 dpi instead of 96.
pub const SCALE: f32 = 150.0 / 96.0;

/// Families of plain letters, and families of others, by words in their names: names of types are read best without ornaments.
const PLAIN: [&str; 3] = ["sans", "gothic", "hei"];
const OTHER: [&str; 6] = ["serif", "mincho", "ming", "song", "mono", "unifont"];

/// A rendered document.
#[derive(Debug)]
pub struct Png {
    /// The file.
    pub bytes: Vec<u8>,
    /// Characters that no font of the system has: they are boxes.
    pub missing: BTreeSet<char>,
}

/// Renders an SVG document. Searches the system's fonts only if the embedded font lacks characters.
///
/// # Errors
/// If the image is too large for memory.
pub fn render(svg: &str, size: Size) -> Result<Png, String> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    if !is_covered(svg) {
        fonts.load_system_fonts();
    }
    // Only what is drawn counts; a character that the embedded font has needs no other.
    let lacking = svg.chars().filter(|character| !is_covered(character.encode_utf8(&mut [0; 4])));
    let drawn: BTreeSet<char> = lacking.filter(|one| one.width().is_some_and(|width| width > 0)).collect();
    let missing = drawn.into_iter().filter(|&one| fallback(one, &[], &fonts).is_none()).collect();
    let select_fallback = |character: char, tried: &[fontdb::ID], fonts: &mut Arc<fontdb::Database>| {
        fallback(character, tried, fonts)
    };
    let options = Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".to_owned(),
        font_resolver: FontResolver { select_fallback: Box::new(select_fallback), ..FontResolver::default() },
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are at most 10,000")]
    let [width, height] =
        [size.width, size.height].map(|length| (f64::from(length) * f64::from(SCALE)).round() as u32);
    let mut pixmap =
        Pixmap::new(width, height).ok_or_else(|| format!("no memory for {width}x{height} pixels"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixmap.as_mut());
    let bytes = pixmap.encode_png().map_err(|error| error.to_string())?;
    Ok(Png { bytes, missing })
}

/// The font for a character that those tried so far lack: one of plain letters if there is one.
fn fallback(character: char, tried: &[fontdb::ID], fonts: &fontdb::Database) -> Option<fontdb::ID> {
    let candidates = fonts.faces().filter(|face| !tried.contains(&face.id));
    candidates.filter(|face| has(fonts, face.id, character)).min_by_key(|face| rank(face)).map(|face| face.id)
}

fn has(fonts: &fontdb::Database, face: fontdb::ID, character: char) -> bool {
    let in_face = |data: &[u8], index| {
        FontRef::from_index(data, index).is_ok_and(|font| font.charmap().map(character).is_some())
    };
    fonts.with_face_data(face, in_face).unwrap_or(false)
}

/// How unlike plain letters a face is: by its family, its slant, and its weight.
fn rank(face: &fontdb::FaceInfo) -> (u8, bool, u16) {
    let family = face.families.first().map(|(name, _)| name.to_lowercase()).unwrap_or_default();
    let has_any = |words: &[&str]| words.iter().any(|word| family.contains(word));
    let kind = match (has_any(&OTHER), has_any(&PLAIN)) {
        (true, _) => 2,
        (false, true) => 0,
        (false, false) => 1,
    };
    (kind, face.style != fontdb::Style::Normal, face.weight.0.abs_diff(fontdb::Weight::NORMAL.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_letters_come_first() {
        let face = |family: &str, weight: u16| fontdb::FaceInfo {
            id: fontdb::ID::dummy(),
            source: fontdb::Source::Binary(Arc::new(Vec::new())),
            index: 0,
            families: vec![(family.to_owned(), fontdb::Language::English_UnitedStates)],
            post_script_name: String::new(),
            style: fontdb::Style::Normal,
            weight: fontdb::Weight(weight),
            stretch: fontdb::Stretch::Normal,
            monospaced: false,
        };
        let mut all = [
            face("Noto Serif CJK SC", 400),
            face("Unifont", 400),
            face("Noto Sans Mono CJK SC", 400),
            face("Noto Sans CJK SC", 900),
            face("Noto Sans CJK SC", 400),
            face("Some Letters", 400),
        ];
        all.sort_by_key(rank);
        let names = all.iter().map(|face| (face.families[0].0.as_str(), face.weight.0));
        let first: Vec<_> = names.take(3).collect();
        assert_eq!(first, [("Noto Sans CJK SC", 400), ("Noto Sans CJK SC", 900), ("Some Letters", 400)]);
    }

    #[test]
    fn missing_characters_are_known() {
        let svg = |text: &str| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' width='320' height='200'><text y='20'>{text}</text></svg>"
            )
        };
        let size = Size { width: 320, height: 200 };
        assert!(render(&svg("dict"), size).unwrap().missing.is_empty());
        // Characters that no standard assigns.
        let private = render(&svg("dict \u{10fffd}\u{10fffc}"), size).unwrap().missing;
        assert_eq!(private.into_iter().collect::<Vec<_>>(), ['\u{10fffc}', '\u{10fffd}']);
    }
}
