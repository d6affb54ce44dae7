//! Subscriptions of one connection's peer to the new chunks of files.
//!
//! Each new chunk wakes a few subscribers at once, in rotation. The others get HaveChunks within
//! [`HAVE_CHUNKS_LAZY_INTERVAL`], with all chunks that have come meanwhile, and no subscriber gets it more often than
//! every [`HAVE_CHUNKS_INTERVAL`].

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use futures_lite::FutureExt;

use crate::bitfield::Bitfield;
use crate::limits::{HAVE_CHUNKS_INTERVAL, HAVE_CHUNKS_LAZY_INTERVAL, HAVE_CHUNKS_MAX, SUBSCRIPTIONS_MAX};
use crate::net::{BufferPool, NetError, Stream};
use crate::rpc;
use crate::torrent::Torrent;
use crate::wire::{HaveChunks, Indices, Message};

/// The subscriptions of one connection, at most one a file.
#[derive(Default)]
pub(crate) struct Subscriptions {
    files: Vec<Subscription>,
    /// Time when HaveChunks was last sent.
    sent_at: Option<Instant>,
}

/// A subscription to one file; counted in the file's subscribers.
struct Subscription {
    torrent: Arc<Torrent>,
    /// Chunks that were reported to the peer.
    known: Bitfield,
}

impl Subscriptions {
    /// Whether there is no room for another file.
    pub(crate) fn is_full(&self) -> bool {
        self.files.len() >= SUBSCRIPTIONS_MAX
    }

    /// Adds a file, of which the peer knows the chunks in `known`; replaces an earlier subscription to it.
    pub(crate) fn insert(&mut self, torrent: Arc<Torrent>, known: Bitfield) {
        self.files.retain(|file| file.torrent.info_hash() != torrent.info_hash());
        self.files.push(Subscription::new(torrent, known));
    }

    /// Waits until there are new chunks and this subscriber may be sent them.
    pub(crate) async fn until_due(&self) {
        loop {
            let unfinished = || self.files.iter().filter(|file| !file.known.is_full());
            let mut growths: Vec<_> = unfinished().map(|file| file.torrent.growth()).collect();
            if growths.is_empty() {
                std::future::pending::<()>().await;
            }
            if unfinished().any(|file| file.is_behind() && file.torrent.notifies_all_at_once()) {
                break;
            }
            let grown = poll_fn(|context| {
                let is_grown = growths.iter_mut().any(|growth| std::pin::Pin::new(growth).poll(context).is_ready());
                if is_grown { Poll::Ready(()) } else { Poll::Pending }
            });
            grown.or(crate::runtime::sleep(HAVE_CHUNKS_LAZY_INTERVAL)).await;
            if self.files.iter().any(Subscription::is_behind) {
                break;
            }
        }
        if let Some(pause) = self.sent_at.map(|at| HAVE_CHUNKS_INTERVAL.saturating_sub(at.elapsed())) {
            crate::runtime::sleep(pause).await;
        }
    }

    /// Sends the new chunks to the peer.
    pub(crate) async fn send(&mut self, stream: &mut Stream, buffers: &Rc<BufferPool>) -> Result<(), NetError> {
        self.sent_at = Some(Instant::now());
        for Subscription { torrent, known } in &mut self.files {
            let mut indices = Vec::new();
            torrent.take_new(known, HAVE_CHUNKS_MAX, |chunk| indices.push(chunk.get()));
            if indices.is_empty() {
                continue;
            }
            let have = HaveChunks { info_hash: torrent.info_hash(), indices: Indices::from(&indices[..]) };
            rpc::send(stream, &Message::HaveChunks(have), buffers).await?;
        }
        Ok(())
    }
}

impl Subscription {
    fn new(torrent: Arc<Torrent>, known: Bitfield) -> Self {
        torrent.subscribers.fetch_add(1, Ordering::Relaxed);
        Self { torrent, known }
    }

    /// Whether there are chunks that were not reported to the peer.
    fn is_behind(&self) -> bool {
        self.torrent.held_count() > self.known.count()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.torrent.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}
