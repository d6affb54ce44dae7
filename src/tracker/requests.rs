//! From a client's message to a change of the table, and from its outcome to the reply.
//!
//! Pure. Reading a message and judging its sender ([`Request::read`]) happens on the core that has the
//! connection; executing it ([`Request::execute`]) on the core that has the file.

use std::net::IpAddr;

use rand::Rng;

use super::bounded_text::BoundedText;
use super::table::entry::FileInfo;
use super::table::rights::Cidr;
use super::table::{Accepted, Claim, Journal, Refusal, Sender, Table};
use crate::ids::{Endpoint, InfoHash};
use crate::wire::{Endpoints, Message, Response, SeederChange, SeederInfo, Share, Status};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Share, with what the file is, or AddSeeder, without.
    Add(Claim, Option<FileInfo<'a>>),
    /// RemoveSeeder.
    Remove(Claim),
    /// SeederInfoRequest.
    List(InfoHash),
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

/// How a request went. For [`Request::List`] the endpoints come beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change is made.
    Accepted(Accepted),
    /// The change is refused.
    Refused(Refusal),
    /// The endpoints are the answer.
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
            | Self::EndpointsOfNetwork { .. }
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
        let claim = |info_hash, endpoint, seen| -> Result<Claim, Denial> {
            Ok(Claim { info_hash, endpoint: sender.endpoint(endpoint)?, seen })
        };
        Ok(match *message {
            Message::Share(Share { info_hash, name, length, chunk_size, endpoint, version }) => {
                Self::Add(claim(info_hash, endpoint, version)?, Some(FileInfo { name, length, chunk_size }))
            }
            Message::AddSeeder(SeederChange { info_hash, endpoint, version }) => {
                Self::Add(claim(info_hash, endpoint, version)?, None)
            }
            Message::RemoveSeeder(SeederChange { info_hash, endpoint, version }) => {
                Self::Remove(claim(info_hash, endpoint, version)?)
            }
            Message::SeederInfoRequest(info_hash) => Self::List(info_hash),
            _ => return Err(Denial::NotForTrackers(message.kind())),
        })
    }

    /// The requested file.
    pub fn info_hash(&self) -> InfoHash {
        match *self {
            Self::Add(Claim { info_hash, .. }, _) | Self::Remove(Claim { info_hash, .. }) | Self::List(info_hash) => {
                info_hash
            }
        }
    }

    /// Executes the request. [`Request::List`] replaces `endpoints` by its answer.
    pub fn execute(
        &self,
        table: &mut Table,
        sender: Sender,
        now_ms: u64,
        rng: &mut (impl Rng + ?Sized),
        journal: &mut impl Journal,
        endpoints: &mut Vec<Endpoint>,
    ) -> Outcome {
        let changed = match *self {
            Self::Add(claim, file) => table.add(claim, file, sender, now_ms, journal),
            Self::Remove(claim) => table.remove(claim, sender, now_ms, journal),
            Self::List(info_hash) => {
                let listed = table.list(info_hash, sender.ip, now_ms, rng, endpoints);
                return if listed.is_ok() { Outcome::Listed } else { Outcome::Unlisted };
            }
        };
        changed.map_or_else(Outcome::Refused, Outcome::Accepted)
    }
}

impl Outcome {
    /// Calls `send` with the reply.
    pub fn reply<T>(&self, info_hash: InfoHash, endpoints: &[Endpoint], send: impl FnOnce(&Message<'_>) -> T) -> T {
        let listed = |status, endpoints| Message::SeederInfoResponse(SeederInfo { info_hash, status, endpoints });
        match self {
            Self::Accepted(accepted) => send(&Message::Response(Response::new(Status::Ok, "", Some(accepted.version)))),
            Self::Refused(refusal) => {
                send(&Message::Response(Response::new(refusal.status(), BoundedText::new(refusal).as_str(), None)))
            }
            Self::Listed => send(&listed(Status::Ok, endpoints.into())),
            Self::Unlisted => send(&listed(Status::NotFound, Endpoints::NONE)),
        }
    }
}
