//! The page itself, and its Content-Security-Policy: nothing but its own style and script, by their hashes.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// The page.
pub(super) const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>mtorrent</title>\n",
    "<link rel=\"icon\" href=\"data:,\">\n<style>",
    include_str!("page.css"),
    "</style>\n</head>\n<body>\n",
    include_str!("body.html"),
    "<script>",
    include_str!("page.js"),
    "</script>\n</body>\n</html>\n"
);

/// The policy of the page.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let source = |tag| between(PAGE, tag).map(|text| format!(" 'sha256-{}'", base64(&Sha256::digest(text))));
    format!(
        "default-src 'none'; style-src{}; script-src{}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source("style").unwrap_or_default(),
        source("script").unwrap_or_default()
    )
});

/// The text of the only element with this tag.
fn between<'a>(page: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(text, _)| text)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_its_padding() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob\xff\xfe", "Zm9vYv/+")]
        {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn the_page_has_one_style_one_script_and_nothing_else_that_runs() {
        for tag in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(POLICY.contains(&format!("{tag}-src 'sha256-")), "{}", *POLICY);
        }
        // Neither an element nor the script may load, or write what it was sent as HTML.
        for forbidden in [
            "http:",
            "https:",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            " style=",
            " onclick=",
        ] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
