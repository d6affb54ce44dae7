//! External text, made safe to print: a terminal obeys control characters, and an embedded line break would start a
//! line that looks like one of ours. Pure.

use std::path::Path;

/// Formats a name for one line: every control character is escaped.
pub(crate) fn plain(name: &str) -> String {
    escape(name, |_| false)
}

/// Formats a path for one line; bytes that are not UTF-8 become replacement characters.
pub(crate) fn path(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// Formats several lines: every control character except line breaks and tabs is escaped.
pub(crate) fn lines(text: &str) -> String {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if (character.is_control() || is_direction(character)) && !keep(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether the character is a mark that changes the direction of writing, and so can make a name look like another.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_one_line() {
        for (name, shown) in [
            ("plain ü 名.iso", "plain ü 名.iso"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
        ] {
            assert_eq!(plain(name), shown);
        }
        assert_eq!(lines("a\tb\nc\r"), "a\tb\nc\\r");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(text: String) {
            prop_assert!(!plain(&text).chars().any(char::is_control));
            prop_assert_eq!(lines(&text).matches('\n').count(), text.matches('\n').count());
        }
    }
}
