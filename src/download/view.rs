//! What a running download shows of itself; on core 0 only.

use crate::geometry::ChunkIndex;
use crate::ids::Endpoint;
use crate::torrent::PeerActivity;

/// A peer as the source of a download.
#[derive(Clone, Debug)]
pub(crate) struct SourceView {
    /// Endpoint of the peer.
    pub endpoint: Endpoint,
    /// What passes between it and this client.
    pub activity: PeerActivity,
    /// The reason, where that is not plain.
    pub why: Option<String>,
    /// Verified bytes that it sent.
    pub received_bytes: u64,
    /// Rate at which it sends, bytes a second.
    pub bytes_s: u64,
    /// Number of chunks that it has.
    pub chunks: u32,
    /// Open requests.
    pub open: u32,
    /// Data connections to it.
    pub connections: u32,
    /// Congestion control of the connections to it.
    pub congestion: Option<String>,
}

/// A running download, for display.
pub(crate) trait View {
    /// The peers that the download knows, without this client itself.
    fn sources(&self) -> Vec<SourceView>;
    /// The chunks that arrive now.
    fn arriving(&self) -> Vec<ChunkIndex>;
}
