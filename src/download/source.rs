//! Sources of a download's chunks. The session knows a source by its slot, a shard by a [`Source`], and only this file
//! opens a connection to one: a source of another kind would be added here.

use std::fmt;
use std::sync::Arc;

use super::job::PeerProgress;
use crate::ids::Endpoint;
use crate::limits::CONNECT_TIMEOUT;
use crate::net::{Net, NetError, Stream};
use crate::swarm::PeerSlot;

/// A source of chunks: a peer.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Slot of the source in the session.
    pub slot: PeerSlot,
    /// Figures of the source.
    pub progress: Arc<PeerProgress>,
}

impl Source {
    /// Opens a connection for chunk data.
    pub(crate) async fn connect(&self, net: &Net) -> Result<Stream, NetError> {
        connect(net, self.progress.endpoint).await
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress.endpoint.fmt(f)
    }
}

/// Connects to a peer.
pub(crate) async fn connect(net: &Net, peer: Endpoint) -> Result<Stream, NetError> {
    net.connect(peer.socket_addr(), CONNECT_TIMEOUT).await
}
