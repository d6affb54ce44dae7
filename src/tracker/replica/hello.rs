//! Opening a link: both sides must speak the same protocol, keep entries for the same time, and know the key of
//! the group, which only loopback can do without.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::{Endpoint, TrackerId};
use crate::tracker::table::entry::Fingerprints;
use crate::tracker::table::records::Ttls;
use crate::wire::SyncHello;
use crate::wire::sync::{PROOF_LEN, SYNC_PROTOCOL, proof_text};

/// What all trackers of a group share and no one else knows.
#[derive(Clone)]
pub struct GroupKey(Arc<[u8]>);

impl GroupKey {
    /// A key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(key.into())
    }

    /// What makes the digests of the group's tables.
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints::keyed(&mac(self, b"digests").finalize().into_bytes().into())
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupKey")
    }
}

/// What a tracker says of itself, and what it demands of others.
#[derive(Clone, Debug)]
pub struct GroupMember {
    /// Its id.
    pub tracker: TrackerId,
    /// How long its entries live.
    pub ttls: Ttls,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The group's key.
    pub key: Option<GroupKey>,
}

/// Why there is no link.
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
        /// What it speaks.
        theirs: u32,
    },
    /// Entries would end at different times.
    #[error("the other tracker's lease is {theirs_ms} ms, this one's {ours_ms} ms: give all trackers the same --lease")]
    Ttls {
        /// Its lease.
        theirs_ms: u64,
        /// Ours.
        ours_ms: u64,
    },
    /// The other side is this tracker.
    #[error("that is this tracker itself, or one with a copy of its data directory")]
    Itself,
    /// The hellos came out of their order.
    #[error("a link is opened by SyncHello, twice with the same nonce")]
    OutOfOrder,
}

/// A dialler's side while the link is being opened.
#[derive(Clone, Debug)]
pub struct Dialling {
    member: GroupMember,
    nonce: [u8; 16],
}

/// A proof that goes into the second hello; none without a key.
pub type Proof = Option<[u8; PROOF_LEN]>;

impl Dialling {
    /// Towards `peer`; `nonce` is random.
    pub fn new(member: GroupMember, peer: IpAddr, nonce: [u8; 16]) -> Result<Self, HelloError> {
        member.check_key_towards(peer)?;
        Ok(Self { member, nonce })
    }

    /// The first hello.
    pub fn hello(&self) -> SyncHello<'static> {
        self.member.hello(self.nonce)
    }

    /// The other side's hello is here: who it is, and the proof that the second hello carries.
    pub fn answered(&self, theirs: &SyncHello<'_>) -> Result<(TrackerId, Proof), HelloError> {
        self.member.check(theirs)?;
        self.member.verify(b'A', self.nonce, theirs.nonce, theirs)?;
        Ok((theirs.tracker, self.member.prove(b'D', self.nonce, theirs.nonce)))
    }
}

/// The accepting side while the link is being opened.
#[derive(Clone, Copy, Debug)]
pub struct Accepting {
    theirs: SyncHello<'static>,
    nonce: [u8; 16],
}

impl Accepting {
    /// The first hello came from `peer`; `nonce` is random.
    pub fn new(
        member: &GroupMember,
        peer: IpAddr,
        theirs: &SyncHello<'_>,
        nonce: [u8; 16],
    ) -> Result<Self, HelloError> {
        member.check_key_towards(peer)?;
        if theirs.proof.is_some() {
            return Err(HelloError::OutOfOrder);
        }
        // The dialler finds out by our answer that it called itself.
        if theirs.tracker != member.tracker {
            member.check(theirs)?;
        }
        Ok(Self { theirs: SyncHello { proof: None, ..*theirs }, nonce })
    }

    /// The answer, with its proof.
    pub fn hello(&self, member: &GroupMember) -> (SyncHello<'static>, Proof) {
        (member.hello(self.nonce), member.prove(b'A', self.theirs.nonce, self.nonce))
    }

    /// The second hello came: who is linked, and where it listens.
    pub fn finish(&self, member: &GroupMember, theirs: &SyncHello<'_>) -> Result<(TrackerId, Endpoint), HelloError> {
        if (SyncHello { proof: None, ..*theirs }) != self.theirs {
            return Err(HelloError::OutOfOrder);
        }
        member.check(theirs)?;
        member.verify(b'D', theirs.nonce, self.nonce, theirs)?;
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

    fn check_key_towards(&self, peer: IpAddr) -> Result<(), HelloError> {
        let local = peer.to_canonical().is_loopback();
        if self.key.is_some() || local { Ok(()) } else { Err(HelloError::KeyNeeded(peer)) }
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

    fn prove(&self, role: u8, dialler: [u8; 16], acceptor: [u8; 16]) -> Proof {
        let text = proof_text(role, dialler, acceptor, &self.hello([0; 16]));
        self.key.as_ref().map(|key| mac(key, &text).finalize().into_bytes().into())
    }

    /// Without a key of our own nothing is demanded: then the other side is on this machine.
    fn verify(
        &self,
        role: u8,
        dialler: [u8; 16],
        acceptor: [u8; 16],
        theirs: &SyncHello<'_>,
    ) -> Result<(), HelloError> {
        let Some(key) = &self.key else { return Ok(()) };
        let proof = theirs.proof.ok_or(HelloError::WrongKey)?;
        let text = proof_text(role, dialler, acceptor, theirs);
        mac(key, &text).verify_slice(proof).map_err(|_| HelloError::WrongKey)
    }
}

fn mac(key: &GroupKey, text: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length; should that ever change, an empty key proves nothing to anyone.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text);
    mac
}
