//! Cursor: the start of a page of sync.

use crate::wire::DecodeError;
use crate::wire::arguments::Sink;

/// Number of buckets of a table; the first 12 bits of the info hash select the bucket.
pub const SYNC_BUCKETS: usize = 4096;
/// Length of a cursor, bytes.
const CURSOR_LEN: usize = 10;

/// Start of a page: a bucket, and the entries to skip in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Index of the bucket, below 4,096.
    pub bucket: u16,
    /// Position in the answering tracker's own order of records; 0 at the bucket's start.
    pub tag: u32,
    /// Number of entries to skip from there.
    pub skip: u32,
}

impl Cursor {
    pub(in crate::wire) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: [u8; CURSOR_LEN] = bytes.try_into().map_err(|_| CURSOR)?;
        let [b0, b1, t0, t1, t2, t3, s0, s1, s2, s3] = bytes;
        let bucket = u16::from_be_bytes([b0, b1]);
        if usize::from(bucket) >= SYNC_BUCKETS {
            return Err(CURSOR);
        }
        Ok(Self { bucket, tag: u32::from_be_bytes([t0, t1, t2, t3]), skip: u32::from_be_bytes([s0, s1, s2, s3]) })
    }

    pub(in crate::wire) fn write(self, sink: &mut impl Sink) {
        sink.size(CURSOR_LEN);
        sink.raw(&self.bucket.to_be_bytes());
        sink.raw(&self.tag.to_be_bytes());
        sink.raw(&self.skip.to_be_bytes());
    }
}

const CURSOR: DecodeError =
    DecodeError::BadArguments("the cursor does not have 10 bytes, or is behind the last bucket");
