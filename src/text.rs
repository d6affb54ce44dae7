//! Texts that came from outside, made safe to show: a terminal obeys control characters, and a line's end would make a
//! line that looks like one of ours. Pure.

use std::path::Path;

/// A name for one line: every control character is written as an escape.
pub(crate) fn plain(name: &str) -> String {
    escape(name, |_| false)
}

/// A path for one line; bytes that are no UTF-8 show as replacement characters.
pub(crate) fn path(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// Several lines: every control character but the ends of lines and tabs is written as an escape.
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

/// Marks that turn the direction of writing and so make a name look like another.
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
