//! Services of a core that uploads use.

use std::sync::Arc;

use super::queue::UploadQueue;
use super::receivers::Receivers;
use crate::ids::PeerId;
use crate::net::Net;
use crate::runtime::{Blocking, Core};
use crate::storage::{ChunkKey, Loan, Memory};
use crate::torrent::Registry;

/// Requests a chunk from the memory of the core with this index; the answer comes through the channel.
pub(crate) type Borrow = dyn Fn(usize, ChunkKey, async_channel::Sender<Option<Loan>>);

/// Services of one core that uploads use.
pub(crate) struct UploadContext {
    /// Index of this core.
    pub core: Core,
    /// Connections of this core.
    pub net: Net,
    /// Chunk memory of this core.
    pub memory: Memory,
    /// Threads that load cold pages.
    pub blocking: Blocking,
    /// Files that this client serves.
    pub registry: Arc<Registry>,
    /// Requests that wait for their answers, on all cores.
    pub uploads: Arc<UploadQueue>,
    /// The connections that are served, for display.
    pub receivers: Arc<Receivers>,
    /// Id of this client.
    pub id: PeerId,
    /// Borrows chunks from the memory of other cores.
    pub borrow: Box<Borrow>,
}
