//! What a tracker answered to a request.

use crate::ids::{Endpoint, Version};
use crate::wire::Status;

/// What a tracker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To SeederInfoRequest.
    Seeders {
        /// How it judged the request.
        status: Status,
        /// Endpoints that seed the file.
        endpoints: Vec<Endpoint>,
    },
    /// To everything else, or in the place of any answer.
    Response {
        /// How it judged the request.
        status: Status,
        /// A sentence, for people.
        text: String,
        /// The version given to the change.
        version: Option<Version>,
    },
}

impl Answer {
    /// How the tracker judged the request.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Seeders { status, .. } | Self::Response { status, .. } => *status,
        }
    }

    /// The tracker's text, for people; empty in an answer with seeders.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Seeders { .. } => "",
            Self::Response { text, .. } => text,
        }
    }

    /// The version that the tracker gave.
    pub(crate) fn version(&self) -> Option<Version> {
        match self {
            Self::Seeders { .. } => None,
            Self::Response { version, .. } => *version,
        }
    }
}
