//! One connection of a peer that asks us.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use futures_lite::FutureExt;

use super::UploadQueue;
use super::queue::Ticket;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::ids::{InfoHash, PeerId};
use crate::limits::{
    FRAME_CONTROL_BYTES_MAX, FRAME_TIMEOUT, HAVE_CHUNKS_INTERVAL, HAVE_CHUNKS_LAZY_INTERVAL, HAVE_CHUNKS_MAX,
    IDLE_TIMEOUT, REQUEST_CHUNKS_MAX, REQUESTS_READ_AHEAD_MAX, SEND_SILENCE_TIMEOUT, SUBSCRIPTIONS_MAX, TURN_WAIT_MAX,
    UNSENT_BYTES_MAX, UNSENT_BYTES_MIN, UNSENT_BYTES_START, UNSENT_TIME,
};
use crate::net::{Net, NetError, SendFileError, Stream};
use crate::rpc::{self, FrameReader, RpcError};
use crate::runtime::{Blocking, BlockingError, Core};
use crate::storage::{ChunkKey, Loan, Memory, SeedFile};
use crate::swarm::{Choice, ConnectionId};
use crate::torrent::{Registry, Torrent};
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
    /// What waits to be sent, on all cores.
    pub uploads: Arc<UploadQueue>,
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
    connection: ConnectionId,
    address: IpAddr,
    /// Requests behind the one that is answered, oldest first.
    pending: VecDeque<Pending>,
    /// When a subscriber was told of new chunks last.
    told_at: Option<Instant>,
    /// What may be queued in the socket, bytes; 0 before the first chunk.
    unsent_bytes: u32,
}

/// A file of whose new chunks the other side wants to hear; counted among the file's subscribers.
struct Subscription {
    torrent: Arc<Torrent>,
    known: Bitfield,
}

/// A request for a chunk that has arrived and is not answered.
struct Pending {
    info_hash: InfoHash,
    /// What is answered when no chunk can be sent.
    index: u32,
    chunks: Vec<u32>,
}

/// Why a wait has ended.
enum Woken {
    /// A frame is there.
    Frame,
    /// The other side closed between two frames.
    Closed,
    /// There are new chunks to tell of.
    News,
}

/// Serves a connection to its end.
pub async fn serve(context: Rc<PeerContext>, mut stream: Stream) {
    let mut frames = FrameReader::new(&context.net, FRAME_CONTROL_BYTES_MAX);
    let address = stream.peer().ip().to_canonical();
    let connection = context.uploads.connection();
    let mut session = Session {
        context,
        connection,
        address,
        last: None,
        subscriptions: Vec::new(),
        pending: VecDeque::new(),
        told_at: None,
        unsent_bytes: 0,
    };
    if let Err(error) = session.run(&mut stream, &mut frames).await {
        log::debug!("peer {}: {error}", stream.peer());
    }
}

impl Session {
    async fn run(&mut self, stream: &mut Stream, frames: &mut FrameReader) -> Result<(), RpcError> {
        // A frame that came while a request waited, and is not for the request.
        let mut is_held = false;
        loop {
            if let Some(pending) = self.pending.pop_front() {
                is_held = self.send_chunk(pending, stream, frames, is_held).await?;
                continue;
            }
            stream.allow(if frames.is_mid_frame() { FRAME_TIMEOUT } else { IDLE_TIMEOUT });
            if !std::mem::take(&mut is_held) {
                match self.wait(stream, frames).await? {
                    Woken::Frame => {}
                    Woken::Closed => return Ok(()),
                    Woken::News => {
                        self.tell_news(stream).await?;
                        continue;
                    }
                }
            }
            self.answer(Message::decode(frames.frame()?), stream).await?;
        }
    }

    /// Waits for a frame or, with subscriptions, for new chunks.
    async fn wait(&self, stream: &mut Stream, frames: &mut FrameReader) -> Result<Woken, RpcError> {
        let request = async {
            let is_there = frames.fill_within(stream, FRAME_TIMEOUT).await?;
            Ok(if is_there { Woken::Frame } else { Woken::Closed })
        };
        request.or(self.news()).await
    }

    /// Waits until this subscriber is to be told of new chunks. Each chunk wakes a few subscribers at once, in turn; the
    /// others are told within [`HAVE_CHUNKS_LAZY_INTERVAL`], of all that came meanwhile together, and nobody more often
    /// than every [`HAVE_CHUNKS_INTERVAL`].
    async fn news(&self) -> Result<Woken, RpcError> {
        let has_news = || self.subscriptions.iter().any(Subscription::has_news);
        loop {
            let unfinished = || self.subscriptions.iter().filter(|known| !known.known.is_full());
            let mut growths: Vec<_> = unfinished().map(|subscription| subscription.torrent.growth()).collect();
            if growths.is_empty() {
                std::future::pending::<()>().await;
            }
            if unfinished().any(|known| known.has_news() && known.torrent.tells_all_at_once()) {
                break;
            }
            let grown = poll_fn(|context| {
                let is_grown = growths.iter_mut().any(|growth| std::pin::Pin::new(growth).poll(context).is_ready());
                if is_grown { Poll::Ready(()) } else { Poll::Pending }
            });
            grown.or(crate::runtime::sleep(HAVE_CHUNKS_LAZY_INTERVAL)).await;
            if has_news() {
                break;
            }
        }
        if let Some(pause) = self.told_at.map(|at| HAVE_CHUNKS_INTERVAL.saturating_sub(at.elapsed())) {
            crate::runtime::sleep(pause).await;
        }
        Ok(Woken::News)
    }

    async fn answer(&mut self, message: Result<Message<'_>, DecodeError>, stream: &mut Stream) -> Result<(), NetError> {
        match message {
            Ok(Message::SendChunkRequest(request)) => {
                self.pending.push_back(Pending::from(request));
                Ok(())
            }
            Ok(Message::ChunkInfoRequest(info_hash)) => self.send_chunk_info(info_hash, stream).await.map(|_| ()),
            Ok(Message::ChunkSubscribeRequest(info_hash)) => self.subscribe(info_hash, stream).await,
            Ok(Message::PeerIdRequest) => self.send(&Message::PeerIdResponse(self.context.id), stream).await,
            // It takes back what its requests name; there are none.
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
        rpc::send(stream, message, self.context.net.buffers()).await
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
        self.told_at = Some(Instant::now());
        let context = self.context.clone();
        for subscription in &mut self.subscriptions {
            let mut indices = Vec::new();
            let torrent = subscription.torrent.clone();
            torrent.have.take_new(&mut subscription.known, HAVE_CHUNKS_MAX, |chunk| indices.push(chunk.get()));
            if indices.is_empty() {
                continue;
            }
            let news = HaveChunks { info_hash: torrent.info_hash(), indices: Indices::from(&indices[..]) };
            rpc::send(stream, &Message::HaveChunks(news), context.net.buffers()).await?;
        }
        Ok(())
    }

    /// Answers a request for a chunk when its turn has come. Says whether the frame that was read last, meanwhile or
    /// before (`is_held`), is still to be answered.
    async fn send_chunk(
        &mut self,
        pending: Pending,
        stream: &mut Stream,
        frames: &mut FrameReader,
        mut is_held: bool,
    ) -> Result<bool, RpcError> {
        let (info_hash, index) = (pending.info_hash, pending.index);
        let refuse = |status| DataHead { info_hash, index, status, data_len: 0 };
        let (torrent, chunks) = match self.find_chunks(&pending) {
            Ok(found) => found,
            Err(status) => {
                send_refusal(refuse(status), stream).await?;
                return Ok(is_held);
            }
        };
        let ticket = match self.context.uploads.ask(self.connection, self.address, &torrent, chunks) {
            Ok(ticket) => ticket,
            Err(error) => {
                log::debug!("peer {}: {error}", stream.peer());
                send_refusal(refuse(Status::Busy), stream).await?;
                return Ok(is_held);
            }
        };
        let granted = self.wait_for_turn(&ticket, info_hash, stream, frames, &mut is_held).await?;
        let Some(chunk) = granted else {
            send_refusal(refuse(Status::Busy), stream).await?;
            return Ok(is_held);
        };
        let (bytes, began) = (torrent.metainfo.geometry().chunk_len(chunk), Instant::now());
        let head = DataHead { info_hash, index: chunk.get(), status: Status::Ok, data_len: bytes };
        self.bound_unsent(stream, None)?;
        let is_sent = if let Some(held) = self.context.memory.cached(&(info_hash, chunk)) {
            send_blocks(head, (0..).map_while(|n| held.block(n)), stream).await?;
            true
        } else {
            self.send_from_file(head, &torrent, chunk, stream).await?
        };
        if is_sent {
            torrent.sent_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
            ticket.sent(bytes.into());
            self.bound_unsent(stream, Some(f64::from(bytes) / began.elapsed().as_secs_f64().max(1e-6)))?;
        }
        Ok(is_held)
    }

    /// The file and those of the request's chunks that are here.
    fn find_chunks(&mut self, pending: &Pending) -> Result<(Arc<Torrent>, Choice), Status> {
        let torrent = self.find(pending.info_hash)?;
        let geometry = torrent.metainfo.geometry();
        if !pending.chunks.is_empty() && geometry.chunk(pending.index).is_none() {
            return Err(Status::BadRequest);
        }
        let known = pending.chunks.iter().filter_map(|index| geometry.chunk(*index));
        let chunks: Choice = known.filter(|chunk| torrent.serves(*chunk)).take(REQUEST_CHUNKS_MAX).collect();
        if chunks.is_empty() && !pending.chunks.is_empty() {
            return Err(Status::ChunkAbsent);
        }
        Ok((torrent, chunks))
    }

    /// Waits for the decision on a request. Meanwhile the other side may take chunks back, and ask for more.
    async fn wait_for_turn(
        &mut self,
        ticket: &Ticket,
        info_hash: InfoHash,
        stream: &mut Stream,
        frames: &mut FrameReader,
        is_held: &mut bool,
    ) -> Result<Option<ChunkIndex>, RpcError> {
        stream.allow(TURN_WAIT_MAX);
        loop {
            let may_read = !*is_held && self.pending.len() < REQUESTS_READ_AHEAD_MAX;
            let frame = async {
                if !may_read {
                    std::future::pending::<()>().await;
                }
                frames.fill_within(stream, FRAME_TIMEOUT).await.map(|is_there| (None, is_there))
            };
            let turn = async { Ok((Some(ticket.granted().await), true)) };
            match turn.or(frame).await? {
                (Some(granted), _) => return Ok(granted),
                (None, false) => return Err(NetError::Closed.into()),
                (None, true) => match Message::decode(frames.frame()?) {
                    Ok(Message::HaveChunks(have)) => self.take_back(&have, info_hash),
                    Ok(Message::SendChunkRequest(request)) => self.pending.push_back(Pending::from(request)),
                    _ => *is_held = true,
                },
            }
            stream.allow(TURN_WAIT_MAX);
        }
    }

    /// The other side got chunks elsewhere that its requests name.
    fn take_back(&mut self, have: &HaveChunks<'_>, waiting: InfoHash) {
        let geometry = self.last.as_ref().map(|torrent| torrent.metainfo.geometry());
        for index in have.indices.iter() {
            if have.info_hash == waiting
                && let Some(chunk) = geometry.and_then(|geometry| geometry.chunk(index))
            {
                self.context.uploads.retract(self.connection, chunk);
            }
            for pending in self.pending.iter_mut().filter(|pending| pending.info_hash == have.info_hash) {
                pending.chunks.retain(|named| *named != index);
            }
        }
    }

    /// Little is queued in the socket behind which the next chunk, on another connection, would wait: what the
    /// connection sends in some milliseconds at `bytes_s`.
    fn bound_unsent(&mut self, stream: &Stream, bytes_s: Option<f64>) -> Result<(), NetError> {
        let wanted = match bytes_s {
            Some(bytes_s) => (bytes_s * UNSENT_TIME.as_secs_f64()) as u32,
            None if self.unsent_bytes == 0 => UNSENT_BYTES_START,
            None => return Ok(()),
        };
        let wanted = wanted.clamp(UNSENT_BYTES_MIN, UNSENT_BYTES_MAX).next_power_of_two();
        if wanted != std::mem::replace(&mut self.unsent_bytes, wanted) {
            stream.set_unsent_low_water(wanted)?;
        }
        Ok(())
    }

    /// Sends a chunk that is not in this core's memory; says whether it was sent, not refused.
    async fn send_from_file(
        &self,
        head: DataHead,
        torrent: &Arc<Torrent>,
        chunk: ChunkIndex,
        stream: &mut Stream,
    ) -> Result<bool, NetError> {
        let refuse = |status| DataHead { status, data_len: 0, ..head };
        let Some(file) = &torrent.file else {
            return send_refusal(refuse(Status::ChunkAbsent), stream).await.map(|()| false);
        };
        let offset = torrent.metainfo.geometry().offset(chunk);
        let range = offset..offset + u64::from(head.data_len);
        if !file.is_resident(range.clone()) {
            if let Some(loan) = self.borrow(torrent, chunk).await {
                return send_blocks(head, loan.blocks(), stream).await.map(|()| true);
            }
            stream.allow(IDLE_TIMEOUT);
            if let Err(status) = self.populate(torrent, chunk, range).await {
                return send_refusal(refuse(status), stream).await.map(|()| false);
            }
        }
        match send_resident(head, file, offset, stream).await {
            Ok(()) => Ok(true),
            Err(SendFileError::Net(error)) => Err(error),
            Err(SendFileError::File) => {
                let sent = torrent.clone();
                let look = move || sent.file.as_ref().and_then(|file| file.length().ok());
                let length = self.beside(torrent).run(look).await.ok().flatten();
                torrent.cannot_read(chunk, length, &"it failed while it was sent");
                // The head is out, so nothing but closing tells the other side.
                Err(NetError::Closed)
            }
        }
    }

    /// Threads for work on the torrent's file.
    fn beside(&self, torrent: &Torrent) -> Blocking {
        let (device, inode) = torrent.file.as_ref().map_or((0, 0), SeedFile::place);
        self.context.blocking.on_file(device, inode)
    }

    /// Has the range read in beside the executor.
    async fn populate(&self, torrent: &Arc<Torrent>, chunk: ChunkIndex, range: Range<u64>) -> Result<(), Status> {
        let cold = torrent.clone();
        // The length is looked at there, too: a mount that hangs must not stop the core.
        let populate = move || {
            let populated = cold.file.as_ref().map_or(Ok(()), |file| file.populate(range));
            populated.map_err(|error| (error, cold.file.as_ref().and_then(|file| file.length().ok())))
        };
        match self.beside(torrent).run(populate).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((error, _))) if !matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => {
                log::warn!("a chunk could not be read in: {error}");
                Err(Status::Internal)
            }
            Ok(Err((error, length))) => Err(torrent.cannot_read(chunk, length, &error)),
            Err(BlockingError::Busy) => Err(Status::Busy),
            Err(_) => Err(Status::Internal),
        }
    }

    /// The chunk from the memory of the core that received it, while it is new.
    async fn borrow(&self, torrent: &Torrent, chunk: ChunkIndex) -> Option<Loan> {
        let keeper = torrent.keeper(chunk)?;
        if keeper == self.context.core.index || !torrent.is_awaited() {
            return None;
        }
        let (sender, answer) = async_channel::bounded(1);
        (self.context.borrow)(keeper, (torrent.info_hash(), chunk), sender);
        answer.recv().await.ok().flatten()
    }
}

impl From<SendChunkRequest<'_>> for Pending {
    fn from(request: SendChunkRequest<'_>) -> Self {
        let others = request.others.iter().take(REQUEST_CHUNKS_MAX - 1);
        let chunks = std::iter::once(request.index).chain(others).collect();
        Self { info_hash: request.info_hash, index: request.index, chunks }
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

async fn send_head(head: DataHead, stream: &mut Stream) -> Result<(), NetError> {
    let mut bytes = [0; DATA_HEAD_LEN];
    head.encode(&mut bytes);
    stream.write_all_more(&bytes).await
}

async fn send_refusal(head: DataHead, stream: &mut Stream) -> Result<(), NetError> {
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    stream.write_all(&MAGIC_END).await
}

async fn send_blocks<'a>(
    head: DataHead,
    blocks: impl Iterator<Item = &'a [u8]>,
    stream: &mut Stream,
) -> Result<(), NetError> {
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    for block in blocks {
        stream.allow(SEND_SILENCE_TIMEOUT);
        stream.write_data(block).await?;
    }
    stream.write_all(&MAGIC_END).await
}

async fn send_resident(head: DataHead, file: &SeedFile, offset: u64, stream: &mut Stream) -> Result<(), SendFileError> {
    stream.allow(SEND_SILENCE_TIMEOUT);
    send_head(head, stream).await?;
    stream.send_file(file.fd(), offset, head.data_len as usize, |at, len| file.window(at, len)).await?;
    Ok(stream.write_all(&MAGIC_END).await?)
}
