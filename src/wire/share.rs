//! Share: a client announces to a tracker a file that it has.

use crate::filename::check_name;
use crate::geometry::Geometry;
use crate::ids::{Endpoint, InfoHash, Version};

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

/// Announcement of a shared file. Answered by a Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Name of the file: one path component, 1 to 255 bytes.
    pub name: &'a str,
    /// Length of the file, bytes.
    pub length: u64,
    /// Chunk size, bytes; together with the length a [`Geometry::transferable`] one.
    pub chunk_size: u32,
    /// Endpoint at which the sender serves the file.
    pub endpoint: Endpoint,
    /// The last version that the sender received for this file.
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
