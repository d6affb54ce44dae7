//! One connection of a peer that asks us.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::FutureExt;

use super::{Registry, Torrent};
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::ids::{InfoHash, PeerId};
use crate::limits::{
    FRAME_CONTROL_BYTES_MAX, FRAME_TIMEOUT, HAVE_CHUNKS_INTERVAL, HAVE_CHUNKS_MAX, IDLE_TIMEOUT, SEND_SILENCE_TIMEOUT,
    SUBSCRIPTIONS_MAX,
};
use crate::net::{FrameReader, Net, NetError, SendFileError, Stream};
use crate::runtime::{Blocking, BlockingError, Core};
use crate::storage::memory::ChunkKey;
use crate::storage::{Loan, Memory, SeedFile};
use crate::wire::{
    ChunkInfo, DATA_HEAD_LEN, DataHead, DecodeError, HaveChunks, Indices, MAGIC_END, Message, Response,
    SendChunkRequest, Status,
};

/// Asks the core of this index for a chunk in its memory; the answer comes by the channel.
pub type Borrow = dyn Fn(usize, ChunkKey, async_channel::Sender<Option<Loan>>);

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
    /// The way to other cores' memory.
    pub borrow: Box<Borrow>,
}

/// A connection's state besides its stream and frames.
struct Session {
    context: Rc<PeerContext>,
    /// The file that was asked for last.
    last: Option<Arc<Torrent>>,
    subscriptions: Vec<Subscription>,
}

/// A file of whose new chunks the other side wants to hear; counted among the file's subscribers.
struct Subscription {
    torrent: Arc<Torrent>,
    known: Bitfield,
}

/// Serves a connection to its end.
pub async fn serve(context: Rc<PeerContext>, mut stream: Stream) {
    let mut frames = context.net.frames(FRAME_CONTROL_BYTES_MAX);
    let mut session = Session { context, last: None, subscriptions: Vec::new() };
    if let Err(error) = session.run(&mut stream, &mut frames).await {
        log::debug!("peer {}: {error}", stream.peer());
    }
}

impl Session {
    async fn run(&mut self, stream: &mut Stream, frames: &mut FrameReader) -> Result<(), NetError> {
        loop {
            stream.allow(if frames.is_mid_frame() { FRAME_TIMEOUT } else { IDLE_TIMEOUT });
            match self.wait(stream, frames).await? {
                Some(false) => return Ok(()),
                Some(true) => {
                    let frame = frames.frame()?;
                    self.answer(Message::decode(frame), stream).await?;
                }
                None => self.tell_news(stream).await?,
            }
        }
    }

    /// Waits for a request (`Some(true)`), the end (`Some(false)`) or, with subscriptions, the time for
    /// news (`None`).
    async fn wait(&self, stream: &mut Stream, frames: &mut FrameReader) -> Result<Option<bool>, NetError> {
        let request = async { frames.fill_within(stream, FRAME_TIMEOUT).await.map(Some) };
        if self.subscriptions.iter().all(|subscription| subscription.known.is_full()) {
            return request.await;
        }
        let news = async {
            loop {
                crate::runtime::sleep(HAVE_CHUNKS_INTERVAL).await;
                if self.subscriptions.iter().any(Subscription::has_news) {
                    return Ok(None);
                }
            }
        };
        request.or(news).await
    }

    async fn answer(&mut self, message: Result<Message<'_>, DecodeError>, stream: &mut Stream) -> Result<(), NetError> {
        match message {
            Ok(Message::SendChunkRequest(request)) => self.send_chunk(request, stream).await,
            Ok(Message::ChunkInfoRequest(info_hash)) => self.send_chunk_info(info_hash, stream).await.map(|_| ()),
            Ok(Message::ChunkSubscribeRequest(info_hash)) => self.subscribe(info_hash, stream).await,
            Ok(Message::PeerIdRequest) => self.send(&Message::PeerIdResponse(self.context.id), stream).await,
            // News of a peer that we did not ask for are never answered.
            Ok(Message::HaveChunks(_)) => Ok(()),
            Ok(other) => {
                log::debug!("peer {} sent {}, which is not for a peer", stream.peer(), other.kind());
                self.refuse(Status::BadRequest, "this is a peer: it answers requests for chunks only", stream).await
            }
            Err(DecodeError::UnknownType) => self.refuse(Status::UnknownType, "unknown message type", stream).await,
            Err(DecodeError::BadArguments(why)) => self.refuse(Status::BadRequest, why, stream).await,
        }
    }

    async fn refuse(&self, status: Status, text: &str, stream: &mut Stream) -> Result<(), NetError> {
        self.send(&Message::Response(Response { status, text, version: None }), stream).await
    }

    async fn send(&self, message: &Message<'_>, stream: &mut Stream) -> Result<(), NetError> {
        stream.send(message, self.context.net.buffers()).await
    }

    /// The file, if it is served.
    fn find(&mut self, info_hash: InfoHash) -> Result<Arc<Torrent>, Status> {
        let known = self.last.take().filter(|torrent| torrent.info_hash() == info_hash && torrent.stopped().is_none());
        let torrent = known.or_else(|| self.context.registry.get(&info_hash)).ok_or(Status::NotFound)?;
        self.last = Some(torrent.clone());
        if torrent.stopped().is_some() { Err(Status::FileChanged) } else { Ok(torrent) }
    }

    async fn send_chunk_info(
        &mut self,
        info_hash: InfoHash,
        stream: &mut Stream,
    ) -> Result<Option<(Arc<Torrent>, Bitfield)>, NetError> {
        let torrent = match self.find(info_hash) {
            Ok(torrent) => torrent,
            Err(status) => {
                let error = ChunkInfo { info_hash, status, chunk_count: 0, bitfield: &[] };
                self.send(&Message::ChunkInfoResponse(error), stream).await?;
                return Ok(None);
            }
        };
        let known = torrent.have.snapshot();
        let chunk_count = known.geometry().chunk_count();
        let info = ChunkInfo { info_hash, status: Status::Ok, chunk_count, bitfield: known.as_wire() };
        self.send(&Message::ChunkInfoResponse(info), stream).await?;
        Ok(Some((torrent, known)))
    }

    async fn subscribe(&mut self, info_hash: InfoHash, stream: &mut Stream) -> Result<(), NetError> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return self.refuse(Status::OverLimit, "too many subscriptions on one connection", stream).await;
        }
        if let Some((torrent, known)) = self.send_chunk_info(info_hash, stream).await? {
            self.subscriptions.retain(|known| known.torrent.info_hash() != info_hash);
            self.subscriptions.push(Subscription::new(torrent, known));
        }
        Ok(())
    }

    async fn tell_news(&mut self, stream: &mut Stream) -> Result<(), NetError> {
        let context = self.context.clone();
        for subscription in &mut self.subscriptions {
            let mut indices = Vec::new();
            let torrent = subscription.torrent.clone();
            torrent.have.take_news(&mut subscription.known, HAVE_CHUNKS_MAX, |chunk| indices.push(chunk.get()));
            if indices.is_empty() {
                continue;
            }
            let news = HaveChunks { info_hash: torrent.info_hash(), indices: Indices::from(&indices[..]) };
            stream.send(&Message::HaveChunks(news), context.net.buffers()).await?;
        }
        Ok(())
    }

    async fn send_chunk(&mut self, request: SendChunkRequest, stream: &mut Stream) -> Result<(), NetError> {
        let found = self.find(request.info_hash).and_then(|torrent| {
            let chunk = torrent.metainfo.geometry().chunk(request.index).ok_or(Status::BadRequest)?;
            if torrent.have.contains(chunk) { Ok((torrent, chunk)) } else { Err(Status::ChunkAbsent) }
        });
        let (torrent, chunk) = match found {
            Ok(found) => found,
            Err(status) => return send_head(request, status, 0, stream).await,
        };
        let key = (request.info_hash, chunk);
        let bytes = torrent.metainfo.geometry().chunk_len(chunk);
        if let Some(held) = self.context.memory.cached(&key) {
            send_blocks(request, (0..).map_while(|n| held.block(n)), bytes, stream).await?;
        } else {
            self.send_from_file(request, &torrent, chunk, stream).await?;
        }
        torrent.sent_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
        Ok(())
    }

    async fn send_from_file(
        &self,
        request: SendChunkRequest,
        torrent: &Arc<Torrent>,
        chunk: ChunkIndex,
        stream: &mut Stream,
    ) -> Result<(), NetError> {
        let Some(file) = &torrent.file else { return send_head(request, Status::ChunkAbsent, 0, stream).await };
        let geometry = torrent.metainfo.geometry();
        let (offset, bytes) = (geometry.offset(chunk), geometry.chunk_len(chunk));
        let range = offset..offset + u64::from(bytes);
        if !file.is_resident(range.clone()) {
            if let Some(loan) = self.borrow(torrent, chunk).await {
                return send_blocks(request, loan.blocks(), bytes, stream).await;
            }
            stream.allow(IDLE_TIMEOUT);
            let cold = torrent.clone();
            let populate = move || cold.file.as_ref().map_or(Ok(()), |file| file.populate(range));
            let (device, inode) = file.place();
            match self.context.blocking.on_file(device, inode).run(populate).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if !matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => {
                    log::warn!("a chunk could not be read in: {error}");
                    return send_head(request, Status::Internal, 0, stream).await;
                }
                Ok(Err(error)) => {
                    torrent.stop(format!("it became shorter or unreadable: {error}"));
                    return send_head(request, Status::FileChanged, 0, stream).await;
                }
                Err(BlockingError::Busy) => return send_head(request, Status::Busy, 0, stream).await,
                Err(_) => return send_head(request, Status::Internal, 0, stream).await,
            }
        }
        send_resident(request, torrent, file, (offset, bytes), stream).await
    }

    /// The chunk from the memory of the core that received it, while it is new.
    async fn borrow(&self, torrent: &Torrent, chunk: ChunkIndex) -> Option<Loan> {
        let owner = chunk.owner(self.context.core.count);
        if owner == self.context.core.index || !torrent.is_awaited() {
            return None;
        }
        let (sender, answer) = async_channel::bounded(1);
        (self.context.borrow)(owner, (torrent.info_hash(), chunk), sender);
        answer.recv().await.ok().flatten()
    }
}

impl Subscription {
    fn new(torrent: Arc<Torrent>, known: Bitfield) -> Self {
        torrent.subscribers.fetch_add(1, Ordering::Relaxed);
        Self { torrent, known }
    }

    fn has_news(&self) -> bool {
        self.torrent.have.count() > self.known.count()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.torrent.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn send_head(
    request: SendChunkRequest,
    status: Status,
    data_len: u32,
    stream: &mut Stream,
) -> Result<(), NetError> {
    let mut head = [0; DATA_HEAD_LEN];
    DataHead { info_hash: request.info_hash, index: request.index, status, data_len }.encode(&mut head);
    stream.write_all_more(&head).await?;
    if data_len == 0 { stream.write_all(&MAGIC_END).await } else { Ok(()) }
}

async fn send_blocks<'a>(
    request: SendChunkRequest,
    blocks: impl Iterator<Item = &'a [u8]>,
    bytes: u32,
    stream: &mut Stream,
) -> Result<(), NetError> {
    send_head(request, Status::Ok, bytes, stream).await?;
    for block in blocks {
        stream.allow(SEND_SILENCE_TIMEOUT);
        stream.write_all(block).await?;
    }
    stream.write_all(&MAGIC_END).await
}

async fn send_resident(
    request: SendChunkRequest,
    torrent: &Torrent,
    file: &SeedFile,
    (offset, bytes): (u64, u32),
    stream: &mut Stream,
) -> Result<(), NetError> {
    send_head(request, Status::Ok, bytes, stream).await?;
    let sent = stream.send_file(file.fd(), offset, bytes as usize, |at, len| file.window(at, len)).await;
    match sent {
        Ok(()) => stream.write_all(&MAGIC_END).await,
        Err(SendFileError::Net(error)) => Err(error),
        // The head is out, so nothing but closing tells the other side.
        Err(SendFileError::File) => {
            torrent.stop("it became shorter or unreadable while it was sent".to_owned());
            Err(NetError::Closed)
        }
    }
}
