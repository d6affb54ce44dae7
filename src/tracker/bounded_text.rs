//! The text of a refusal, formatted without allocation.

use std::fmt::{self, Display, Write};

use crate::limits::RESPONSE_TEXT_BYTES_MAX;

/// A text cut to the length that a Response may carry.
pub struct BoundedText {
    bytes: [u8; RESPONSE_TEXT_BYTES_MAX],
    len: usize,
}

impl BoundedText {
    /// Formats `text`, cut to the available room.
    pub fn new(text: impl Display) -> Self {
        let mut bounded = Self { bytes: [0; RESPONSE_TEXT_BYTES_MAX], len: 0 };
        // An error only means that the room is used up.
        let _ = write!(bounded, "{text}");
        bounded
    }

    /// The text, cut between characters.
    pub fn as_str(&self) -> &str {
        // Only whole characters were written.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let mut len = text.len().min(room.len());
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        if len == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(BoundedText::new(format_args!("{} of {}", 1, "ä")).as_str(), "1 of ä");
        for (text, len) in [("a".repeat(2000), 1024), ("ä".repeat(600), 1024), ("€".repeat(400), 1023)] {
            let bounded = BoundedText::new(&text);
            assert_eq!(bounded.as_str(), &text[..len]);
        }
    }
}
