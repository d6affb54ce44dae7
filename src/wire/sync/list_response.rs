//! SyncSeederListResponse: a page of entries that differ.

use super::cursor::Cursor;
use super::entries::Entries;
use crate::wire::arguments::{Arguments, Payload, Sink};
use crate::wire::{DecodeError, Status};

/// A page of entries that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListResponse<'a> {
    /// Outcome of the request.
    pub status: Status,
    /// Start of the next page; `None` when all buckets of the request are done.
    pub next: Option<Cursor>,
    /// The entries.
    pub entries: Entries<'a>,
}

impl<'a> ListResponse<'a> {
    pub(in crate::wire) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let status = arguments.status()?;
        let next = match arguments.bytes()? {
            [] => None,
            bytes => Some(Cursor::decode(bytes)?),
        };
        let entries = Entries::decode(arguments)?;
        if !status.is_ok() && (next.is_some() || !entries.is_empty()) {
            return Err(DecodeError::BadArguments("an error comes with entries"));
        }
        Ok(Self { status, next, entries })
    }
}

impl Payload for ListResponse<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.status(self.status);
        match self.next {
            Some(next) => next.write(sink),
            None => sink.bytes(&[]),
        }
        sink.raw(self.entries.0.rest());
    }
}
