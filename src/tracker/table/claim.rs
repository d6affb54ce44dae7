//! A client's claim about a seeder, the client, and the table's verdict.

use std::net::IpAddr;

use super::arena::ArenaFull;
use super::clock::AheadError;
use super::journal::Durability;
use crate::ids::{Endpoint, InfoHash, Version};

/// The reason why a client's change is refused: the client's fault, or a limit of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client's version is impossible.
    #[error("the request's {0}; send it without a version")]
    Ahead(#[from] AheadError),
    /// There is nothing to remove.
    #[error("nothing is known of this file")]
    NotFound,
    /// The address has too many files.
    #[error(
        "{ip} has {max} files here already, the most that an address may have: remove some, or ask the operator to raise the limit or to trust the address"
    )]
    FilesOfAddress {
        /// The address.
        ip: IpAddr,
        /// The limit.
        max: usize,
    },
    /// The address has recently removed too many files.
    #[error("{ip} has removed too many files recently: wait until their records lapse")]
    RemovalsOfAddress {
        /// The address.
        ip: IpAddr,
    },
    /// The network of the address has recently had too many endpoints of the file.
    #[error(
        "the network of {ip} has announced {max} endpoints of this file recently, the most that one may have: wait until they lapse, or ask the operator to trust it"
    )]
    EndpointsOfNetwork {
        /// An address in the network.
        ip: IpAddr,
        /// The limit.
        max: usize,
    },
    /// The file has too many seeders.
    #[error("this file has {max} endpoints here already, the most that a file may have")]
    EndpointsOfFile {
        /// The limit.
        max: usize,
    },
    /// The endpoint of a report is no live seeder of the file.
    #[error("this endpoint is not announced for this file: announce it first")]
    NotAnnounced,
    /// There are too many reports on the file or in all.
    #[error("this tracker has {max} reports already, the most that it keeps: the download is not affected")]
    Reports {
        /// The limit.
        max: usize,
    },
    /// The table is full.
    #[error("this tracker's table is full")]
    Full,
}

impl From<ArenaFull> for Refusal {
    fn from(_: ArenaFull) -> Self {
        Self::Full
    }
}

/// A client's claim that an endpoint seeds a file, or no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Endpoint of the seeder.
    pub endpoint: Endpoint,
    /// Last version that the client received for this file.
    pub seen: Option<Version>,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Source address of the request.
    pub ip: IpAddr,
    /// Whether the address is in a trusted network, to which no caps apply.
    pub trusted: bool,
}

/// The result of a client's accepted change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Present version of the seeder's entry.
    pub version: Version,
    /// Durability of the write, if there was one: the acknowledgement of a [`Durability::Sync`] waits for the store.
    pub written: Option<Durability>,
}
