//! What serving needs on one core.

use std::sync::Arc;

use super::queue::UploadQueue;
use crate::ids::PeerId;
use crate::net::Net;
use crate::runtime::{Blocking, Core};
use crate::storage::{ChunkKey, Loan, Memory};
use crate::torrent::Registry;

/// Asks the core of this index for a chunk in its memory; the answer comes by the channel.
pub(crate) type Borrow = dyn Fn(usize, ChunkKey, async_channel::Sender<Option<Loan>>);

/// What serving needs on one core.
pub(crate) struct UploadContext {
    /// This core.
    pub core: Core,
    /// Its connections.
    pub net: Net,
    /// Its chunk memory.
    pub memory: Memory,
    /// Threads that fetch cold pages.
    pub blocking: Blocking,
    /// What is served.
    pub registry: Arc<Registry>,
    /// What waits to be sent, on all cores.
    pub uploads: Arc<UploadQueue>,
    /// This client's id.
    pub id: PeerId,
    /// The way to other cores' memory.
    pub borrow: Box<Borrow>,
}
