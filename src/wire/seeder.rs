//! AddSeeder and RemoveSeeder: one endpoint is added to or removed from a file's list at a tracker.

use crate::ids::{Endpoint, InfoHash, Version};

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

/// A change to a file's list of seeders. Answered by a Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeederChange {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// The endpoint that serves the file, or no longer does.
    pub endpoint: Endpoint,
    /// The last version that the sender received for this file.
    pub version: Option<Version>,
}

impl SeederChange {
    pub(super) fn decode(mut arguments: Arguments<'_>) -> Result<Self, DecodeError> {
        let change =
            Self { info_hash: arguments.info_hash()?, endpoint: arguments.endpoint()?, version: arguments.version()? };
        arguments.end()?;
        Ok(change)
    }
}

impl Payload for SeederChange {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.endpoint(self.endpoint);
        sink.version(self.version);
    }
}
