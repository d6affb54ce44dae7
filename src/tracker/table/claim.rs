//! What a client claims about a seeder, who the client is, and how the table judges the claim.

use std::net::IpAddr;

use super::arena::ArenaFull;
use super::clock::AheadError;
use super::journal::Durability;
use crate::ids::{Endpoint, InfoHash, Version};

/// Why a client's change is refused; the client is at fault, or the limit is the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The version that the client sent cannot be.
    #[error("the request's {0}; send it without a version")]
    Ahead(#[from] AheadError),
    /// Nothing to remove.
    #[error("nothing is known of this file")]
    NotFound,
    /// The address has too many files.
    #[error(
        "{ip} has {max} files here already, the most that an address may have: remove some, or ask the operator to raise the limit or to trust the address"
    )]
    FilesOfAddress {
        /// Whose.
        ip: IpAddr,
        /// The limit.
        max: usize,
    },
    /// The address has removed too much lately.
    #[error("{ip} has removed too many files lately: wait until their records lapse")]
    RemovalsOfAddress {
        /// Whose.
        ip: IpAddr,
    },
    /// The network of the address has had too many endpoints of the file lately.
    #[error(
        "the network of {ip} has announced {max} endpoints of this file lately, the most that one may have: wait until they lapse, or ask the operator to trust it"
    )]
    EndpointsOfNetwork {
        /// An address in it.
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
    /// The table is at its end.
    #[error("this tracker's table is full")]
    Full,
}

impl From<ArenaFull> for Refusal {
    fn from(_: ArenaFull) -> Self {
        Self::Full
    }
}

/// What a client says: that an endpoint seeds a file, or no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The file.
    pub info_hash: InfoHash,
    /// The seeder.
    pub endpoint: Endpoint,
    /// The last version that the client saw for this file.
    pub seen: Option<Version>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address that it speaks from.
    pub ip: IpAddr,
    /// Whether that is in a trusted network: then no caps hold.
    pub trusted: bool,
}

/// A client's change that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The version of the seeder's entry now.
    pub version: Version,
    /// What was written for it, if anything: the acknowledgement of a [`Durability::Sync`] waits for the store.
    pub written: Option<Durability>,
}
