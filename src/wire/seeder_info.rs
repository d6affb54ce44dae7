//! SeederInfoResponse: who has a file, from a tracker to a client.

use std::fmt;

use crate::ids::{Endpoint, InfoHash};
use crate::limits::ARGUMENTS_MAX;

use super::arguments::{Arguments, Payload, Sink};
use super::{DecodeError, Status};

/// Some of a file's seeders, drawn at random. An error names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeederInfo<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// How the request went.
    pub status: Status,
    /// The seeders, [`ARGUMENTS_MAX`] at most.
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

/// A list of endpoints: a view over a frame's bytes, or over a slice that is to be sent.
#[derive(Clone, Copy)]
pub struct Endpoints<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// One endpoint an argument; all were checked.
    Wire(Arguments<'a>),
    Slice(&'a [Endpoint]),
}

impl<'a> Endpoints<'a> {
    /// No endpoint.
    pub const NONE: Endpoints<'static> = Endpoints(Source::Slice(&[]));

    fn decode(arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let mut unchecked = arguments;
        let mut count = 0;
        while !unchecked.is_empty() {
            unchecked.endpoint()?;
            count += 1;
        }
        if count > ARGUMENTS_MAX {
            return Err(DecodeError::BadArguments("there are too many endpoints"));
        }
        Ok(Self(Source::Wire(arguments)))
    }

    /// The endpoints in order.
    pub fn iter(&self) -> EndpointsIter<'a> {
        EndpointsIter(self.0)
    }

    /// Number of endpoints.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> From<&'a [Endpoint]> for Endpoints<'a> {
    fn from(endpoints: &'a [Endpoint]) -> Self {
        Self(Source::Slice(endpoints))
    }
}

impl<'a> IntoIterator for Endpoints<'a> {
    type Item = Endpoint;
    type IntoIter = EndpointsIter<'a>;

    fn into_iter(self) -> EndpointsIter<'a> {
        self.iter()
    }
}

impl PartialEq for Endpoints<'_> {
    fn eq(&self, other: &Endpoints<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Endpoints<'_> {}

impl fmt::Debug for Endpoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The endpoints of [`Endpoints`], in order.
#[derive(Clone)]
pub struct EndpointsIter<'a>(Source<'a>);

impl Iterator for EndpointsIter<'_> {
    type Item = Endpoint;

    fn next(&mut self) -> Option<Endpoint> {
        match &mut self.0 {
            // Only the end is an error here: the endpoints were checked by `decode`.
            Source::Wire(arguments) => arguments.endpoint().ok(),
            Source::Slice(endpoints) => {
                let (first, rest) = endpoints.split_first()?;
                *endpoints = rest;
                Some(*first)
            }
        }
    }
}
