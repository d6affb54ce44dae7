//! An answer that is sent in one piece.

use std::fmt::Write as _;

/// The policy of answers that are no page: a browser that shows one loads and runs nothing.
const CSP_NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// An answer that is sent in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    status: u16,
    content_type: &'static str,
    csp: &'static str,
    header: Option<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Response {
    /// An answer of this media type.
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, csp: CSP_NOTHING, header: None, body: body.into() }
    }

    /// A plain text for a person or a program.
    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// A page with its Content-Security-Policy.
    pub(crate) fn html(body: impl Into<Vec<u8>>, csp: &'static str) -> Self {
        Self { csp, ..Self::new(200, "text/html; charset=utf-8", body) }
    }

    /// A refusal with one sentence.
    pub(super) fn refusal(status: u16, why: &str) -> Self {
        Self::text(status, format!("{why}\n"))
    }

    /// The same answer with one more header.
    pub(super) fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The status code.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The bytes to send; only the head of them for a HEAD request.
    pub(super) fn into_bytes(self, is_head: bool) -> Vec<u8> {
        let mut head = head(self.status, self.content_type, self.csp);
        if let Some((name, value)) = self.header {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The head of a stream of events.
pub(super) fn event_stream_head() -> Vec<u8> {
    let mut head = head(200, "text/event-stream", CSP_NOTHING);
    head.push_str("\r\n");
    head.into_bytes()
}

/// The head up to the headers that all answers have.
fn head(status: u16, content_type: &str, csp: &str) -> String {
    format!(
        "HTTP/1.1 {status} {}\r\n\
         Content-Type: {content_type}\r\n\
         Content-Security-Policy: {csp}\r\n\
         X-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\n\
         Referrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Cache-Control: no-store\r\n\
         Connection: close\r\n",
        reason(status)
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
