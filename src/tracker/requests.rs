//! From a client's message to a change of the table, and from its outcome to the reply.
//!
//! Pure. Reading a message and judging its sender ([`Request::read`]) happens on the core that has the
//! connection; carrying it out ([`Request::execute`]) on the core that has the file.

use std::net::IpAddr;

use rand::Rng;

use super::entry::FileInfo;
use super::rights::Cidr;
use super::table::{Accepted, Journal, Refusal, Sender, Table};
use crate::ids::{Endpoint, InfoHash, Version};
use crate::wire::{Endpoints, Message, Response, SeederInfo, Status};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file.
    pub info_hash: InfoHash,
    /// What to do with it.
    pub what: What<'a>,
}

/// See [`Request`]. `seen` is the last version that the client saw for the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Share, with what the file is, or AddSeeder, without.
    Add {
        /// Who seeds from now on.
        endpoint: Endpoint,
        /// What the file is.
        file: Option<FileInfo<'a>>,
        /// See above.
        seen: Option<Version>,
    },
    /// RemoveSeeder.
    Remove {
        /// Who seeds no longer.
        endpoint: Endpoint,
        /// See above.
        seen: Option<Version>,
    },
    /// SeederInfoRequest.
    List,
}

/// Why a message is no request of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The sender may not change this endpoint.
    #[error(
        "{sender} may not change endpoint {endpoint}: an address changes its own endpoints only, unless the tracker trusts it (--trust)"
    )]
    ForeignEndpoint {
        /// The address that the message came from.
        sender: IpAddr,
        /// The endpoint in the message.
        endpoint: Endpoint,
    },
    /// Not a message for a tracker.
    #[error("a tracker does not serve {0}")]
    NotForTrackers(&'static str),
}

impl Denial {
    /// The status that it is answered by.
    pub fn status(self) -> Status {
        match self {
            Self::ForeignEndpoint { .. } => Status::NotAllowed,
            Self::NotForTrackers(_) => Status::BadRequest,
        }
    }
}

/// How a request went. For [`What::List`] the endpoints come beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change holds.
    Accepted(Accepted),
    /// It does not.
    Refused(Refusal),
    /// The endpoints are all that is to be told.
    Listed,
    /// No such file.
    Unlisted,
}

impl Refusal {
    /// The status that it is answered by.
    pub fn status(self) -> Status {
        match self {
            Self::Ahead(_) => Status::BadRequest,
            Self::NotFound => Status::NotFound,
            Self::FilesOfAddress { .. }
            | Self::RemovalsOfAddress { .. }
            | Self::EndpointsOfFile { .. }
            | Self::Full => Status::OverLimit,
        }
    }
}

impl Sender {
    /// The sender of what comes from `ip`.
    pub fn new(ip: IpAddr, trust: &[Cidr]) -> Self {
        let ip = ip.to_canonical();
        Self { ip, trusted: trust.iter().any(|network| network.contains(ip)) }
    }

    /// The endpoint that the sender means, if it may change that.
    fn endpoint(self, endpoint: Endpoint) -> Result<Endpoint, Denial> {
        let endpoint = endpoint.seen_from(self.ip);
        if self.trusted || endpoint.ip() == self.ip {
            Ok(endpoint)
        } else {
            Err(Denial::ForeignEndpoint { sender: self.ip, endpoint })
        }
    }
}

impl<'a> Request<'a> {
    /// What a client's message asks for.
    pub fn read(message: &Message<'a>, sender: Sender) -> Result<Self, Denial> {
        Ok(match *message {
            Message::Share(share) => {
                let file = FileInfo { name: share.name, length: share.length, chunk_size: share.chunk_size };
                let endpoint = sender.endpoint(share.endpoint)?;
                let what = What::Add { endpoint, file: Some(file), seen: share.version };
                Self { info_hash: share.info_hash, what }
            }
            Message::AddSeeder(change) => {
                let endpoint = sender.endpoint(change.endpoint)?;
                let what = What::Add { endpoint, file: None, seen: change.version };
                Self { info_hash: change.info_hash, what }
            }
            Message::RemoveSeeder(change) => {
                let what = What::Remove { endpoint: sender.endpoint(change.endpoint)?, seen: change.version };
                Self { info_hash: change.info_hash, what }
            }
            Message::SeederInfoRequest(info_hash) => Self { info_hash, what: What::List },
            _ => return Err(Denial::NotForTrackers(message.kind())),
        })
    }

    /// Carries the request out. `endpoints` holds the answer to [`What::List`], and is emptied by it.
    pub fn execute(
        &self,
        table: &mut Table,
        sender: Sender,
        now_ms: u64,
        rng: &mut (impl Rng + ?Sized),
        journal: &mut impl Journal,
        endpoints: &mut Vec<Endpoint>,
    ) -> Outcome {
        let changed = match self.what {
            What::Add { endpoint, file, seen } => {
                table.add(self.info_hash, endpoint, file, seen, sender, now_ms, journal)
            }
            What::Remove { endpoint, seen } => {
                table.remove(self.info_hash, endpoint, seen, sender, now_ms, journal)
            }
            What::List => {
                let listed = table.list(self.info_hash, sender.ip, now_ms, rng, endpoints);
                return if listed.is_ok() { Outcome::Listed } else { Outcome::Unlisted };
            }
        };
        changed.map_or_else(Outcome::Refused, Outcome::Accepted)
    }
}

impl Outcome {
    /// Calls `send` with the reply. Only a refusal allocates, for its text.
    pub fn reply<T>(&self, info_hash: InfoHash, endpoints: &[Endpoint], send: impl FnOnce(&Message<'_>) -> T) -> T {
        let listed = |status, endpoints| Message::SeederInfoResponse(SeederInfo { info_hash, status, endpoints });
        match self {
            Self::Accepted(accepted) => {
                send(&Message::Response(Response::new(Status::Ok, "", Some(accepted.version))))
            }
            Self::Refused(refusal) => {
                send(&Message::Response(Response::new(refusal.status(), &refusal.to_string(), None)))
            }
            Self::Listed => send(&listed(Status::Ok, endpoints.into())),
            Self::Unlisted => send(&listed(Status::NotFound, Endpoints::NONE)),
        }
    }
}
