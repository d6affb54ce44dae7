//! The answer of a tracker to a request.

use crate::ids::{Endpoint, Version};
use crate::wire::Status;

/// A tracker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Answer to SeederInfoRequest.
    Seeders {
        /// Status of the request.
        status: Status,
        /// Endpoints that seed the file.
        endpoints: Vec<Endpoint>,
    },
    /// Answer to all other requests, or an error answer to any request.
    Response {
        /// Status of the request.
        status: Status,
        /// Message for the user.
        text: String,
        /// Version that the tracker assigned to the change.
        version: Option<Version>,
    },
}

impl Answer {
    /// Returns the status of the request.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Seeders { status, .. } | Self::Response { status, .. } => *status,
        }
    }

    /// Returns the tracker's message for the user; empty in an answer with seeders.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Seeders { .. } => "",
            Self::Response { text, .. } => text,
        }
    }

    /// Returns the version that the tracker assigned to the change.
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            Self::Seeders { .. } => None,
            Self::Response { version, .. } => *version,
        }
    }
}
