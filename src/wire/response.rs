//! Response: the answer to messages without a response of their own, and to any that cannot be served.

use crate::ids::Version;
use crate::limits::RESPONSE_TEXT_BYTES_MAX;

use super::arguments::{Arguments, Payload, Sink};
use super::{DecodeError, Status};

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Outcome as one byte.
    pub status: Status,
    /// Text for people; code that prints it escapes control characters.
    pub text: &'a str,
    /// The version that the tracker assigned to the change.
    pub version: Option<Version>,
}

impl<'a> Response<'a> {
    /// Creates a response with as much of `text` as senders may write, [`RESPONSE_TEXT_BYTES_MAX`] bytes.
    ///
    /// Receivers accept any text that fits into a frame.
    pub fn new(status: Status, text: &'a str, version: Option<Version>) -> Self {
        let mut end = text.len().min(RESPONSE_TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self { status, text: &text[..end], version }
    }

    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let response = Self { status: arguments.status()?, text: arguments.text()?, version: arguments.version()? };
        arguments.end()?;
        Ok(response)
    }
}

impl From<DecodeError> for Response<'static> {
    /// The answer to a frame that is not a message.
    fn from(error: DecodeError) -> Self {
        Self::new(error.status(), error.text(), None)
    }
}

impl Payload for Response<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.status(self.status);
        sink.bytes(self.text.as_bytes());
        sink.version(self.version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        for (text, len) in [("a".repeat(2000), 1024), ("ä".repeat(600), 1024), ("€".repeat(400), 1023)] {
            assert_eq!(Response::new(Status::Ok, &text, None).text.len(), len);
        }
    }
}
