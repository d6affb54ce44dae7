//! The head of a request, parsed and checked.

use super::response::Response;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};

/// A request of a method that this server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
    /// The path as it was sent, without decoding; it begins with `/`.
    pub path: String,
    /// The text after `?`, without decoding; empty without one.
    pub query: String,
    /// The Host header; `None` from a client of HTTP/1.0.
    pub host: Option<String>,
    /// The Accept header; empty without one.
    pub accept: String,
}

impl Request {
    /// Parses the bytes received so far. `None` if the head is not complete; an error is the refusal to send.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Box<Response>> {
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => Self::of(&head).map(Some),
            Ok(httparse::Status::Partial) if bytes.len() >= HTTP_HEAD_BYTES_MAX => {
                Err(refusal(431, "the head of the request is too long"))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(refusal(431, "the request has too many headers")),
            Err(_) => Err(refusal(400, "this is not a request of HTTP/1.1")),
        }
    }

    fn of(head: &httparse::Request<'_, '_>) -> Result<Self, Box<Response>> {
        let is_head = match head.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => {
                return Err(Box::new(
                    Response::refusal(405, "only GET and HEAD are served").with("Allow", "GET, HEAD"),
                ));
            }
        };
        let target = head.path.filter(|target| target.starts_with('/'));
        let target = target.ok_or_else(|| refusal(400, "the target of the request is not a path"))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut hosts = values(head, "host");
        let host = hosts.next().map(str::to_owned);
        if hosts.next().is_some() || (host.is_none() && head.version == Some(1)) {
            return Err(refusal(400, "the request needs one Host header"));
        }
        let has_body = values(head, "content-length").any(|length| length.trim() != "0")
            || values(head, "transfer-encoding").next().is_some();
        if has_body {
            return Err(refusal(400, "a request with a body is not served"));
        }
        Ok(Self {
            is_head,
            path: path.to_owned(),
            query: query.to_owned(),
            host,
            accept: values(head, "accept").collect::<Vec<_>>().join(", "),
        })
    }
}

/// The values of all headers of this name; one that is no UTF-8 counts as empty.
fn values<'a>(head: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = head.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| str::from_utf8(header.value).unwrap_or_default())
}

fn refusal(status: u16, why: &str) -> Box<Response> {
    Box::new(Response::refusal(status, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(head: &str) -> u16 {
        Request::parse(head.as_bytes()).expect_err(head).status()
    }

    #[test]
    fn a_request_is_read() {
        let head = "GET /peers?id=1&x HTTP/1.1\r\nHost: a:1\r\nACCEPT: text/html\r\nAccept: */*\r\n\r\n";
        let request = Request::parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/peers", "id=1&x"));
        assert_eq!((request.host.as_deref(), request.accept.as_str()), (Some("a:1"), "text/html, */*"));
        for end in 0..head.len() {
            assert_eq!(Request::parse(&head.as_bytes()[..end]).unwrap(), None, "{end}");
        }
        assert!(Request::parse(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().unwrap().is_head);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(status_of("mTor\0\0\0\0"), 400);
        assert_eq!(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
        assert_eq!(status_of("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"), 400);
        assert_eq!(status_of("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
        assert_eq!(status_of(&format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(HTTP_HEADERS_MAX + 1))), 431);
        assert_eq!(status_of(&format!("GET /{}", "a".repeat(HTTP_HEAD_BYTES_MAX))), 431);
    }
}
