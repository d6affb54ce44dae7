//! Shared parts of the SVG pictures.

/// The colour of texts and lines.
pub const INK: &str = "#222222";

/// A picture of `width` by `height` pixels with `content` on white.
pub fn svg(width: f64, height: f64, font_size: u32, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"{font_size}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n{content}</svg>\n"
    )
}

/// The text with the special characters of SVG escaped.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
