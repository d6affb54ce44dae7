//! Opening a link: both sides must speak the same protocol, keep entries for the same time, and have the group's key;
//! only loopback works without a key.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::ids::{Endpoint, TrackerId};
use crate::tracker::table::entry::Fingerprints;
use crate::tracker::table::records::Ttls;
use crate::wire::SyncHello;
use crate::wire::sync::{PROOF_LEN, SYNC_PROTOCOL, proof_text};

/// The secret that all trackers of a group share and nobody else knows.
#[derive(Clone)]
pub(crate) struct GroupKey(Arc<[u8; HMAC_BLOCK_LEN]>);

/// Bytes of a block of HMAC-SHA-256.
const HMAC_BLOCK_LEN: usize = 64;

impl GroupKey {
    /// Creates the key from a secret of any length. As in HMAC, a secret longer than a block is hashed, and a shorter
    /// one is padded with zeros.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mut block = [0; HMAC_BLOCK_LEN];
        if secret.len() > block.len() {
            let hash = Sha256::digest(secret);
            block[..hash.len()].copy_from_slice(&hash);
        } else {
            block[..secret.len()].copy_from_slice(secret);
        }
        Self(Arc::new(block))
    }

    /// The fingerprint function of the group's tables.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        Fingerprints::keyed(&self.mac(b"digests").finalize().into_bytes().into())
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&(*self.0).into());
        mac.update(text);
        mac
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey")
    }
}

/// The authentication of the two sides of a link.
#[derive(Clone)]
enum Authentication {
    /// Each side proves that it has the group's key.
    Key(GroupKey),
    /// The other side is on this machine, and this one has no key: no proof is required.
    SameMachine,
}

/// A tracker as it presents itself to the group, and its requirements for the others.
#[derive(Clone, Debug)]
pub(crate) struct GroupMember {
    /// Random id, kept with the store.
    pub tracker: TrackerId,
    /// The lease and the lifetime of removals.
    pub ttls: Ttls,
    /// Endpoint at which the tracker listens.
    pub endpoint: Endpoint,
    /// The group's key.
    pub key: Option<GroupKey>,
}

/// The reason why a link was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// A link over a network without a key: the operator's fault.
    #[error("linking with {0} needs a group key: give all trackers the same --group-key-file")]
    KeyNeeded(IpAddr),
    /// The other side has no key or another one.
    #[error("the other tracker does not have this group's key: give both the same --group-key-file")]
    WrongKey,
    /// The other side speaks another protocol.
    #[error("the other tracker speaks version {theirs} of the sync protocol, this one {SYNC_PROTOCOL}")]
    Protocol {
        /// Protocol version of the other side.
        theirs: u32,
    },
    /// Entries would end at different times.
    #[error("the other tracker's lease is {theirs_ms} ms, this one's {ours_ms} ms: give all trackers the same --lease")]
    Ttls {
        /// Lease of the other tracker, milliseconds.
        theirs_ms: u64,
        /// Lease of this tracker, milliseconds.
        ours_ms: u64,
    },
    /// The other side is this tracker.
    #[error("that is this tracker itself, or one with a copy of its data directory")]
    Itself,
    /// The hellos arrived in the wrong order.
    #[error("a link is opened by SyncHello, twice with the same nonce")]
    OutOfOrder,
}

/// The dialler's state while the link is being opened.
#[derive(Clone)]
pub(crate) struct Dialling {
    member: GroupMember,
    authentication: Authentication,
    nonce: [u8; 16],
}

impl fmt::Debug for Dialling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialling").field("tracker", &self.member.tracker).finish_non_exhaustive()
    }
}

/// The proof in the second hello; `None` without a key.
pub(crate) type Proof = Option<[u8; PROOF_LEN]>;

impl Dialling {
    /// Starts dialling `peer`; `nonce` is random.
    pub(crate) fn new(member: GroupMember, peer: IpAddr, nonce: [u8; 16]) -> Result<Self, HelloError> {
        Ok(Self { authentication: member.authentication(peer)?, member, nonce })
    }

    /// The first hello.
    pub(crate) fn hello(&self) -> SyncHello<'static> {
        self.member.hello(self.nonce)
    }

    /// Handles the other side's hello. Returns its id, and the proof for the second hello.
    pub(crate) fn answered(&self, theirs: &SyncHello<'_>) -> Result<(TrackerId, Proof), HelloError> {
        self.member.check(theirs)?;
        self.authentication.verify(b'A', self.nonce, theirs.nonce, theirs)?;
        Ok((theirs.tracker, self.authentication.prove(b'D', self.nonce, theirs.nonce, &self.hello())))
    }
}

/// The acceptor's state while the link is being opened.
#[derive(Clone)]
pub(crate) struct Accepting {
    authentication: Authentication,
    theirs: SyncHello<'static>,
    nonce: [u8; 16],
}

impl fmt::Debug for Accepting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").field("tracker", &self.theirs.tracker).finish_non_exhaustive()
    }
}

impl Accepting {
    /// Handles the first hello from `peer`; `nonce` is random.
    pub(crate) fn new(
        member: &GroupMember,
        peer: IpAddr,
        theirs: &SyncHello<'_>,
        nonce: [u8; 16],
    ) -> Result<Self, HelloError> {
        let authentication = member.authentication(peer)?;
        if theirs.proof.is_some() {
            return Err(HelloError::OutOfOrder);
        }
        // A dialler that called itself learns it from our answer.
        if theirs.tracker != member.tracker {
            member.check(theirs)?;
        }
        Ok(Self { authentication, theirs: SyncHello { proof: None, ..*theirs }, nonce })
    }

    /// The answer to the first hello, with its proof.
    pub(crate) fn hello(&self, member: &GroupMember) -> (SyncHello<'static>, Proof) {
        let hello = member.hello(self.nonce);
        (hello, self.authentication.prove(b'A', self.theirs.nonce, self.nonce, &hello))
    }

    /// Handles the second hello. Returns the id and the listening endpoint of the linked tracker.
    pub(crate) fn finish(
        &self,
        member: &GroupMember,
        theirs: &SyncHello<'_>,
    ) -> Result<(TrackerId, Endpoint), HelloError> {
        if (SyncHello { proof: None, ..*theirs }) != self.theirs {
            return Err(HelloError::OutOfOrder);
        }
        member.check(theirs)?;
        self.authentication.verify(b'D', theirs.nonce, self.nonce, theirs)?;
        Ok((theirs.tracker, theirs.endpoint))
    }
}

impl GroupMember {
    fn hello(&self, nonce: [u8; 16]) -> SyncHello<'static> {
        SyncHello {
            protocol: SYNC_PROTOCOL,
            tracker: self.tracker,
            lease_ms: self.ttls.lease_ms,
            tombstone_ms: self.ttls.tombstone_ms,
            endpoint: self.endpoint,
            nonce,
            proof: None,
        }
    }

    fn authentication(&self, peer: IpAddr) -> Result<Authentication, HelloError> {
        match &self.key {
            Some(key) => Ok(Authentication::Key(key.clone())),
            None if peer.to_canonical().is_loopback() => Ok(Authentication::SameMachine),
            None => Err(HelloError::KeyNeeded(peer)),
        }
    }

    fn check(&self, theirs: &SyncHello<'_>) -> Result<(), HelloError> {
        if theirs.protocol != SYNC_PROTOCOL {
            return Err(HelloError::Protocol { theirs: theirs.protocol });
        }
        if (theirs.lease_ms, theirs.tombstone_ms) != (self.ttls.lease_ms, self.ttls.tombstone_ms) {
            return Err(HelloError::Ttls { theirs_ms: theirs.lease_ms, ours_ms: self.ttls.lease_ms });
        }
        if theirs.tracker == self.tracker { Err(HelloError::Itself) } else { Ok(()) }
    }
}

impl Authentication {
    /// Computes the proof of the side that sends `hello` as `role`.
    fn prove(&self, role: u8, dialler: [u8; 16], acceptor: [u8; 16], hello: &SyncHello<'_>) -> Proof {
        match self {
            Self::Key(key) => Some(key.mac(&proof_text(role, dialler, acceptor, hello)).finalize().into_bytes().into()),
            Self::SameMachine => None,
        }
    }

    /// Checks the proof in the other side's hello.
    fn verify(
        &self,
        role: u8,
        dialler: [u8; 16],
        acceptor: [u8; 16],
        theirs: &SyncHello<'_>,
    ) -> Result<(), HelloError> {
        match self {
            Self::Key(key) => {
                let proof = theirs.proof.ok_or(HelloError::WrongKey)?;
                let text = proof_text(role, dialler, acceptor, theirs);
                key.mac(&text).verify_slice(proof).map_err(|_| HelloError::WrongKey)
            }
            Self::SameMachine => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block equals the one that HMAC derives from a secret of any length.
    #[test]
    fn a_key_is_what_hmac_makes_of_its_secret() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let secret = vec![7; len];
            let mut expected = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            expected.update(b"a text");
            let made = GroupKey::new(&secret).mac(b"a text");
            assert_eq!(made.finalize().into_bytes(), expected.finalize().into_bytes(), "{len} bytes");
        }
    }

    #[test]
    fn what_is_secret_is_not_printed() {
        let ttls = Ttls { lease_ms: 1, tombstone_ms: 2 };
        let endpoint = Endpoint::new([127, 0, 0, 1].into(), 1).unwrap();
        let member = GroupMember { tracker: TrackerId(1), ttls, endpoint, key: Some(GroupKey::new(&[77; 20])) };
        let dialling = Dialling::new(member, [127, 0, 0, 1].into(), [77; 16]).unwrap();
        assert!(!format!("{dialling:?} {:?}", dialling.member).contains("77"));
    }
}
