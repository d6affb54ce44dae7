//! The control connection to one peer: its identity, its chunks, and the chunks that it gets.

use std::time::Duration;

use futures_lite::FutureExt;

use super::source;
use crate::bitfield::Bitfield;
use crate::geometry::{ChunkIndex, Geometry};
use crate::ids::{Endpoint, InfoHash, PeerId};
use crate::limits::{
    FRAME_CONTROL_BYTES_MAX, PING_INTERVAL, POLL_CHUNKS_INTERVAL, REDUNDANT_MESSAGES_MAX, REQUEST_TIMEOUT,
};
use crate::net::{Net, NetError, Stream};
use crate::rpc::{self, FrameReader, RpcError};
use crate::runtime::{deadline, sleep};
use crate::wire::{ChunkInfo, Message, Status};

/// A change in a peer's state.
#[derive(Debug)]
pub(crate) enum PeerUpdate {
    /// The peer is connected.
    Connected {
        /// Its chunks.
        chunks: Bitfield,
        /// Round trip to it.
        rtt: Duration,
        /// Congestion control of the connection.
        congestion: Option<String>,
    },
    /// The peer got these chunks since.
    Has(Vec<ChunkIndex>),
}

/// The reason why a control connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlEnd {
    /// The peer is this client.
    #[error("that is this client itself")]
    Myself,
    /// The peer does not serve the file.
    #[error("it does not serve the file: {0}")]
    Refused(Status),
    /// The peer's answer fits no file of this geometry.
    #[error("it has another file under this info hash")]
    OtherFile,
    /// The peer's data connections failed, or it sent wrong chunks.
    #[error("its data connections failed")]
    Blamed,
    /// The connection failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// A subscription to the chunks of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubscribeRequest {
    /// Id of this client.
    pub own_id: PeerId,
    /// Port under which the trackers know this client.
    pub own_port: u16,
    /// Info hash of the file.
    pub info_hash: InfoHash,
    /// Geometry of the file.
    pub geometry: Geometry,
}

struct Control {
    stream: Stream,
    frames: FrameReader,
    net: Net,
    request: SubscribeRequest,
    known: Bitfield,
    /// The peer does not support subscriptions, so it is polled.
    polls: bool,
    /// Requests that are not answered yet.
    asked: u32,
    /// Messages in a row without a new chunk.
    redundant_messages: u32,
}

/// Runs the connection until it ends, and calls `update` with every change of the peer.
pub(crate) async fn run(
    net: &Net,
    peer: Endpoint,
    request: SubscribeRequest,
    update: impl Fn(PeerUpdate),
) -> ControlEnd {
    match open(net, peer, request).await {
        Ok(mut control) => match control.run(peer.port() == request.own_port, update).await {
            Ok(never) => match never {},
            Err(end) => end,
        },
        Err(error) => error.into(),
    }
}

async fn open(net: &Net, peer: Endpoint, request: SubscribeRequest) -> Result<Control, RpcError> {
    let stream = source::connect(net, peer).await?;
    let frames = FrameReader::new(net, FRAME_CONTROL_BYTES_MAX);
    Ok(Control {
        stream,
        frames,
        net: net.clone(),
        request,
        known: Bitfield::empty(request.geometry),
        polls: false,
        asked: 0,
        redundant_messages: 0,
    })
}

impl Control {
    /// Only a peer with our own port can be this client, so no other peer has to support peer ids.
    async fn run(
        &mut self,
        may_be_me: bool,
        update: impl Fn(PeerUpdate),
    ) -> Result<std::convert::Infallible, ControlEnd> {
        // Sent before the subscription: chunks are kept in memory while any subscriber waits for them.
        if may_be_me {
            self.send(&Message::PeerIdRequest).await?;
            self.introduce().await?;
        }
        self.send(&Message::ChunkSubscribeRequest(self.request.info_hash)).await?;
        let chunks = self.subscribe().await?;
        let rtt = self.stream.rtt().unwrap_or_default();
        update(PeerUpdate::Connected { chunks, rtt, congestion: self.stream.congestion() });
        loop {
            if let Some(fresh) = self.next().await? {
                update(PeerUpdate::Has(fresh));
            }
        }
    }

    /// Receives the answer to PeerIdRequest; a peer that does not support the request is another client.
    async fn introduce(&mut self) -> Result<(), ControlEnd> {
        self.wait_for_answer().await?;
        match Message::decode(self.frames.frame()?) {
            Ok(Message::PeerIdResponse(id)) if id == self.request.own_id => Err(ControlEnd::Myself),
            _ => Ok(()),
        }
    }

    /// Receives the answer to the subscription: the peer's chunks.
    async fn subscribe(&mut self) -> Result<Bitfield, ControlEnd> {
        self.wait_for_answer().await?;
        let status = match Message::decode(self.frames.frame()?) {
            Ok(Message::Response(response)) => response.status,
            Ok(Message::ChunkInfoResponse(info)) => info.status,
            _ => Status::Internal,
        };
        if status == Status::UnknownType {
            self.polls = true;
            self.send(&Message::ChunkInfoRequest(self.request.info_hash)).await?;
            self.wait_for_answer().await?;
        }
        match Message::decode(self.frames.frame()?) {
            Ok(Message::ChunkInfoResponse(info)) => self.known = checked(&info, self.request)?,
            Ok(Message::Response(response)) => return Err(ControlEnd::Refused(response.status)),
            _ => return Err(RpcError::Misbehaved("that is no answer to a subscription").into()),
        }
        Ok(self.known.clone())
    }

    /// New chunks of the peer, if the next message names any.
    async fn next(&mut self) -> Result<Option<Vec<ChunkIndex>>, ControlEnd> {
        let pause = if self.polls { POLL_CHUNKS_INTERVAL } else { PING_INTERVAL };
        if !self.wait_or_pause(pause).await? {
            // A poll, or a ping that also recovers lost updates.
            self.send(&Message::ChunkInfoRequest(self.request.info_hash)).await?;
            self.asked += 1;
            return Ok(None);
        }
        let claimed: Vec<ChunkIndex> = match Message::decode(self.frames.frame()?) {
            Ok(Message::HaveChunks(have)) if have.info_hash == self.request.info_hash => {
                have.indices.iter().filter_map(|index| self.request.geometry.chunk(index)).collect()
            }
            Ok(Message::ChunkInfoResponse(info)) => {
                answered(&mut self.asked)?;
                checked(&info, self.request)?.iter().collect()
            }
            Ok(Message::Response(_)) => {
                answered(&mut self.asked)?;
                return Ok(None);
            }
            _ => return Err(RpcError::Misbehaved("an unexpected message on a control connection").into()),
        };
        let fresh: Vec<ChunkIndex> = claimed.into_iter().filter(|chunk| !self.known.contains(*chunk)).collect();
        fresh.iter().for_each(|chunk| self.known.insert(*chunk));
        self.redundant_messages = if fresh.is_empty() { self.redundant_messages + 1 } else { 0 };
        if self.redundant_messages > REDUNDANT_MESSAGES_MAX {
            return Err(RpcError::Misbehaved("it sends again and again what is known").into());
        }
        Ok((!fresh.is_empty()).then_some(fresh))
    }

    /// Waits for a frame; returns `false` when the pause ends first.
    async fn wait_or_pause(&mut self, pause: Duration) -> Result<bool, RpcError> {
        let frame = async {
            let has_frame = self.frames.fill(&mut self.stream).await?;
            // Only received frames show that the peer is alive, not our own requests.
            self.stream.allow(3 * PING_INTERVAL);
            has_frame.then_some(true).ok_or(NetError::Closed.into())
        };
        let timer = async {
            sleep(pause).await;
            Ok(false)
        };
        frame.or(timer).await
    }

    async fn wait_for_answer(&mut self) -> Result<(), RpcError> {
        let filled = deadline(REQUEST_TIMEOUT, self.frames.fill(&mut self.stream)).await;
        if filled.map_err(|_| NetError::Silent)?? { Ok(()) } else { Err(NetError::Closed.into()) }
    }

    async fn send(&mut self, message: &Message<'_>) -> Result<(), RpcError> {
        Ok(rpc::send(&mut self.stream, message, self.net.buffers()).await?)
    }
}

fn checked(info: &ChunkInfo<'_>, request: SubscribeRequest) -> Result<Bitfield, ControlEnd> {
    if info.status != Status::Ok {
        return Err(ControlEnd::Refused(info.status));
    }
    if info.info_hash != request.info_hash || info.chunk_count != request.geometry.chunk_count() {
        return Err(ControlEnd::OtherFile);
    }
    Bitfield::from_wire(info.bitfield, request.geometry).map_err(|_| ControlEnd::OtherFile)
}

/// Counts an answer, which must belong to one of our requests.
fn answered(asked: &mut u32) -> Result<(), RpcError> {
    *asked = asked.checked_sub(1).ok_or(RpcError::Misbehaved("it sent an unrequested answer"))?;
    Ok(())
}
