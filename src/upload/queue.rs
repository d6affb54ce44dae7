//! The waiting requests for chunks of this process, for all of its cores: [`Uploads`] decides, and the queue passes the
//! decisions to the connections.
//!
//! The lock is held for moments, twice a chunk, and never while a byte is sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::geometry::ChunkIndex;
use crate::swarm::{Busy, Choice, ConnectionId, FileId, Request, Uploads};
use crate::torrent::Torrent;

/// Requests that wait for their answers; shared by all cores.
#[derive(Debug)]
pub(crate) struct UploadQueue {
    inner: Mutex<Inner>,
    last_connection: AtomicU64,
    started: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    uploads: Uploads,
    files: HashMap<FileId, Weak<Torrent>>,
    /// Channel for the decision on the waiting request of each connection.
    grants: HashMap<ConnectionId, async_channel::Sender<Option<ChunkIndex>>>,
}

/// A waiting request, and after the decision its slot among those that are being answered. Dropping the ticket gives up
/// both.
#[derive(Debug)]
pub(crate) struct Ticket {
    queue: Arc<UploadQueue>,
    connection: ConnectionId,
    address: IpAddr,
    granted: async_channel::Receiver<Option<ChunkIndex>>,
    sent_bytes: u64,
}

impl Default for UploadQueue {
    fn default() -> Self {
        Self { inner: Mutex::default(), last_connection: AtomicU64::new(0), started: Instant::now() }
    }
}

impl UploadQueue {
    /// Begins answers that only the passage of time allows; to be called every `SEND_OVERDUE_TICK`.
    pub(crate) fn tick(&self) {
        self.lock().grant(self.started.elapsed());
    }

    /// Numbers of requests that wait, and of those that are being answered.
    pub(crate) fn waiting_and_sending(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.uploads.waiting(), inner.uploads.sending())
    }

    /// Returns an id for a new connection.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.last_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a request for one of `chunks`, all available here. The connection has no other one in the queue.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        connection: ConnectionId,
        address: IpAddr,
        torrent: &Arc<Torrent>,
        chunks: Choice,
    ) -> Result<Ticket, Busy> {
        let (sender, granted) = async_channel::bounded(1);
        let mut inner = self.lock();
        inner.know(torrent);
        inner.uploads.enqueue(Request { connection, address, file: torrent.id(), chunks })?;
        inner.grants.insert(connection, sender);
        inner.grant(self.started.elapsed());
        Ok(Ticket { queue: self.clone(), connection, address, granted, sent_bytes: 0 })
    }

    /// Cancels the chunk in the waiting request of the connection.
    pub(crate) fn cancel(&self, connection: ConnectionId, chunk: ChunkIndex) {
        let mut inner = self.lock();
        inner.uploads.cancel(connection, chunk);
        inner.grant(self.started.elapsed());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Counts a file's chunks for as long as the file is served.
    fn know(&mut self, torrent: &Arc<Torrent>) {
        let (id, is_complete) = (torrent.id(), torrent.is_complete());
        if !self.files.contains_key(&id) {
            let gone: Vec<FileId> =
                self.files.iter().filter(|(_, known)| known.strong_count() == 0).map(|(id, _)| *id).collect();
            for gone in gone {
                self.files.remove(&gone);
                self.uploads.remove_file(gone);
            }
            self.files.insert(id, Arc::downgrade(torrent));
            self.uploads.add_file(id, torrent.metainfo.geometry().chunk_count(), is_complete);
        } else if is_complete {
            self.uploads.completed(id);
        }
    }

    fn grant(&mut self, now: Duration) {
        while let Some(grant) = self.uploads.next(now) {
            // The channel has room for the one decision; a connection that has ended releases its slot itself.
            if let Some(waiter) = self.grants.remove(&grant.connection) {
                let _ = waiter.try_send(grant.chunk);
            }
        }
    }
}

impl Ticket {
    /// Waits until the answer may begin; returns its chunk, or `None` when all chunks were cancelled.
    pub(crate) async fn granted(&self) -> Option<ChunkIndex> {
        // A request that the queue has forgotten is answered like a cancelled one.
        self.granted.recv().await.ok().flatten()
    }

    /// Ends an answer that was sent with `bytes` of data.
    pub(crate) fn sent(mut self, bytes: u64) {
        self.sent_bytes = bytes;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        inner.grants.remove(&self.connection);
        inner.uploads.leave(self.connection);
        let now = self.queue.started.elapsed();
        inner.uploads.done(now, self.connection, self.address, self.sent_bytes);
        inner.grant(now);
    }
}
