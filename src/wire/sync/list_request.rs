//! SyncSeederListRequest: requests the entries of buckets that differ.

use super::cursor::{Cursor, SYNC_BUCKETS};
use super::digests::{DIGEST_LEN, Digests};
use crate::limits::REPAIR_BUCKETS_MAX;
use crate::wire::DecodeError;
use crate::wire::arguments::{Arguments, Payload, Sink};

/// Requests the entries that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRequest<'a> {
    /// Start of the page.
    pub start: Cursor,
    /// Entries that end at this time or before are left out of the digests, milliseconds since 1970.
    pub cut_off_ms: u64,
    /// Digests of the requesting tracker, starting with the start's bucket.
    pub digests: Digests<'a>,
}

impl<'a> ListRequest<'a> {
    pub(in crate::wire) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let start = Cursor::decode(arguments.bytes()?)?;
        let cut_off_ms = arguments.u64()?;
        let bytes = arguments.bytes()?;
        if !bytes.len().is_multiple_of(DIGEST_LEN) {
            return Err(DIGESTS);
        }
        arguments.end()?;
        let digests = Digests::from_wire(bytes);
        if digests.len() > REPAIR_BUCKETS_MAX || usize::from(start.bucket) + digests.len() > SYNC_BUCKETS {
            return Err(DIGESTS);
        }
        Ok(Self { start, cut_off_ms, digests })
    }
}

impl Payload for ListRequest<'_> {
    fn write(&self, sink: &mut impl Sink) {
        self.start.write(sink);
        sink.bytes(&self.cut_off_ms.to_be_bytes());
        sink.size(DIGEST_LEN * self.digests.len());
        self.digests.iter().for_each(|digest| sink.raw(&digest.to_be_bytes()));
    }
}

const DIGESTS: DecodeError =
    DecodeError::BadArguments("the digests do not have 16 bytes each, or are too many for one request");
