//! QR codes: what an authenticator app's camera reads, for a page and for a terminal.

use qrcode::QrCode;
use qrcode::render::{svg, unicode};
use thiserror::Error;

/// The side of an SVG, in its own units; it scales.
const SVG_SIDE: u32 = 240;

/// The text is longer than a QR code can carry (2,953 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a text of {bytes} bytes is more than a QR code can carry")]
pub struct TooLongForQr {
    /// Its length in bytes.
    pub bytes: usize,
}

/// A QR code as an SVG image: an `<svg>` element that can stand in a page.
///
/// # Errors
/// When the text is too long.
pub fn qr_svg(text: &str) -> Result<String, TooLongForQr> {
    let image = code(text)?.render::<svg::Color<'_>>().min_dimensions(SVG_SIDE, SVG_SIDE).build();
    // The declaration is for a file of its own.
    Ok(image.find("<svg").and_then(|start| image.get(start..)).unwrap_or(&image).to_owned())
}

/// A QR code for a terminal, two rows of it to a line. It is drawn light on dark, as most terminals are, with a border
/// as wide as readers need.
///
/// # Errors
/// When the text is too long.
pub fn qr_terminal(text: &str) -> Result<String, TooLongForQr> {
    // A terminal's letters are light: what has to be light is drawn, what has to be dark is left.
    Ok(code(text)?
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build())
}

fn code(text: &str) -> Result<QrCode, TooLongForQr> {
    QrCode::with_error_correction_level(text, qrcode::EcLevel::L).or(Err(TooLongForQr { bytes: text.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The finder pattern at three corners (ISO/IEC 18004, §6.3.3), and a quiet zone of four modules around.
    #[test]
    fn a_terminal_shows_the_finder_patterns_in_a_quiet_zone() {
        let drawn = qr_terminal("otpauth://totp/Example:root%40pam?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(lines.iter().all(|line| line.len() == width));
        let light = |x: usize, y: usize| matches!((lines[y / 2][x], y % 2), ('█', _) | ('▀', 0) | ('▄', 1));
        for at in 0..4 {
            assert!((0..width).all(|x| light(x, at) && light(at, x) && light(width - 1 - at, x)), "the quiet zone");
        }
        let side = width - 8;
        for (left, top) in [(4, 4), (4 + side - 7, 4), (4, 4 + side - 7)] {
            for y in 0..7 {
                for x in 0..7_usize {
                    let ring = x.abs_diff(3).max(usize::abs_diff(y, 3));
                    assert_eq!(light(left + x, top + y), ring == 2, "at {x}, {y} of the pattern at {left}, {top}");
                }
            }
        }
    }

    #[test]
    fn a_page_gets_one_element_that_scales() {
        let image = qr_svg("otpauth://totp/Example:<script>&\"").unwrap();
        assert!(image.starts_with("<svg ") && image.ends_with("</svg>"), "{image}");
        assert!(image.contains("viewBox=") && !image.contains("<script>"), "{image}");
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        assert!(qr_svg(&"x".repeat(2953)).is_ok());
        assert_eq!(qr_svg(&"x".repeat(2954)), Err(TooLongForQr { bytes: 2954 }));
        assert_eq!(qr_terminal(&"x".repeat(2954)), Err(TooLongForQr { bytes: 2954 }));
    }
}
