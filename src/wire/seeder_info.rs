//! SeederInfoResponse: the seeders of a file, from a tracker to a client.

use crate::ids::InfoHash;

use super::arguments::{Arguments, Payload, Sink};
use super::endpoints::Endpoints;
use super::{DecodeError, Status};

/// Some of a file's seeders, selected at random. Empty in case of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeederInfo<'a> {
    /// Identity of the file.
    pub info_hash: InfoHash,
    /// Outcome of the request.
    pub status: Status,
    /// The seeders, [`crate::limits::ARGUMENTS_MAX`] at most.
    pub endpoints: Endpoints<'a>,
}

impl<'a> SeederInfo<'a> {
    pub(super) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let info_hash = arguments.info_hash()?;
        let status = arguments.status()?;
        let endpoints = Endpoints::decode(arguments)?;
        if !status.is_ok() && !endpoints.is_empty() {
            return Err(DecodeError::BadArguments("an error comes with endpoints"));
        }
        Ok(Self { info_hash, status, endpoints })
    }
}

impl Payload for SeederInfo<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.info_hash.0);
        sink.status(self.status);
        self.endpoints.iter().for_each(|endpoint| sink.endpoint(endpoint));
    }
}
