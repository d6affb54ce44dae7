//! Share: "here is a file, and I have it", from a client to a tracker.

use crate::filename::check_name;
use crate::geometry::Geometry;
use crate::ids::{Endpoint, InfoHash, Version};

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

/// A file that is shared from now on. Answered by a Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// Its name: one path component, 1 to 255 bytes.
    pub name: &'a str,
    /// Its length, bytes.
    pub length: u64,
    /// Its chunk size, bytes; together with the length a [`Geometry::transferable`] one.
    pub chunk_size: u32,
    /// Where the sender serves it.
    pub endpoint: Endpoint,
    /// The last version that the sender saw for this file.
    pub version: Option<Version>,
}

impl<'a> Share<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let share = Self {
            info_hash: arguments.info_hash()?,
            name: arguments.text()?,
            length: arguments.u64()?,
            chunk_size: arguments.u32()?,
            endpoint: arguments.endpoint()?,
            version: arguments.version()?,
        };
        arguments.end()?;
        check_name(share.name).map_err(|_| NAME)?;
        Geometry::new(share.length, share.chunk_size).and_then(Geometry::transferable).map_err(|_| GEOMETRY)?;
        Ok(share)
    }
}

const NAME: DecodeError = DecodeError::BadArguments("the file name is not one path component of 1 to 255 bytes");
const GEOMETRY: DecodeError =
    DecodeError::BadArguments("the chunk size is not a power of two from 16 KiB to 16 MiB, or too small for the file");

impl Payload for Share<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.bytes(self.name.as_bytes());
        sink.bytes(&self.length.to_be_bytes());
        sink.u32(self.chunk_size);
        sink.endpoint(self.endpoint);
        sink.version(self.version);
    }
}
