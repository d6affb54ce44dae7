//! StatusRequest and StatusResponse: what a tracker knows, page by page, as JSON for people's tools.

use super::arguments::{Arguments, Payload, Sink};
use super::{Cursor, DecodeError, Status};

/// A page of what a tracker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusPage<'a> {
    /// Outcome of the request.
    pub status: Status,
    /// Start of the next page; `None` behind the last one. A page may be empty and still have a next one.
    pub next: Option<Cursor>,
    /// A JSON object; its keys are documented with the tracker's server. Empty with an error.
    pub json: &'a str,
}

/// Reads the only argument of a StatusRequest: the start of the page.
pub(super) fn decode_request(mut arguments: Arguments<'_>) -> Result<Cursor, DecodeError> {
    let start = Cursor::decode(arguments.bytes()?)?;
    arguments.end()?;
    Ok(start)
}

impl<'a> StatusPage<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let status = arguments.status()?;
        let next = match arguments.bytes()? {
            [] => None,
            bytes => Some(Cursor::decode(bytes)?),
        };
        let json = arguments.text()?;
        arguments.end()?;
        if !status.is_ok() && (next.is_some() || !json.is_empty()) {
            return Err(DecodeError::BadArguments("an error comes with a page"));
        }
        Ok(Self { status, next, json })
    }
}

impl Payload for StatusPage<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.status(self.status);
        match self.next {
            Some(next) => next.write(sink),
            None => sink.bytes(&[]),
        }
        sink.bytes(self.json.as_bytes());
    }
}
