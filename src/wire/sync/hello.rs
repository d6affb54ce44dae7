//! SyncHello: opens a link between two trackers.

use std::fmt;

use bytes::BufMut;

use crate::ids::{Endpoint, TrackerId};
use crate::wire::DecodeError;
use crate::wire::arguments::{Arguments, Payload, Sink};

/// Version of the link protocol that this program uses.
pub const SYNC_PROTOCOL: u32 = 1;
/// Length of a proof, bytes.
pub const PROOF_LEN: usize = 32;
/// Length of [`proof_text`], bytes.
pub const PROOF_TEXT_LEN: usize = 1 + 16 + 16 + 4 + 8 + 8 + 8;

/// The message that opens a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SyncHello<'a> {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// Identity of the sender.
    pub tracker: TrackerId,
    /// Lifetime of a seeder entry at the sender, milliseconds.
    pub lease_ms: u64,
    /// Lifetime of the record of a removal at the sender, milliseconds.
    pub tombstone_ms: u64,
    /// Endpoint at which the sender listens.
    pub endpoint: Endpoint,
    /// Random bytes, new for each link.
    pub nonce: [u8; 16],
    /// Proof that the sender knows the group's key.
    pub proof: Option<&'a [u8; PROOF_LEN]>,
}

impl fmt::Debug for SyncHello<'_> {
    /// Formats the message without nonce and proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncHello")
            .field("protocol", &self.protocol)
            .field("tracker", &self.tracker)
            .field("lease_ms", &self.lease_ms)
            .field("tombstone_ms", &self.tombstone_ms)
            .field("endpoint", &self.endpoint)
            .field("has_proof", &self.proof.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a> SyncHello<'a> {
    pub(in crate::wire) fn decode(mut arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let hello = Self {
            protocol: arguments.u32()?,
            tracker: TrackerId(arguments.u64()?),
            lease_ms: arguments.u64()?,
            tombstone_ms: arguments.u64()?,
            endpoint: arguments.endpoint()?,
            nonce: arguments.id()?,
            proof: match arguments.bytes()? {
                [] => None,
                bytes => Some(bytes.try_into().map_err(|_| PROOF)?),
            },
        };
        arguments.end()?;
        Ok(hello)
    }
}

impl Payload for SyncHello<'_> {
    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.protocol);
        for value in [self.tracker.0, self.lease_ms, self.tombstone_ms] {
            sink.bytes(&value.to_be_bytes());
        }
        sink.endpoint(self.endpoint);
        sink.bytes(&self.nonce);
        sink.bytes(self.proof.map_or(&[], |proof| &proof[..]));
    }
}

/// The text that a proof signs: the prover's role (`D` dialler, `A` acceptor), both nonces, and its hello.
pub fn proof_text(role: u8, dialler: [u8; 16], acceptor: [u8; 16], hello: &SyncHello<'_>) -> [u8; PROOF_TEXT_LEN] {
    let mut text = [0; PROOF_TEXT_LEN];
    let mut out = &mut text[..];
    out.put_u8(role);
    out.put_slice(&dialler);
    out.put_slice(&acceptor);
    out.put_u32(hello.protocol);
    out.put_u64(hello.tracker.0);
    out.put_u64(hello.lease_ms);
    out.put_u64(hello.tombstone_ms);
    text
}

const PROOF: DecodeError = DecodeError::BadArguments("the proof does not have 32 or 0 bytes");
