//! One connection of a peer that asks us.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::FutureExt;

use super::{Registry, Torrent};
use crate::bitfield::Bitfield;
use crate::download::picker::owner;
use crate::geometry::ChunkIndex;
use crate::ids::{InfoHash, PeerId};
use crate::limits::{
    FRAME_CONTROL_BYTES_MAX, FRAME_OVERHEAD_BYTES_MAX, HAVE_CHUNKS_INTERVAL, HAVE_CHUNKS_MAX, IDLE_TIMEOUT,
    SUBSCRIPTIONS_MAX,
};
use crate::net::{FrameReader, Net, NetError, SendFileError, Stream};
use crate::runtime::{Blocking, Core};
use crate::storage::memory::ChunkKey;
use crate::storage::{Loan, Memory, SeedFile};
use crate::wire::{
    ChunkInfo, DATA_HEAD_LEN, DataHead, DecodeError, HaveChunks, Indices, MAGIC_END, Message, Response, SendChunkRequest,
    Status,
};

/// What serving needs on one core.
pub struct PeerContext {
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
    /// Who we are.
    pub id: PeerId,
    /// Asks another core for a chunk in its memory.
    pub borrow: Box<dyn Fn(usize, ChunkKey, async_channel::Sender<Option<Loan>>)>,
}

/// A connection's state besides its stream and frames.
struct Session {
    context: Rc<PeerContext>,
    /// The file that was asked for last.
    last: Option<Arc<Torrent>>,
    subscriptions: Vec<Subscription>,
}

/// A file of whose new chunks the other side wants to hear.
struct Subscription {
    torrent: Arc<Torrent>,
    known: Bitfield,
}

/// Serves a connection to its end.
pub async fn serve(context: Rc<PeerContext>, mut stream: Stream) {
    let mut frames = context.net.frames(FRAME_CONTROL_BYTES_MAX);
    let mut session = Session { context, last: None, subscriptions: Vec::new() };
    stream.allow(IDLE_TIMEOUT);
    if let Err(error) = session.run(&mut stream, &mut frames).await {
        log::debug!("peer {}: {error}", stream.peer());
    }
}

enum Step {
    Go,
    End,
    News,
}

impl Session {
    async fn run(&mut self, stream: &mut Stream, frames: &mut FrameReader) -> Result<(), NetError> {
        loop {
            let is_subscribed = !self.subscriptions.is_empty();
            let step = with_news(is_subscribed, self.answer_next(stream, frames)).await?;
            match step {
                Step::Go => stream.allow(IDLE_TIMEOUT),
                Step::News => self.tell_news(stream).await?,
                Step::End => return Ok(()),
            }
        }
    }

    /// Reads one request and answers it. Only the wait for the request may be given up.
    fn answer_next<'a>(
        &'a mut self,
        stream: &'a mut Stream,
        frames: &'a mut FrameReader,
    ) -> (impl Future<Output = ()> + 'a, ()) {
        let _ = (stream, frames);
        (async {}, ())
    }
}
