//! One connection from a peer that requests chunks: its requests in their order, and HaveChunks between the answers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::FutureExt;

use super::chunk_sender::{self, ChunkSender};
use super::context::UploadContext;
use super::queue::Ticket;
use super::receivers::Receiver;
use super::request::ChunkRequest;
use super::subscriptions::Subscriptions;
use crate::bitfield::Bitfield;
use crate::geometry::ChunkIndex;
use crate::ids::InfoHash;
use crate::limits::{FRAME_CONTROL_BYTES_MAX, FRAME_TIMEOUT, IDLE_TIMEOUT, REQUESTS_READ_AHEAD_MAX, TURN_WAIT_MAX};
use crate::net::{NetError, Stream};
use crate::rpc::{self, FrameReader, RpcError};
use crate::swarm::ConnectionId;
use crate::torrent::{PeerActivity, Torrent};
use crate::wire::{ChunkInfo, DecodeError, HaveChunks, Message, Response, Status};

/// State of a connection, except its stream and frames.
struct Connection {
    context: Rc<UploadContext>,
    id: ConnectionId,
    address: IpAddr,
    /// The file of the last request.
    last: Option<Arc<Torrent>>,
    subscriptions: Subscriptions,
    /// Requests behind the one that is being answered, oldest first.
    pending: VecDeque<ChunkRequest>,
    sender: ChunkSender,
    /// Figures of the connection, for display.
    receiver: Receiver,
}

/// The reason why a wait has ended.
enum Wakeup {
    /// A frame has arrived.
    Frame,
    /// The peer closed the connection between two frames.
    Closed,
    /// There are new chunks to announce by HaveChunks.
    NewChunks,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(context: Rc<UploadContext>, mut stream: Stream) {
    let mut frames = FrameReader::new(&context.net, FRAME_CONTROL_BYTES_MAX);
    let (id, address) = (context.uploads.connection(), stream.peer().ip().to_canonical());
    let mut connection = Connection {
        id,
        address,
        receiver: context.receivers.enter(id, address, stream.congestion()),
        last: None,
        subscriptions: Subscriptions::default(),
        pending: VecDeque::new(),
        sender: ChunkSender::new(context.clone()),
        context,
    };
    if let Err(error) = connection.run(&mut stream, &mut frames).await {
        log::debug!("peer {}: {error}", stream.peer());
    }
}

impl Connection {
    async fn run(&mut self, stream: &mut Stream, frames: &mut FrameReader) -> Result<(), RpcError> {
        // Whether a frame arrived during the wait of a request and does not concern that request.
        let mut is_held = false;
        loop {
            if let Some(request) = self.pending.pop_front() {
                self.answer_request(request, stream, frames, &mut is_held).await?;
                continue;
            }
            stream.allow(if frames.is_mid_frame() { FRAME_TIMEOUT } else { IDLE_TIMEOUT });
            if !std::mem::take(&mut is_held) {
                match self.wait(stream, frames).await? {
                    Wakeup::Frame => {}
                    Wakeup::Closed => return Ok(()),
                    Wakeup::NewChunks => {
                        self.subscriptions.send(stream, self.context.net.buffers()).await?;
                        continue;
                    }
                }
            }
            self.answer(Message::decode(frames.frame()?), stream).await?;
        }
    }

    /// Waits for a frame or, with subscriptions, for new chunks.
    async fn wait(&self, stream: &mut Stream, frames: &mut FrameReader) -> Result<Wakeup, RpcError> {
        let frame = async {
            let is_there = frames.fill_within(stream, FRAME_TIMEOUT).await?;
            Ok(if is_there { Wakeup::Frame } else { Wakeup::Closed })
        };
        let new_chunks = async {
            self.subscriptions.until_due().await;
            Ok(Wakeup::NewChunks)
        };
        frame.or(new_chunks).await
    }

    async fn answer(&mut self, message: Result<Message<'_>, DecodeError>, stream: &mut Stream) -> Result<(), RpcError> {
        match message {
            Ok(Message::SendChunkRequest(request)) => {
                self.pending.push_back(ChunkRequest::from(request));
                Ok(())
            }
            Ok(Message::ChunkInfoRequest(info_hash)) => self.send_chunk_info(info_hash, stream).await.map(|_| ()),
            Ok(Message::ChunkSubscribeRequest(info_hash)) => self.subscribe(info_hash, stream).await,
            Ok(Message::PeerIdRequest) => self.send(&Message::PeerIdResponse(self.context.id), stream).await,
            // HaveChunks cancels chunks in the peer's requests; there are none.
            Ok(Message::HaveChunks(_)) => Ok(()),
            Ok(other) => {
                log::debug!("peer {} sent {}, which is not for a peer", stream.peer(), other.kind());
                self.refuse(Status::BadRequest, "this is a peer: it answers requests for chunks only", stream).await
            }
            Err(DecodeError::UnknownType) => self.refuse(Status::UnknownType, "unknown message type", stream).await,
            Err(DecodeError::BadArguments(why)) => self.refuse(Status::BadRequest, why, stream).await,
        }
    }

    async fn refuse(&self, status: Status, text: &str, stream: &mut Stream) -> Result<(), RpcError> {
        self.send(&Message::Response(Response { status, text, version: None }), stream).await
    }

    async fn send(&self, message: &Message<'_>, stream: &mut Stream) -> Result<(), RpcError> {
        Ok(rpc::send(stream, message, self.context.net.buffers()).await?)
    }

    /// The file, if it is served.
    fn find(&mut self, info_hash: InfoHash) -> Result<Arc<Torrent>, Status> {
        let known = self.last.take().filter(|torrent| torrent.info_hash() == info_hash && torrent.stopped().is_none());
        let look_up = || self.context.registry.get(&info_hash).inspect(|_| self.receiver.set_file(info_hash));
        let torrent = known.or_else(look_up).ok_or(Status::NotFound)?;
        self.last = Some(torrent.clone());
        if torrent.stopped().is_some() { Err(Status::FileChanged) } else { Ok(torrent) }
    }

    /// Sends the set of chunks that this client has; returns the file and this set, if the file is served.
    async fn send_chunk_info(
        &mut self,
        info_hash: InfoHash,
        stream: &mut Stream,
    ) -> Result<Option<(Arc<Torrent>, Bitfield)>, RpcError> {
        let torrent = match self.find(info_hash) {
            Ok(torrent) => torrent,
            Err(status) => {
                let error = ChunkInfo { info_hash, status, chunk_count: 0, bitfield: &[] };
                self.send(&Message::ChunkInfoResponse(error), stream).await?;
                return Ok(None);
            }
        };
        let known = torrent.held();
        let chunk_count = known.geometry().chunk_count();
        let info = ChunkInfo { info_hash, status: Status::Ok, chunk_count, bitfield: known.as_wire() };
        self.send(&Message::ChunkInfoResponse(info), stream).await?;
        Ok(Some((torrent, known)))
    }

    async fn subscribe(&mut self, info_hash: InfoHash, stream: &mut Stream) -> Result<(), RpcError> {
        if self.subscriptions.is_full() {
            return self.refuse(Status::OverLimit, "too many subscriptions on one connection", stream).await;
        }
        if let Some((torrent, known)) = self.send_chunk_info(info_hash, stream).await? {
            self.subscriptions.insert(torrent, known);
        }
        Ok(())
    }

    /// Answers a request for a chunk when the scheduler grants it. Sets `is_held` if the frame that was read last still
    /// has to be answered.
    async fn answer_request(
        &mut self,
        request: ChunkRequest,
        stream: &mut Stream,
        frames: &mut FrameReader,
        is_held: &mut bool,
    ) -> Result<(), RpcError> {
        let found = self.find(request.info_hash);
        let (torrent, chunks) = match found.and_then(|torrent| Ok((request.served_by(&torrent)?, torrent))) {
            Ok((chunks, torrent)) => (torrent, chunks),
            Err(status) => return Ok(chunk_sender::refuse(request.refusal(status), stream).await?),
        };
        let ticket = match self.context.uploads.enqueue(self.id, self.address, &torrent, chunks) {
            Ok(ticket) => ticket,
            Err(error) => {
                log::debug!("peer {}: {error}", stream.peer());
                return Ok(chunk_sender::refuse(request.refusal(Status::Busy), stream).await?);
            }
        };
        self.receiver.set_activity(PeerActivity::Choked, 1 + self.pending.len());
        let granted = self.wait_for_grant(&ticket, request.info_hash, stream, frames, is_held).await?;
        let Some(chunk) = granted else {
            self.receiver.set_activity(PeerActivity::Idle, self.pending.len());
            return Ok(chunk_sender::refuse(request.refusal(Status::Busy), stream).await?);
        };
        self.receiver.set_activity(PeerActivity::Active, 1 + self.pending.len());
        if let Some(sent_bytes) = self.sender.send(&torrent, chunk, stream).await? {
            self.receiver.sent(sent_bytes);
            ticket.sent(sent_bytes);
        }
        self.receiver.set_activity(PeerActivity::Idle, self.pending.len());
        Ok(())
    }

    /// Waits for the decision on a request. Meanwhile the peer may cancel chunks and send more requests.
    async fn wait_for_grant(
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
            let grant = async { Ok((Some(ticket.granted().await), true)) };
            match grant.or(frame).await? {
                (Some(granted), _) => return Ok(granted),
                (None, false) => return Err(NetError::Closed.into()),
                (None, true) => match Message::decode(frames.frame()?) {
                    Ok(Message::HaveChunks(have)) => self.cancel(&have, info_hash),
                    Ok(Message::SendChunkRequest(request)) => self.pending.push_back(ChunkRequest::from(request)),
                    _ => *is_held = true,
                },
            }
            stream.allow(TURN_WAIT_MAX);
        }
    }

    /// Cancels chunks that the peer got elsewhere, in the waiting request (for a chunk of `waiting`) and in those
    /// behind it.
    fn cancel(&mut self, have: &HaveChunks<'_>, waiting: InfoHash) {
        let geometry = self.last.as_ref().map(|torrent| torrent.metainfo.geometry());
        for index in have.indices.iter() {
            if have.info_hash == waiting
                && let Some(chunk) = geometry.and_then(|geometry| geometry.chunk(index))
            {
                self.context.uploads.cancel(self.id, chunk);
            }
            for request in self.pending.iter_mut().filter(|request| request.info_hash == have.info_hash) {
                request.cancel(index);
            }
        }
    }
}
