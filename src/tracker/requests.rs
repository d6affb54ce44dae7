//! Translates a client's message to a change of the table, and the outcome of the change to the reply.
//!
//! Pure. The core that owns the connection reads a message and checks its sender ([`Request::read`]). The core that
//! owns the file executes the request ([`Request::execute`]).

use std::net::IpAddr;

use rand::Rng;

use super::bounded_text::BoundedText;
use super::table::entry::FileInfo;
use super::table::reports::Report;
use super::table::rights::Cidr;
use super::table::{Accepted, Claim, Journal, Refusal, Sender, Table};
use crate::ids::{Endpoint, InfoHash};
use crate::wire::{
    Endpoints, Message, Progress, ReportProgress, Response, SeederChange, SeederInfo, Share, Status, TAKES_PROGRESS,
};

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Share with the file's metadata, or AddSeeder without.
    Add(Claim, Option<FileInfo<'a>>),
    /// RemoveSeeder.
    Remove(Claim),
    /// ReportProgress.
    Report(Claim, Progress),
    /// SeederInfoRequest.
    List(InfoHash),
}

/// The reason why a message is not an acceptable request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The sender may not change this endpoint.
    #[error(
        "{sender} may not change endpoint {endpoint}: an address changes its own endpoints only, unless the tracker trusts it (--trust)"
    )]
    ForeignEndpoint {
        /// Source address of the message.
        sender: IpAddr,
        /// The endpoint in the message.
        endpoint: Endpoint,
    },
    /// The sender may not have this endpoint tested.
    #[error(
        "{sender} may not have {endpoint} tested: an address has its own endpoints tested only, unless the tracker trusts it (--trust), and a loopback address only from the tracker's own machine"
    )]
    ForeignTest {
        /// Source address of the message.
        sender: IpAddr,
        /// The endpoint in the message.
        endpoint: Endpoint,
    },
    /// The message is not for a tracker.
    #[error("a tracker does not serve {0}")]
    NotForTrackers(&'static str),
}

impl Denial {
    /// Status of the reply.
    pub fn status(self) -> Status {
        match self {
            Self::ForeignEndpoint { .. } | Self::ForeignTest { .. } => Status::NotAllowed,
            Self::NotForTrackers(_) => Status::BadRequest,
        }
    }
}

/// The outcome of a request. [`Request::List`] returns its endpoints separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made.
    Accepted(Accepted),
    /// The change was refused.
    Refused(Refusal),
    /// The report was taken.
    Reported,
    /// The endpoints are the answer.
    Listed,
    /// The file is unknown.
    Unlisted,
}

impl Refusal {
    /// Status of the reply.
    pub fn status(self) -> Status {
        match self {
            Self::Ahead(_) => Status::BadRequest,
            Self::NotFound | Self::NotAnnounced => Status::NotFound,
            Self::FilesOfAddress { .. }
            | Self::RemovalsOfAddress { .. }
            | Self::EndpointsOfNetwork { .. }
            | Self::EndpointsOfFile { .. }
            | Self::Reports { .. }
            | Self::Full => Status::OverLimit,
        }
    }
}

impl Sender {
    /// Creates the sender for the source address `ip`.
    pub fn new(ip: IpAddr, trust: &[Cidr]) -> Self {
        let ip = ip.to_canonical();
        Self { ip, trusted: trust.iter().any(|network| network.contains(ip)) }
    }

    /// Returns the endpoint that the sender means, if the sender may change it.
    fn endpoint(self, endpoint: Endpoint) -> Result<Endpoint, Denial> {
        let endpoint = endpoint.seen_from(self.ip);
        if self.trusted || endpoint.ip() == self.ip {
            Ok(endpoint)
        } else {
            Err(Denial::ForeignEndpoint { sender: self.ip, endpoint })
        }
    }
}

/// Returns the endpoint that a ReachRequest of the sender means, if the sender may have it tested.
pub fn tested_endpoint(endpoint: Endpoint, sender: Sender) -> Result<Endpoint, Denial> {
    let denied = |_| Denial::ForeignTest { sender: sender.ip, endpoint };
    let endpoint = sender.endpoint(endpoint).map_err(denied)?;
    // Even a trusted sender does not mean the tracker's own loopback.
    let is_elsewhere = endpoint.ip().is_loopback() && !sender.ip.is_loopback();
    if is_elsewhere { Err(Denial::ForeignTest { sender: sender.ip, endpoint }) } else { Ok(endpoint) }
}

impl<'a> Request<'a> {
    /// Reads a request from a client's message.
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
            Message::ReportProgress(ReportProgress { info_hash, endpoint, progress }) => {
                Self::Report(claim(info_hash, endpoint, None)?, progress)
            }
            Message::SeederInfoRequest(info_hash) => Self::List(info_hash),
            _ => return Err(Denial::NotForTrackers(message.kind())),
        })
    }

    /// Info hash of the requested file.
    pub fn info_hash(&self) -> InfoHash {
        match *self {
            Self::Add(Claim { info_hash, .. }, _)
            | Self::Remove(Claim { info_hash, .. })
            | Self::Report(Claim { info_hash, .. }, _)
            | Self::List(info_hash) => info_hash,
        }
    }

    /// The added endpoint, if it has another address than the loopback one that its client speaks from.
    pub fn entered_elsewhere(&self, sender: Sender) -> Option<Endpoint> {
        match self {
            Self::Add(claim, _) if sender.ip.is_loopback() && !claim.endpoint.ip().is_loopback() => {
                Some(claim.endpoint)
            }
            _ => None,
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
            Self::Report(Claim { info_hash, endpoint, .. }, progress) => {
                let reported = table.report(info_hash, Report { endpoint, progress, at_ms: now_ms });
                return reported.map_or_else(Outcome::Refused, |()| Outcome::Reported);
            }
            Self::List(info_hash) => {
                let listed = table.list(info_hash, sender.ip, now_ms, rng, endpoints);
                return if listed.is_ok() { Outcome::Listed } else { Outcome::Unlisted };
            }
        };
        changed.map_or_else(Outcome::Refused, Outcome::Accepted)
    }
}

impl Outcome {
    /// Status of the reply.
    pub fn status(&self) -> Status {
        match self {
            Self::Accepted(_) | Self::Reported | Self::Listed => Status::Ok,
            Self::Refused(refusal) => refusal.status(),
            Self::Unlisted => Status::NotFound,
        }
    }

    /// Calls `send` with the reply.
    pub fn reply<T>(&self, info_hash: InfoHash, endpoints: &[Endpoint], send: impl FnOnce(&Message<'_>) -> T) -> T {
        let listed = |status, endpoints| Message::SeederInfoResponse(SeederInfo { info_hash, status, endpoints });
        match self {
            Self::Accepted(accepted) => {
                send(&Message::Response(Response::new(Status::Ok, TAKES_PROGRESS, Some(accepted.version))))
            }
            Self::Reported => send(&Message::Response(Response::new(Status::Ok, "", None))),
            Self::Refused(refusal) => {
                send(&Message::Response(Response::new(refusal.status(), BoundedText::new(refusal).as_str(), None)))
            }
            Self::Listed => send(&listed(Status::Ok, endpoints.into())),
            Self::Unlisted => send(&listed(Status::NotFound, Endpoints::NONE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_endpoints_are_tested() {
        let trust: Vec<Cidr> = vec!["10.0.0.0/8".parse().unwrap()];
        for (sender, named, tested) in [
            ("192.0.2.7", "0.0.0.0:9", Some("192.0.2.7:9")),
            ("192.0.2.7", "192.0.2.7:9", Some("192.0.2.7:9")),
            ("::ffff:192.0.2.7", "[::]:9", Some("192.0.2.7:9")),
            ("192.0.2.7", "192.0.2.8:9", None),
            ("192.0.2.7", "127.0.0.1:9", None),
            ("10.0.0.1", "192.0.2.8:9", Some("192.0.2.8:9")),
            ("10.0.0.1", "127.0.0.1:9", None),
            ("10.0.0.1", "[::1]:9", None),
            ("127.0.0.1", "0.0.0.0:9", Some("127.0.0.1:9")),
            ("127.0.0.1", "192.0.2.8:9", None),
        ] {
            let endpoint = Endpoint::from_socket(named.parse().unwrap()).unwrap();
            let read = tested_endpoint(endpoint, Sender::new(sender.parse().unwrap(), &trust));
            assert_eq!(read.ok().map(|endpoint| endpoint.to_string()).as_deref(), tested, "{sender} {named}");
            assert!(read.is_ok() || read.is_err_and(|denial| denial.status() == Status::NotAllowed));
        }
    }
}
