//! PeerIdRequest and PeerIdResponse: with them a client recognizes itself among the endpoints of a tracker.

use crate::ids::PeerId;

use super::DecodeError;
use super::arguments::{Arguments, Payload, Sink};

pub(super) fn decode(mut arguments: Arguments<'_>) -> Result<PeerId, DecodeError> {
    let id = arguments.id()?;
    arguments.end()?;
    Ok(PeerId(id))
}

impl Payload for PeerId {
    fn write(&self, sink: &mut impl Sink) {
        sink.bytes(&self.0);
    }
}
